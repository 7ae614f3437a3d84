//! The libraries that scripts find beside Lua's own: `bit`, `cjson`, `cmsgpack`, `struct`.

pub mod bit;
pub mod cjson;
pub mod cmsgpack;
pub mod codecs;
mod numbers;
pub mod structs;
#[cfg(test)]
mod tests;

use crate::base::lua::{Native, Stack};

/// Puts the libraries into the table on top.
pub fn register(stack: &mut Stack<'_>) {
    cjson::push_library(stack);
    stack.raw_set_field(-2, "cjson");
    push_functions(stack, cmsgpack::FUNCTIONS);
    for (name, value) in cmsgpack::CONSTANTS {
        stack.push_bytes(value.as_bytes());
        stack.raw_set_field(-2, name);
    }
    stack.raw_set_field(-2, "cmsgpack");
    push_functions(stack, structs::FUNCTIONS);
    stack.raw_set_field(-2, "struct");
    push_functions(stack, bit::FUNCTIONS);
    stack.raw_set_field(-2, "bit");
}

/// Pushes a table of functions.
fn push_functions(stack: &mut Stack<'_>, functions: &[(&str, Native)]) {
    stack.push_table(0, functions.len());
    for (name, function) in functions {
        stack.set_native(-1, name, *function);
    }
}
