//! `redis.register_function`, in both of its forms.

use super::metadata::check_name;
use super::{Function, Registering};
use crate::base::lua::{Kind, Raise, Stack};
use crate::scripting::convert::push_error;
use crate::scripting::{Flags, Host};

/// What a call of it says. The callback is kept last, so that nothing is kept of a call that fails.
struct Described {
    name: Vec<u8>,
    description: Option<Vec<u8>>,
    flags: Flags,
}

/// `redis.register_function(name, callback)`, `redis.register_function{function_name = …, callback = …, …}`
pub fn register<S: Host>(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    let is_loading = stack.with_host(|host: &mut S, _| host.scripts().registering.is_some())?;
    let outcome = match is_loading {
        true => describe(stack),
        false => Err("redis.register_function can only be called on FUNCTION LOAD command"),
    };
    let outcome = outcome.and_then(|described| check_name(&described.name).map(|()| described));
    let outcome = match outcome {
        // The callback is on top.
        Ok(described) => stack.with_host(|host: &mut S, stack| match &mut host.scripts().registering {
            Some(registering) => registering.add(described, stack),
            None => Ok(()),
        })?,
        Err(complaint) => Err(complaint),
    };
    outcome.map(|()| 0).map_err(|complaint| {
        push_error(stack, complaint.as_bytes());
        Raise::Value
    })
}

impl Registering {
    fn add(&mut self, described: Described, stack: &mut Stack<'_>) -> Result<(), &'static str> {
        if self.functions.iter().any(|function| function.name == described.name) {
            return Err("Function already exists in the library");
        }
        let Described { name, description, flags } = described;
        self.functions.push(Function { name, description, flags, callback: stack.keep() });
        Ok(())
    }
}

/// Reads the arguments and leaves the callback on top.
fn describe(stack: &mut Stack<'_>) -> Result<Described, &'static str> {
    match stack.top() {
        1 => describe_by_name(stack),
        2 => {
            let name = text(stack, 1).ok_or("first argument to redis.register_function must be a string")?;
            if stack.kind(2) != Kind::Function {
                return Err("second argument to redis.register_function must be a function");
            }
            Ok(Described { name, description: None, flags: Flags::default() })
        }
        _ => Err("wrong number of arguments to redis.register_function"),
    }
}

/// A string, or a number as one.
fn text(stack: &mut Stack<'_>, index: i32) -> Option<Vec<u8>> {
    // A copy, for a key that is converted where it stands would spoil the walk.
    stack.push_value(index);
    let text = stack.to_bytes(-1).map(<[u8]>::to_vec);
    stack.pop(1);
    text
}

fn describe_by_name(stack: &mut Stack<'_>) -> Result<Described, &'static str> {
    if stack.kind(1) != Kind::Table {
        return Err("calling redis.register_function with a single argument is only applicable to Lua table \
                    (representing named arguments).");
    }
    let (mut name, mut description, mut flags, mut callback) = (None, None, Flags::default(), None);
    stack.walk(1, |stack| {
        let key = text(stack, -2).ok_or("named argument key given to redis.register_function is not a string")?;
        match &key.to_ascii_lowercase()[..] {
            b"function_name" => {
                let given = text(stack, -1);
                name = Some(given.ok_or("function_name argument given to redis.register_function must be a string")?);
            }
            b"description" => {
                let given = text(stack, -1);
                description =
                    Some(given.ok_or("description argument given to redis.register_function must be a string")?);
            }
            b"callback" => {
                if stack.kind(-1) != Kind::Function {
                    return Err("callback argument given to redis.register_function must be a function");
                }
                callback = Some(key);
            }
            b"flags" => flags = read_flags(stack)?,
            _ => return Err("unknown argument given to redis.register_function"),
        }
        Ok(())
    })?;
    let name = name.ok_or("redis.register_function must get a function name argument")?;
    let callback = callback.ok_or("redis.register_function must get a callback argument")?;
    stack.set_top(1);
    stack.push_bytes(&callback);
    stack.raw_get(1);
    Ok(Described { name, description, flags })
}

/// The flags in the list on top, up to the first that is nil.
fn read_flags(stack: &mut Stack<'_>) -> Result<Flags, &'static str> {
    if stack.kind(-1) != Kind::Table {
        return Err("flags argument to redis.register_function must be a table representing function flags");
    }
    let mut flags = Flags::default();
    for number in 1.. {
        stack.raw_get_element(-1, number);
        let (kind, name) = (stack.kind(-1), text(stack, -1));
        stack.pop(1);
        if kind == Kind::Nil {
            break;
        }
        let flag = name.and_then(|name| Flags::by_name(&name.to_ascii_lowercase())).ok_or("unknown flag given")?;
        flags = flags.with(flag);
    }
    Ok(flags)
}
