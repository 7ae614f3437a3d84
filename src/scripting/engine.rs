//! The engine: one state of Lua with the sandbox in it, and how a function is run in it (= luaCallFunction).

use super::convert::{ReturnedError, reply_value};
use super::{Host, prng, redis_api, sandbox};
use crate::base::lua::{Kind, Lua, Raise, Reference, Stack};
use crate::resp::reply::Reply;

/// Instructions between two questions whether a script may go on.
pub const HOOK_EVERY: i32 = 100_000;

/// The most memory that an engine takes, in bytes. Stock sets no limit, and a script can have the whole server killed for
/// want of memory; here it gets `not enough memory`. Enough for the longest string and a reply that holds it.
const MEMORY_MAX: usize = 1 << 30;

/// What runs in an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Scripts: EVAL and its kin.
    Scripts,
    /// Functions of libraries.
    Functions,
}

/// A state of Lua that scripts run in.
pub struct Engine {
    lua: Lua,
    /// The hidden table of global variables.
    globals: Reference,
    /// What is in its place while a library is loaded.
    library_globals: Option<Reference>,
    /// What an error goes through where it happens.
    error_handler: Reference,
    /// Runs since the collector went a step.
    runs: u32,
}

/// Runs between two steps of the collector, which otherwise goes by what is allocated.
const RUNS_PER_STEP: u32 = 50;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With a result, which is in the reply. The errors in it.
    Done(Vec<ReturnedError>),
    /// With an error, which is to be the reply.
    Failed(ReturnedError),
}

impl Engine {
    /// A state with all that scripts find. None if there is no memory for it.
    pub fn new<S: Host>(dialect: Dialect) -> Option<Engine> {
        let mut lua = Lua::new()?;
        sandbox::open(&mut lua);
        let mut stack = lua.stack();
        stack.push_globals();
        redis_api::register::<S>(&mut stack, dialect);
        prng::register::<S>(&mut stack);
        super::libraries::register(&mut stack);
        if dialect == Dialect::Scripts {
            stack.set_native(-1, "__redis__err__handler", error_handler);
        }
        let globals = stack.keep();
        let library_globals = (dialect == Dialect::Functions).then(|| {
            stack.push_table(0, 1);
            redis_api::register_for_libraries::<S>(&mut stack);
            sandbox::seal(&mut stack);
            stack.keep()
        });
        stack.push_native(error_handler);
        let error_handler = stack.keep();
        sandbox::close(&mut lua);
        lua.set_hook(hook::<S>, HOOK_EVERY);
        lua.set_memory_limit(MEMORY_MAX);
        Some(Engine { lua, globals, library_globals, error_handler, runs: 0 })
    }

    /// Bytes in use.
    pub fn memory(&self) -> usize {
        self.lua.memory()
    }

    /// The stack, to prepare something that is run later.
    pub fn stack(&mut self) -> Stack<'_> {
        self.lua.stack()
    }

    /// Makes a function of a script's text; a message if it makes no sense.
    pub fn compile(&mut self, text: &[u8], name: &[u8]) -> Result<Reference, Vec<u8>> {
        let mut stack = self.lua.stack();
        if stack.load(text, name) {
            return Ok(stack.keep());
        }
        let message = stack.bytes(-1).unwrap_or_default().to_vec();
        stack.pop(1);
        // The collector stands still while a text is parsed, and nothing runs here that would make it go on.
        (0..=text.len() / 1024).for_each(|_| stack.collect_step());
        Err(message)
    }

    /// Keeps a function no longer.
    pub fn forget(&mut self, function: Reference) {
        self.lua.stack().release(function);
    }

    /// Sets the global variables KEYS and ARGV.
    pub fn set_keys_and_args<'a>(
        &mut self,
        keys: impl ExactSizeIterator<Item = &'a [u8]>,
        args: impl ExactSizeIterator<Item = &'a [u8]>,
    ) {
        let mut stack = self.lua.stack();
        stack.push_kept(&self.globals);
        push_list(&mut stack, keys);
        stack.raw_set_field(-2, "KEYS");
        push_list(&mut stack, args);
        stack.raw_set_field(-2, "ARGV");
        stack.pop(1);
    }

    /// Runs the code of a library, which finds nothing but what it needs to register functions. What is wrong with it if
    /// it fails.
    pub fn load_library<S: Host>(&mut self, host: &mut S, text: &[u8]) -> Result<(), Vec<u8>> {
        let chunk = self
            .compile(text, b"@user_function")
            .map_err(|message| [b"Error compiling function: ", &message[..]].concat())?;
        self.show_globals(true);
        let handler = &self.error_handler;
        let outcome = self.lua.lend(host, |stack| {
            stack.set_top(0);
            stack.push_kept(handler);
            stack.push_kept(&chunk);
            let outcome = match stack.call(0, 0, Some(1)) {
                true => Ok(()),
                false if stack.kind(-1) == Kind::Table => {
                    Err(text_field(stack, "err").unwrap_or_else(|| b"unknown error".to_vec()))
                }
                false => Err(stack.to_bytes(-1).unwrap_or_default().to_vec()),
            };
            stack.set_top(0);
            outcome
        });
        self.show_globals(false);
        self.forget(chunk);
        self.lua.stack().hook_every(HOOK_EVERY);
        outcome.map_err(|complaint| [b"Error registering functions: ", &complaint[..]].concat())
    }

    /// Sets which global variables are found: those of libraries that are being loaded, or those of functions.
    fn show_globals(&mut self, loads: bool) {
        let Some(library_globals) = &self.library_globals else { return };
        let shown = if loads { library_globals } else { &self.globals };
        sandbox::show(&mut self.lua.stack(), shown);
    }

    /// Runs a function; `push_args` pushes its arguments and tells how many they are. Errors call it by the run's name.
    pub fn run<S: Host>(
        &mut self,
        host: &mut S,
        function: &Reference,
        push_args: impl FnOnce(&mut Stack<'_>) -> i32,
        reply: &mut Reply,
    ) -> Ending {
        let handler = &self.error_handler;
        let ending = self.lua.lend(host, |stack| {
            stack.set_top(0);
            stack.push_kept(handler);
            stack.push_kept(function);
            let args = push_args(stack);
            let done = stack.call(args, 1, Some(1));
            let ending = if done {
                let resp3 = stack.with_host(|host: &mut S, _| host.scripts().run.reply.resp3).unwrap_or(false);
                let mut errors = Vec::new();
                reply_value(stack, reply, resp3, &mut |error| errors.push(error));
                Ending::Done(errors)
            } else {
                let name = stack.with_host(|host: &mut S, _| host.scripts().run.name.clone()).unwrap_or_default();
                Ending::Failed(describe_error(stack, &name))
            };
            stack.set_top(0);
            ending
        });
        self.runs += 1;
        if self.runs >= RUNS_PER_STEP {
            self.runs = 0;
            self.lua.stack().collect_step();
        }
        // A script that was killed has made the hook more eager.
        self.lua.stack().hook_every(HOOK_EVERY);
        ending
    }
}

/// Pushes a list of strings.
pub fn push_list<'a>(stack: &mut Stack<'_>, items: impl ExactSizeIterator<Item = &'a [u8]>) {
    stack.push_table(items.len(), 0);
    for (number, item) in (1..).zip(items) {
        stack.push_bytes(item);
        stack.raw_set_element(-2, number);
    }
}

/// Makes a table of an error, with the place where it happened (= `__redis__err__handler`).
fn error_handler(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    stack.set_top(1);
    if stack.kind(1) != Kind::Table {
        let shown: &[u8] = match stack.kind(1) {
            Kind::Nil => b"nil",
            Kind::Boolean if stack.boolean(1) => b"true",
            Kind::Boolean => b"false",
            _ => stack.to_bytes(1).unwrap_or(b"unknown error"),
        };
        let text = [b"ERR ", shown].concat();
        stack.push_table(0, 3);
        stack.push_bytes(&text);
        stack.raw_set_field(-2, "err");
        stack.replace(1);
    }
    let place = stack.position(1).filter(|place| place.line >= 0).or_else(|| stack.position(2));
    if let Some(place) = place {
        stack.push_bytes(&place.name);
        stack.raw_set_field(1, "source");
        stack.push_number(f64::from(place.line));
        stack.raw_set_field(1, "line");
    }
    Ok(1)
}

/// The text of a field of the table on top, if it is text.
fn text_field(stack: &mut Stack<'_>, name: &str) -> Option<Vec<u8>> {
    stack.raw_get_field(-1, name);
    let text = stack.to_bytes(-1).map(<[u8]>::to_vec);
    stack.pop(1);
    text
}

fn describe_error(stack: &mut Stack<'_>, name: &[u8]) -> ReturnedError {
    if stack.kind(-1) != Kind::Table {
        // Not even the handler could run.
        let text = [b"ERR ", stack.to_bytes(-1).unwrap_or(b"unknown error"), b" script: ", name].concat();
        return ReturnedError { text, is_counted: false };
    }
    let text = text_field(stack, "err").unwrap_or_else(|| b"ERR unknown error".to_vec());
    stack.raw_get_field(-1, "ignore_error_stats_update");
    let is_counted = stack.boolean(-1);
    stack.pop(1);
    let place = match (text_field(stack, "source"), text_field(stack, "line")) {
        (Some(source), Some(line)) => [b", on ", &source[..], b":", &line, b"."].concat(),
        _ => Vec::new(),
    };
    ReturnedError { text: [&text, b" script: ".as_slice(), name, &place].concat(), is_counted }
}

/// Asks the server whether the script may go on. One that is to end is asked at every instruction from then on, so that
/// no `pcall` of it can swallow that.
fn hook<S: Host>(stack: &mut Stack<'_>) -> Result<(), Raise> {
    let Some(why) = stack.with_host(|host: &mut S, _| host.interrupt())? else { return Ok(()) };
    stack.hook_every(1);
    Err(Raise::error(why))
}
