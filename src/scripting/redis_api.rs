//! The table `redis` that scripts find, and `math.random` (= the API half of script_lua.c).

use super::convert::{push_error, push_reply, push_status};
use super::engine::Dialect;
use super::{Host, functions, sandbox};
use crate::base::lua::{Kind, Native, Raise, Stack};
use crate::base::numbers;
use crate::base::sha1::sha1_hex;
use crate::resp::request::OwnedArgv;

/// What this server says it is.
const VERSION: &str = "7.2.4";
const VERSION_NUMBER: f64 = 0x0007_0204 as f64;

/// So many of the constants, the first, are levels of the log.
const LOG_LEVELS: usize = 4;

const CONSTANTS: [(&str, f64); 9] = [
    ("LOG_DEBUG", 0.0),
    ("LOG_VERBOSE", 1.0),
    ("LOG_NOTICE", 2.0),
    ("LOG_WARNING", 3.0),
    ("REPL_NONE", 0.0),
    ("REPL_AOF", 1.0),
    ("REPL_SLAVE", 2.0),
    ("REPL_REPLICA", 2.0),
    ("REPL_ALL", 3.0),
];

/// Puts the table `redis` into the table on top.
pub fn register<S: Host>(stack: &mut Stack<'_>, dialect: Dialect) {
    let functions: [(&str, Native); 9] = [
        ("call", call::<S>),
        ("pcall", pcall::<S>),
        ("log", log::<S>),
        ("setresp", setresp::<S>),
        ("error_reply", error_reply),
        ("status_reply", status_reply),
        ("sha1hex", sha1hex),
        ("set_repl", set_repl::<S>),
        ("acl_check_cmd", acl_check_cmd::<S>),
    ];
    let of_scripts: [(&str, Native); 3] =
        [("replicate_commands", replicate_commands), ("breakpoint", breakpoint), ("debug", |_| Ok(0))];
    stack.push_table(0, 32);
    for (name, function) in functions {
        stack.set_native(-1, name, function);
    }
    if dialect == Dialect::Scripts {
        of_scripts.into_iter().for_each(|(name, function)| stack.set_native(-1, name, function));
    }
    set_constants(stack, &CONSTANTS);
    stack.raw_set_field(-2, "redis");
}

/// Puts the table `redis` that libraries find while they are loaded into the table on top.
pub fn register_for_libraries<S: Host>(stack: &mut Stack<'_>) {
    stack.push_table(0, 8);
    stack.set_native(-1, "register_function", functions::register::<S>);
    stack.set_native(-1, "log", log::<S>);
    set_constants(stack, &CONSTANTS[..LOG_LEVELS]);
    sandbox::seal(stack);
    sandbox::push_proxy(stack);
    stack.raw_set_field(-2, "redis");
}

fn set_constants(stack: &mut Stack<'_>, constants: &[(&str, f64)]) {
    for (name, value) in constants {
        stack.push_number(*value);
        stack.raw_set_field(-2, name);
    }
    stack.push_bytes(VERSION.as_bytes());
    stack.raw_set_field(-2, "REDIS_VERSION");
    stack.push_number(VERSION_NUMBER);
    stack.raw_set_field(-2, "REDIS_VERSION_NUM");
}

/// An error that begins with its code.
fn coded(stack: &mut Stack<'_>, text: &str) -> Raise {
    push_error(stack, text.as_bytes());
    Raise::Value
}

/// Copies the arguments to where commands are run from; a complaint if there is none, or one is no text.
fn take_args(stack: &mut Stack<'_>, args: &mut OwnedArgv) -> Result<(), &'static str> {
    let count = stack.top();
    if count == 0 {
        return Err("Please specify at least one argument for this redis lib call");
    }
    args.clear();
    for index in 1..=count {
        match stack.kind(index) {
            Kind::Str => args.push(stack.bytes(index).unwrap_or_default()),
            Kind::Number => push_number(stack.number(index).unwrap_or_default(), args),
            _ => return Err("Lua redis lib command arguments must be strings or integers"),
        }
    }
    Ok(())
}

/// Whole numbers as such, others with 17 digits.
fn push_number(number: f64, args: &mut OwnedArgv) {
    let whole = number as i64;
    if whole as f64 == number && whole.unsigned_abs() < 1 << 53 && (whole != 0 || number.is_sign_positive()) {
        args.push(itoa::Buffer::new().format(whole).as_bytes());
    } else if number.is_nan() {
        args.push(if number.is_sign_negative() { b"-nan" } else { b"nan" });
    } else {
        let mut text = Vec::with_capacity(32);
        numbers::format_g17(number, &mut text);
        args.push(&text);
    }
}

fn run_command<S: Host>(stack: &mut Stack<'_>) -> Result<bool, Raise> {
    stack.with_host(|host: &mut S, stack| {
        let mut run = std::mem::take(&mut host.scripts().run);
        let outcome = match take_args(stack, &mut run.args) {
            Ok(()) => {
                host.call_from_script(&mut run);
                let is_error = run.reply.out.first() == Some(&b'-');
                push_reply(stack, &run.reply.out).map(|()| is_error)
            }
            Err(complaint) => {
                push_error(stack, complaint.as_bytes());
                Ok(true)
            }
        };
        host.scripts().run = run;
        outcome
    })?
}

fn call<S: Host>(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    if run_command::<S>(stack)? { Err(Raise::Value) } else { Ok(1) }
}

fn pcall<S: Host>(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    run_command::<S>(stack).map(|_| 1)
}

fn log<S: Host>(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    if stack.top() < 2 {
        return Err(coded(stack, "redis.log() requires two arguments or more."));
    }
    let Some(level) = stack.number(1) else {
        return Err(coded(stack, "First argument must be a number (log level)."));
    };
    let level = level as i64;
    if !(0..=3).contains(&level) {
        return Err(coded(stack, "Invalid debug level."));
    }
    let mut text = Vec::new();
    for index in 2..=stack.top() {
        if let Some(part) = stack.to_bytes(index) {
            if index > 2 && !text.is_empty() {
                text.push(b' ');
            }
            text.extend_from_slice(part);
        }
    }
    stack.with_host(|host: &mut S, _| host.log_from_script(level as u8, &text))?;
    Ok(0)
}

fn setresp<S: Host>(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    if stack.top() != 1 {
        return Err(coded(stack, "redis.setresp() requires one argument."));
    }
    let version = stack.number(1).unwrap_or_default() as i64;
    if !(2..=3).contains(&version) {
        return Err(coded(stack, "RESP version must be 2 or 3."));
    }
    stack.with_host(|host: &mut S, _| host.scripts().run.reply.resp3 = version == 3)?;
    Ok(0)
}

/// The only argument, if it is a string.
fn only_text(stack: &mut Stack<'_>) -> Option<Vec<u8>> {
    let text = stack.bytes(1).filter(|_| stack.top() == 1).map(<[u8]>::to_vec);
    if text.is_none() {
        push_error(stack, b"wrong number or type of arguments");
    }
    text
}

fn error_reply(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    if let Some(text) = only_text(stack) {
        let has_code = text.first() == Some(&b'-');
        let is_one_word = !text.contains(&b' ');
        match (has_code, is_one_word) {
            (false, false) => push_error(stack, &[b"-", &text[..]].concat()),
            _ => push_error(stack, &text),
        }
    }
    Ok(1)
}

fn status_reply(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    if let Some(text) = only_text(stack) {
        push_status(stack, &text);
    }
    Ok(1)
}

fn sha1hex(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    if stack.top() != 1 {
        return Err(coded(stack, "wrong number of arguments"));
    }
    let digest = sha1_hex(stack.to_bytes(1).unwrap_or_default());
    stack.push_bytes(&digest);
    Ok(1)
}

/// Which of the log on disk and the replicas hears of what follows. What is not told to all is told to nobody, for both
/// read the same log.
fn set_repl<S: Host>(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    if stack.top() != 1 {
        return Err(coded(stack, "redis.set_repl() requires two arguments."));
    }
    let flags = stack.number(1).unwrap_or_default() as i64;
    if !(0..=3).contains(&flags) {
        return Err(coded(stack, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE."));
    }
    stack.with_host(|host: &mut S, _| host.scripts().run.replicates = flags & 2 != 0)?;
    Ok(0)
}

fn replicate_commands(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    stack.push_boolean(true);
    Ok(1)
}

fn breakpoint(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    stack.push_boolean(false);
    Ok(1)
}

fn acl_check_cmd<S: Host>(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    let mut args = OwnedArgv::default();
    if let Err(complaint) = take_args(stack, &mut args) {
        return Err(coded(stack, complaint));
    }
    match stack.with_host(|host: &mut S, _| host.caller_may_run(args.argv()))? {
        Some(may) => {
            stack.push_boolean(may);
            Ok(1)
        }
        None => Err(coded(stack, "Invalid command passed to redis.acl_check_cmd()")),
    }
}
