//! Scripts: the engine, the sandbox that they run in, the libraries that they find (= eval.c, script.c, script_lua.c).
//!
//! # Which engine
//!
//! Lua 5.1.5 as its authors left it, compiled by `mlua-sys`, behind the safe door in `base::lua`. A probe decided between it,
//! the same behind `mlua`, and Luau:
//!
//! | | Lua 5.1 behind `base::lua` | Lua 5.1 behind `mlua` | Luau behind `mlua` |
//! |---|---|---|---|
//! | `0.1*3 .. ""`, `1e15 .. ""` | `0.3`, `1e+15` as Redis | the same | `0.30000000000000004`, `1000000000000000` |
//! | `nil.y`, `1 + {}`, `foo(` | words and places as Redis | the same, with a traceback | other words |
//! | what `pcall` sees of our errors | tables and strings as in Redis | userdata | userdata |
//! | a call of a function of ours, memory limited | 46 ns | 295 ns | 303 ns |
//! | a table of 100 strings made by it, memory limited | 2.3 µs | 28 µs | 28 µs |
//! | to build, for the first time | 8 s, needs a C compiler | 8 s | 64 s, needs a C++ compiler |
//!
//! Flaws of 5.1 that are known are kept out from outside; `sandbox` lists them with what keeps each out.
//!
//! # How a script runs
//!
//! The server takes the [`Engine`] out of itself, lends itself to it, and puts it back. Functions that the script calls find
//! the server through [`Host`]. There is no client of the scripts' own: a command of a script runs as one of its caller,
//! with the reply and the selected database put aside meanwhile.

pub mod convert;
pub mod engine;
pub mod flags;
pub mod functions;
pub mod host;
pub mod libraries;
mod prng;
mod redis_api;
pub mod sandbox;

pub use engine::{Dialect, Ending, Engine};
pub use flags::{Flags, Run};
pub use functions::Functions;
pub use host::Host;

use crate::base::hash::Keyed;
use crate::base::lua::Reference;
use crate::base::sha1::sha1_hex;
use std::collections::HashMap;
use std::rc::Rc;

/// The name of a script: its SHA-1 in hexadecimal digits.
pub type Sha = [u8; 40];

/// A script that is known.
#[derive(Debug)]
pub struct Script {
    /// Its name.
    pub sha: Sha,
    /// What it declares.
    pub flags: Flags,
    /// Its text.
    pub body: Rc<[u8]>,
    /// Its function.
    pub function: Reference,
}

/// The scripts that are known, the engine, and the run that goes on.
#[derive(Default)]
pub struct Scripts {
    /// Where scripts run. None while one runs, and before the first.
    pub engine: Option<Engine>,
    /// The run that goes on, or the last one.
    pub run: Run,
    /// The libraries of functions.
    pub functions: Functions,
    /// The library that is being loaded.
    pub registering: Option<functions::Registering>,
    /// Chance, for `math.random`.
    pub(crate) prng: prng::Prng,
    /// DEBUG SET-DISABLE-DENY-SCRIPTS: scripts may run every command.
    pub allows_all_commands: bool,
    by_sha: HashMap<Sha, Rc<Script>, Keyed>,
    by_body: HashMap<Rc<[u8]>, Rc<Script>, Keyed>,
    bytes: usize,
}

/// What stock counts for a script beside its text, in bytes.
const SCRIPT_BYTES: usize = size_of::<Script>() + 2 * size_of::<(Sha, Rc<Script>)>();

impl Scripts {
    /// The script of this text, if it is known.
    pub fn by_body(&self, body: &[u8]) -> Option<Rc<Script>> {
        self.by_body.get(body).cloned()
    }

    /// The script of this name, in letters of either case, if it is known.
    pub fn by_sha(&self, sha: &[u8]) -> Option<Rc<Script>> {
        let sha: Sha = sha.to_ascii_lowercase().try_into().ok()?;
        self.by_sha.get(&sha).cloned()
    }

    /// Makes a script of a text that is not known. A message if it makes no sense.
    pub fn create(&mut self, body: &[u8]) -> Result<Rc<Script>, Vec<u8>> {
        let (flags, text) = flags::parse_shebang(body)?;
        let engine = self.engine.as_mut().ok_or_else(|| b"scripts cannot run".to_vec())?;
        let function = engine
            .compile(text, b"@user_script")
            .map_err(|message| [b"Error compiling script (new function): ".as_slice(), &message].concat())?;
        let body: Rc<[u8]> = Rc::from(body);
        let script = Rc::new(Script { sha: sha1_hex(&body), flags, body: Rc::clone(&body), function });
        self.bytes += body.len() + SCRIPT_BYTES;
        self.by_sha.insert(script.sha, Rc::clone(&script));
        self.by_body.insert(body, Rc::clone(&script));
        Ok(script)
    }

    /// Forgets all scripts, and all that they have left in the engine.
    pub fn flush(&mut self) {
        self.by_sha.clear();
        self.by_body.clear();
        self.bytes = 0;
        self.engine = None;
    }

    /// How many scripts are known.
    pub fn len(&self) -> usize {
        self.by_sha.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.by_sha.is_empty()
    }

    /// Bytes held for the scripts, those in the engine not counted.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes in use in the engine.
    pub fn engine_bytes(&self) -> usize {
        self.engine.as_ref().map_or(0, Engine::memory)
    }
}
