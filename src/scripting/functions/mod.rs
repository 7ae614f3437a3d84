//! Functions: libraries of them, kept under their names as part of the data (= functions.c and function_lua.c).
//!
//! All libraries live in one state of Lua, which is not that of the scripts. While a library is loaded its code finds
//! nothing but `redis.register_function`, `redis.log` and a few constants; what it registers finds what scripts find.
//!
//! ```text
//! code     #!lua name=mylib\n chunk        the chunk runs once, and registers functions
//! Catalog  libraries by name (exactly), functions by name (in letters of either case)
//! ```

mod metadata;
mod register;

pub use register::register;

use super::engine::{Dialect, Engine};
use super::{Flags, Host};
use crate::base::hash::Keyed;
use crate::base::lua::Reference;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// A function of a library.
#[derive(Debug)]
pub struct Function {
    /// Its name as it was registered.
    pub name: Vec<u8>,
    /// What it is said to be for.
    pub description: Option<Vec<u8>>,
    /// What it declares.
    pub flags: Flags,
    /// What is run.
    pub callback: Reference,
}

/// A library.
#[derive(Debug)]
pub struct Library {
    /// Its name.
    pub name: Vec<u8>,
    /// Its whole code, as it was given.
    pub code: Rc<[u8]>,
    /// What it registered, by name.
    pub functions: Vec<Rc<Function>>,
}

impl Library {
    fn bytes(&self) -> usize {
        let functions = self.functions.iter().map(|function| {
            2 * function.name.len() + function.description.as_ref().map_or(0, Vec::len) + size_of::<Function>()
        });
        self.code.len() + self.name.len() + size_of::<Library>() + functions.sum::<usize>()
    }
}

/// The library that is being loaded, as far as it has come.
#[derive(Debug)]
pub struct Registering {
    functions: Vec<Function>,
    /// When it is to end at the latest, in microseconds of the monotonic clock.
    pub until_us: u64,
}

/// What RESTORE does with the libraries that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// They go.
    Flush,
    /// They stay, and none may come that is there.
    Append,
    /// They stay, but for those that come.
    Replace,
}

/// Libraries and their functions by name.
#[derive(Debug, Default)]
struct Catalog {
    libraries: BTreeMap<Vec<u8>, Library>,
    /// By their names in small letters.
    functions: HashMap<Vec<u8>, Rc<Function>, Keyed>,
    count: usize,
    bytes: usize,
}

impl Catalog {
    /// The first function of a library that has the name of one that is here and not of the library `but`.
    fn collision(&self, library: &Library, but: Option<&Library>) -> Option<Vec<u8>> {
        let collides = |function: &&Rc<Function>| {
            self.find(&function.name)
                .is_some_and(|known| !but.is_some_and(|but| but.functions.iter().any(|own| Rc::ptr_eq(own, &known))))
        };
        library.functions.iter().find(collides).map(|function| function.name.clone())
    }

    fn find(&self, name: &[u8]) -> Option<Rc<Function>> {
        if name.iter().any(u8::is_ascii_uppercase) {
            return self.functions.get(&name.to_ascii_lowercase()).cloned();
        }
        self.functions.get(name).cloned()
    }

    /// Adds a library whose name and functions are not here yet.
    fn link(&mut self, library: Library) {
        self.count += library.functions.len();
        self.bytes += library.bytes();
        for function in &library.functions {
            // Names within a library may differ by the size of letters only; then the first is found.
            self.functions.entry(function.name.to_ascii_lowercase()).or_insert_with(|| Rc::clone(function));
        }
        self.libraries.insert(library.name.clone(), library);
    }

    fn unlink(&mut self, name: &[u8]) -> Option<Library> {
        let library = self.libraries.remove(name)?;
        self.count -= library.functions.len();
        self.bytes -= library.bytes();
        for function in &library.functions {
            self.functions.remove(&function.name.to_ascii_lowercase());
        }
        Some(library)
    }
}

/// The libraries, and the engine that they live in.
#[derive(Default)]
pub struct Functions {
    /// Where functions run. None while one runs, and before the first library.
    pub engine: Option<Engine>,
    catalog: Catalog,
}

impl Functions {
    /// The function of this name, in letters of either case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<Rc<Function>> {
        self.catalog.find(name)
    }

    /// The libraries by name.
    pub fn libraries(&self) -> impl ExactSizeIterator<Item = &Library> {
        self.catalog.libraries.values()
    }

    /// How many functions there are.
    pub fn count(&self) -> usize {
        self.catalog.count
    }

    /// Bytes held for them, those in the engine not counted.
    pub fn bytes(&self) -> usize {
        self.catalog.bytes
    }

    /// Bytes in use in the engine.
    pub fn engine_bytes(&self) -> usize {
        self.engine.as_ref().map_or(0, Engine::memory)
    }

    /// Makes a library of its code: its name, or what is wrong. Nothing has changed in that case.
    pub fn load<S: Host>(
        &mut self,
        host: &mut S,
        code: &[u8],
        replace: bool,
        until_us: u64,
    ) -> Result<Vec<u8>, Vec<u8>> {
        let library = create(&mut self.engine, &self.catalog, host, code, replace, until_us)?;
        let name = library.name.clone();
        let former = self.catalog.unlink(&name);
        self.catalog.link(library);
        former.into_iter().for_each(|former| self.forget(former));
        Ok(name)
    }

    /// Takes libraries in, all of them or none. `flaw` is what is wrong behind the last of them.
    pub fn restore<S: Host>(
        &mut self,
        host: &mut S,
        codes: &[Vec<u8>],
        flaw: Option<&str>,
        policy: Policy,
        until_us: u64,
    ) -> Result<(), Vec<u8>> {
        let mut staged = Catalog::default();
        let outcome = self.stage(host, codes, &mut staged, until_us).and_then(|()| match flaw {
            Some(flaw) => Err(flaw.into()),
            None => self.check_join(&staged, policy),
        });
        let former: Vec<Vec<u8>> = match (&outcome, policy) {
            (Err(_), _) => Vec::new(),
            (Ok(()), Policy::Flush) => self.catalog.libraries.keys().cloned().collect(),
            (Ok(()), _) => staged.libraries.keys().cloned().collect(),
        };
        for name in former {
            self.delete(&name);
        }
        let staged = staged.libraries.into_values();
        match &outcome {
            Ok(()) => staged.for_each(|library| self.catalog.link(library)),
            Err(_) => staged.for_each(|library| self.forget(library)),
        }
        outcome
    }

    fn stage<S: Host>(
        &mut self,
        host: &mut S,
        codes: &[Vec<u8>],
        staged: &mut Catalog,
        until_us: u64,
    ) -> Result<(), Vec<u8>> {
        for code in codes {
            let library = create(&mut self.engine, staged, host, code, false, until_us)?;
            staged.link(library);
        }
        Ok(())
    }

    /// Whether what is staged can join what is there.
    fn check_join(&self, staged: &Catalog, policy: Policy) -> Result<(), Vec<u8>> {
        if policy == Policy::Flush {
            return Ok(());
        }
        let known = |library: &&Library| self.catalog.libraries.contains_key(&library.name);
        if policy == Policy::Append
            && let Some(library) = staged.libraries.values().find(known)
        {
            return Err([b"Library ", &library.name[..], b" already exists"].concat());
        }
        // What is replaced makes room for any of those that come.
        let goes = |function: &Rc<Function>| {
            let mut replaced = staged.libraries.keys().filter_map(|name| self.catalog.libraries.get(name));
            replaced.any(|library| library.functions.iter().any(|own| Rc::ptr_eq(own, function)))
        };
        let coming = staged.libraries.values().flat_map(|library| &library.functions);
        for function in coming {
            if self.find(&function.name).is_some_and(|known| !goes(&known)) {
                return Err([b"Function ", &function.name[..], b" already exists"].concat());
            }
        }
        Ok(())
    }

    /// Forgets a library; `false` if there is none of this name.
    pub fn delete(&mut self, name: &[u8]) -> bool {
        let library = self.catalog.unlink(name);
        let is_there = library.is_some();
        library.into_iter().for_each(|library| self.forget(library));
        is_there
    }

    /// Forgets everything, the engine too.
    pub fn flush(&mut self) {
        *self = Functions::default();
    }

    fn forget(&mut self, library: Library) {
        release(&mut self.engine, library.functions.into_iter().filter_map(Rc::into_inner));
    }
}

fn release(engine: &mut Option<Engine>, functions: impl Iterator<Item = Function>) {
    if let Some(engine) = engine {
        functions.for_each(|function| engine.forget(function.callback));
    }
}

/// Runs a library's code (= functionsCreateWithLibraryCtx). It may have no name that is in the catalog already, save for
/// the library's own where it is to `replace` that.
fn create<S: Host>(
    engine: &mut Option<Engine>,
    catalog: &Catalog,
    host: &mut S,
    code: &[u8],
    replace: bool,
    until_us: u64,
) -> Result<Library, Vec<u8>> {
    let (name, text) = metadata::parse(code)?;
    let former = catalog.libraries.get(&name);
    if former.is_some() && !replace {
        return Err([b"Library '", &name[..], b"' already exists"].concat());
    }
    if engine.is_none() {
        *engine = Engine::new::<S>(Dialect::Functions);
    }
    let running = engine.as_mut().ok_or_else(|| b"functions cannot run".to_vec())?;
    host.scripts().registering = Some(Registering { functions: Vec::new(), until_us });
    let outcome = running.load_library(host, text);
    let mut functions = host.scripts().registering.take().map(|registering| registering.functions).unwrap_or_default();
    functions.sort_by(|one, other| one.name.cmp(&other.name));
    let outcome = outcome.and_then(|()| match functions.is_empty() {
        true => Err(b"No functions registered".to_vec()),
        false => Ok(()),
    });
    if let Err(complaint) = outcome {
        release(engine, functions.into_iter());
        return Err(complaint);
    }
    let library = Library { name, code: code.into(), functions: functions.into_iter().map(Rc::new).collect() };
    if let Some(function) = catalog.collision(&library, former) {
        release(engine, library.functions.into_iter().filter_map(Rc::into_inner));
        return Err([b"Function ", &function[..], b" already exists"].concat());
    }
    Ok(library)
}
