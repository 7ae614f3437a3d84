//! `cjson`: values to JSON and back (facts of the documentation of Lua CJSON 2.1 and of what a stock server answers).
//!
//! How it works can be set, for all scripts to come, or for a library of one's own that `cjson.new` makes. The settings
//! of a library stand in a table that its functions hold on to.

mod decode;
mod encode;

use super::numbers::is_given;
use crate::base::lua::{Kind, Native, Raise, Stack};

/// The mark that stands for `null`.
pub const NULL: usize = 0;

const FUNCTIONS: &[(&str, Native)] = &[
    ("encode", encode::encode),
    ("decode", decode::decode),
    ("encode_sparse_array", encode_sparse_array),
    ("encode_max_depth", |stack| integer_setting(stack, 1, i32::MAX, |settings| &mut settings.encode_max_depth)),
    ("decode_max_depth", |stack| integer_setting(stack, 1, i32::MAX, |settings| &mut settings.decode_max_depth)),
    ("encode_number_precision", |stack| integer_setting(stack, 1, 14, |settings| &mut settings.precision)),
    ("encode_keep_buffer", |stack| switch_setting(stack, &[], |settings| &mut settings.keep_buffer)),
    ("encode_invalid_numbers", |stack| switch_setting(stack, &["null"], |settings| &mut settings.encode_invalid)),
    ("decode_invalid_numbers", |stack| switch_setting(stack, &[], |settings| &mut settings.decode_invalid)),
    ("new", |stack| {
        push_library(stack);
        Ok(1)
    }),
];

/// Pushes a library with settings of its own.
pub fn push_library(stack: &mut Stack<'_>) {
    stack.push_table(0, FUNCTIONS.len() + 3);
    let library = stack.top();
    stack.push_table(1, 0);
    Settings::default().store(stack);
    for (name, function) in FUNCTIONS {
        stack.push_value(-1);
        stack.push_native_with(*function);
        stack.raw_set_field(library, name);
    }
    stack.pop(1);
    stack.push_mark(NULL);
    stack.raw_set_field(library, "null");
    for (name, value) in [("_NAME", "cjson"), ("_VERSION", "2.1.0")] {
        stack.push_bytes(value.as_bytes());
        stack.raw_set_field(library, name);
    }
}

/// What can be set. Switches are 0 and 1; `encode_invalid` may also be 2, which writes `null`.
#[derive(Clone, Copy)]
struct Settings {
    sparse_convert: i32,
    sparse_ratio: i32,
    sparse_safe: i32,
    encode_max_depth: i32,
    decode_max_depth: i32,
    precision: i32,
    keep_buffer: i32,
    encode_invalid: i32,
    decode_invalid: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            sparse_convert: 0,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_max_depth: 1000,
            decode_max_depth: 1000,
            precision: 14,
            keep_buffer: 1,
            encode_invalid: 0,
            decode_invalid: 1,
        }
    }
}

impl Settings {
    fn fields(&mut self) -> [&mut i32; 9] {
        [
            &mut self.sparse_convert,
            &mut self.sparse_ratio,
            &mut self.sparse_safe,
            &mut self.encode_max_depth,
            &mut self.decode_max_depth,
            &mut self.precision,
            &mut self.keep_buffer,
            &mut self.encode_invalid,
            &mut self.decode_invalid,
        ]
    }

    /// Puts them into the table on top.
    fn store(mut self, stack: &mut Stack<'_>) {
        let mut bytes = Vec::with_capacity(36);
        for field in self.fields() {
            bytes.extend(field.to_le_bytes());
        }
        stack.push_bytes(&bytes);
        stack.raw_set_element(-2, 1);
    }

    /// Those of the library whose function runs. Takes two places of the stack for a moment.
    fn load(stack: &mut Stack<'_>) -> Settings {
        let mut settings = Settings::default();
        stack.push_upvalue();
        if stack.kind(-1) == Kind::Table {
            stack.raw_get_element(-1, 1);
            let bytes = stack.bytes(-1).unwrap_or_default();
            for (field, bytes) in settings.fields().into_iter().zip(bytes.chunks_exact(4)) {
                *field = i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
            stack.pop(1);
        }
        stack.pop(1);
        settings
    }

    /// Sets those of the library whose function runs.
    fn save(self, stack: &mut Stack<'_>) {
        stack.push_upvalue();
        if stack.kind(-1) == Kind::Table {
            self.store(stack);
        }
        stack.pop(1);
    }
}

type Field = fn(&mut Settings) -> &mut i32;

/// Refuses more arguments than a setting has.
fn check_count(stack: &mut Stack<'_>, max: i32) -> Result<(), Raise> {
    if stack.top() > max {
        return Err(Raise::argument(max + 1, "found too many arguments"));
    }
    while stack.top() < max {
        stack.push_nil();
    }
    Ok(())
}

/// Takes a number over that an argument says, if it says one, and pushes the one in force.
fn take_integer(
    stack: &mut Stack<'_>,
    settings: &mut Settings,
    index: i32,
    range: std::ops::RangeInclusive<i32>,
    field: Field,
) -> Result<(), Raise> {
    if is_given(stack, index) {
        let value = super::numbers::check_integer(stack, index)? as i32;
        if !range.contains(&value) {
            let (least, most) = (range.start(), range.end());
            // Stock complains about the first, whichever it is.
            return Err(Raise::argument(1, format!("expected integer between {least} and {most}")));
        }
        *field(settings) = value;
        settings.save(stack);
    }
    stack.push_number(f64::from(*field(settings)));
    Ok(())
}

/// Takes a switch over that an argument says, if it says one, and pushes what is in force. `others` are words that mean
/// more than on.
fn take_switch(
    stack: &mut Stack<'_>,
    settings: &mut Settings,
    index: i32,
    others: &[&str],
    field: Field,
) -> Result<(), Raise> {
    match stack.kind(index) {
        Kind::None | Kind::Nil => {}
        Kind::Boolean => *field(settings) = i32::from(stack.boolean(index)),
        _ => {
            let word = stack.check_bytes(index)?;
            let shown = crate::commands::error::c_string(word);
            let words = ["off", "on"].iter().chain(others);
            let place = words.into_iter().position(|known| known.as_bytes() == shown);
            let Some(place) = place else {
                return Err(Raise::Argument(index, [b"invalid option '", shown, b"'"].concat()));
            };
            *field(settings) = place as i32;
        }
    }
    settings.save(stack);
    let value = *field(settings);
    match others.get((value - 2) as usize) {
        Some(word) => stack.push_bytes(word.as_bytes()),
        None => stack.push_boolean(value == 1),
    }
    Ok(())
}

fn integer_setting(stack: &mut Stack<'_>, least: i32, most: i32, field: Field) -> Result<usize, Raise> {
    check_count(stack, 1)?;
    let mut settings = Settings::load(stack);
    take_integer(stack, &mut settings, 1, least..=most, field)?;
    Ok(1)
}

fn switch_setting(stack: &mut Stack<'_>, others: &[&str], field: Field) -> Result<usize, Raise> {
    check_count(stack, 1)?;
    let mut settings = Settings::load(stack);
    take_switch(stack, &mut settings, 1, others, field)?;
    Ok(1)
}

fn encode_sparse_array(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    check_count(stack, 3)?;
    let mut settings = Settings::load(stack);
    take_switch(stack, &mut settings, 1, &[], |settings| &mut settings.sparse_convert)?;
    take_integer(stack, &mut settings, 2, 0..=i32::MAX, |settings| &mut settings.sparse_ratio)?;
    take_integer(stack, &mut settings, 3, 0..=i32::MAX, |settings| &mut settings.sparse_safe)?;
    Ok(3)
}

/// Complains unless there is exactly one argument.
fn check_single(stack: &Stack<'_>) -> Result<(), Raise> {
    if stack.top() == 1 { Ok(()) } else { Err(Raise::argument(1, "expected 1 argument")) }
}
