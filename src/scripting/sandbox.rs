//! What scripts find: the libraries of Lua without what is dangerous, in tables that nobody can change.
//!
//! # Read-only tables
//!
//! Lua 5.1 has none. Each table that is to be read-only is hidden behind a proxy: an empty table whose metatable reads
//! from the hidden one and refuses writes. The functions that go past metamethods (`rawget`, `next`, `table.insert` and so
//! on) are replaced by ours, which know a proxy by a mark in its metatable. The table of global variables is such a proxy,
//! too, so chunks and coroutines made later see no other.
//!
//! # Flaws of Lua 5.1 that are kept out
//!
//! | flaw | what keeps it out |
//! |---|---|
//! | the parser's strings may be collected while it runs (CVE-2025-49844) | the collector stands still: `Stack::load` |
//! | `unpack` counts in an `int` (CVE-2025-46817) | our `unpack` counts in 64 bits |
//! | signs of a long bracket are counted in an `int` (CVE-2025-46819) | chunks are shorter: `CHUNK_LEN_MAX` |
//! | metatables of strings can be changed (CVE-2025-46818) | it is shown as a proxy |
//! | bytecode is not checked | chunks are text: `Stack::load` |
//! | a pattern of many parts exhausts the C stack | patterns longer than [`PATTERN_LEN_MAX`] are refused |
//! | a reader of `load` runs in the midst of the parser | our `load` asks it for all of the text before |

use crate::base::lua::{Kind, Library, Lua, Native, Raise, Reference, Stack};

/// The longest pattern, in bytes: each part of one may take a frame of the C stack.
pub const PATTERN_LEN_MAX: usize = 20_000;

/// Marks the hidden table in a proxy's metatable.
const HIDDEN: usize = 1;
/// Marks what `getmetatable` shows in a metatable.
const SHOWN: usize = 2;

const READ_ONLY: &[u8] = b"Attempt to modify a readonly table";

/// What the library `base` has and scripts must not.
const FORBIDDEN: [&str; 8] = ["dofile", "loadfile", "newproxy", "print", "setfenv", "getfenv", "module", "require"];

/// Opens the libraries and replaces what must be replaced. Globals are not read-only yet.
pub fn open(lua: &mut Lua) {
    for library in [Library::Base, Library::Table, Library::String, Library::Math] {
        lua.open(library);
    }
    let mut stack = lua.stack();
    stack.push_globals();
    for name in FORBIDDEN {
        stack.push_nil();
        stack.raw_set_field(-2, name);
    }
    let replaced: [(&str, Native); 9] = [
        ("getmetatable", getmetatable),
        ("setmetatable", setmetatable),
        ("rawget", rawget),
        ("rawset", rawset),
        ("next", next),
        ("load", load),
        ("loadstring", loadstring),
        ("unpack", unpack),
        ("pcall", pcall),
    ];
    stack.raw_get_field(-1, "next");
    stack.push_native_with(pairs);
    stack.raw_set_field(-2, "pairs");
    for (name, native) in replaced {
        stack.set_native(-1, name, native);
    }
    stack.raw_get_field(-1, "table");
    stack.set_native(-1, "insert", table_insert);
    wrap(&mut stack, "foreach", on_hidden);
    stack.pop(1);
    stack.raw_get_field(-1, "string");
    for name in ["find", "match", "gmatch", "gfind", "gsub"] {
        stack.raw_get_field(-1, name);
        stack.push_limited(2, PATTERN_LEN_MAX, c"pattern too long");
        stack.raw_set_field(-2, name);
    }
    stack.pop(2);
}

/// Replaces a function in the table on top by one of ours that holds on to it.
fn wrap(stack: &mut Stack<'_>, name: &str, native: Native) {
    stack.raw_get_field(-1, name);
    stack.push_native_with(native);
    stack.raw_set_field(-2, name);
}

/// Makes the global table and every table in it read-only, and strings' metatable as well.
pub fn close(lua: &mut Lua) {
    let mut stack = lua.stack();
    stack.push_globals();
    let mut libraries = Vec::new();
    let done = stack.walk::<()>(-1, |stack| {
        if let (Kind::Str, Kind::Table) = (stack.kind(-2), stack.kind(-1)) {
            libraries.push(String::from_utf8_lossy(stack.bytes(-2).unwrap_or_default()).into_owned());
        }
        Ok(())
    });
    debug_assert!(done.is_ok());
    for name in libraries.iter().filter(|name| *name != "_G") {
        stack.raw_get_field(-1, name);
        push_proxy(&mut stack);
        stack.raw_set_field(-2, name);
    }
    close_strings(&mut stack);
    // `getmetatable(_G)` shows how what is not there is an error.
    seal(&mut stack);
    stack.push_metatable(-1);
    push_proxy(&mut stack);
    let shown = stack.keep();
    push_proxy(&mut stack);
    stack.push_metatable(-1);
    stack.push_mark(SHOWN);
    stack.push_kept(&shown);
    stack.raw_set(-3);
    stack.release(shown);
    stack.pop(1);
    // The hidden table names the proxy.
    push_hidden(&mut stack, -1);
    stack.push_value(-2);
    stack.raw_set_field(-2, "_G");
    stack.pop(1);
    stack.set_globals();
}

/// Makes it an error to ask for what is not in the table on top.
pub fn seal(stack: &mut Stack<'_>) {
    stack.push_table(0, 1);
    stack.set_native(-1, "__index", missing_global);
    stack.set_metatable(-2);
}

/// Has global variables looked for in this table from now on. It is hidden, as the one before; that one must not be
/// shown by anything else meanwhile.
pub fn show(stack: &mut Stack<'_>, globals: &Reference) {
    stack.push_globals();
    if stack.push_metatable(-1) {
        stack.push_kept(globals);
        stack.raw_set_field(-2, "__index");
        stack.pop(1);
    }
    stack.pop(1);
}

/// Methods of strings are found at once; what is shown of their metatable is made for show.
fn close_strings(stack: &mut Stack<'_>) {
    stack.raw_get_field(-1, "string");
    let library = stack.keep();
    stack.push_bytes(b"");
    if stack.push_metatable(-1) {
        stack.push_table(0, 1);
        stack.push_kept(&library);
        stack.raw_set_field(-2, "__index");
        push_proxy(stack);
        stack.push_mark(SHOWN);
        stack.insert(-2);
        stack.raw_set(-3);
        stack.pop(1);
    }
    stack.release(library);
    stack.pop(1);
}

/// Replaces the table on top by a proxy of it.
pub fn push_proxy(stack: &mut Stack<'_>) {
    stack.push_table(0, 0);
    stack.push_table(0, 4);
    stack.push_value(-3);
    stack.raw_set_field(-2, "__index");
    stack.set_native(-1, "__newindex", refuse_write);
    stack.push_mark(HIDDEN);
    stack.push_value(-4);
    stack.raw_set(-3);
    stack.set_metatable(-2);
    stack.remove(-2);
}

/// Pushes the table that a proxy hides, if this is one.
pub fn push_hidden(stack: &mut Stack<'_>, index: i32) -> bool {
    if stack.kind(index) != Kind::Table || !stack.push_metatable(index) {
        return false;
    }
    stack.push_mark(HIDDEN);
    stack.raw_get(-2);
    stack.remove(-2);
    if stack.kind(-1) == Kind::Table {
        return true;
    }
    stack.pop(1);
    false
}

/// Puts the hidden table in place of a proxy.
fn uncover(stack: &mut Stack<'_>, index: i32) {
    if push_hidden(stack, index) {
        stack.replace(index);
    }
}

fn refuse_write(_stack: &mut Stack<'_>) -> Result<usize, Raise> {
    Err(Raise::Error(READ_ONLY.to_vec()))
}

fn missing_global(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    let name = stack.to_bytes(2).unwrap_or_default();
    let name = crate::commands::error::c_string(name);
    Err(Raise::Error([b"Script attempted to access nonexistent global variable '", name, b"'"].concat()))
}

fn getmetatable(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    stack.check_any(1)?;
    if !stack.push_metatable(1) {
        stack.push_nil();
        return Ok(1);
    }
    stack.push_mark(SHOWN);
    stack.raw_get(-2);
    if stack.kind(-1) == Kind::Table {
        return Ok(1);
    }
    stack.pop(1);
    stack.push_mark(HIDDEN);
    stack.raw_get(-2);
    if stack.kind(-1) == Kind::Table {
        stack.push_nil();
        return Ok(1);
    }
    stack.pop(1);
    stack.raw_get_field(-1, "__metatable");
    if stack.kind(-1) == Kind::Nil {
        stack.pop(1);
    }
    Ok(1)
}

fn setmetatable(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    stack.check_is_table(1)?;
    if !matches!(stack.kind(2), Kind::Nil | Kind::Table) {
        return Err(Raise::argument(2, "nil or table expected"));
    }
    if push_hidden(stack, 1) {
        return Err(Raise::Plain(READ_ONLY.to_vec()));
    }
    if stack.push_metatable(1) {
        stack.raw_get_field(-1, "__metatable");
        if stack.kind(-1) != Kind::Nil {
            return Err(Raise::error("cannot change a protected metatable"));
        }
    }
    stack.set_top(2);
    stack.set_metatable(1);
    Ok(1)
}

fn rawget(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    stack.check_is_table(1)?;
    stack.check_any(2)?;
    stack.set_top(2);
    uncover(stack, 1);
    stack.raw_get(1);
    Ok(1)
}

fn rawset(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    stack.check_is_table(1)?;
    stack.check_any(2)?;
    stack.check_any(3)?;
    stack.set_top(3);
    if push_hidden(stack, 1) {
        return Err(Raise::Plain(READ_ONLY.to_vec()));
    }
    match stack.kind(2) {
        Kind::Nil => return Err(Raise::Plain(b"table index is nil".to_vec())),
        Kind::Number if stack.number(2).is_some_and(f64::is_nan) => {
            return Err(Raise::Plain(b"table index is NaN".to_vec()));
        }
        _ => stack.raw_set(1),
    }
    Ok(1)
}

fn next(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    stack.check_is_table(1)?;
    stack.set_top(2);
    uncover(stack, 1);
    if stack.next(1)? {
        return Ok(2);
    }
    stack.push_nil();
    Ok(1)
}

/// Other tables are gone through by Lua's own `next`, which is quicker.
fn pairs(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    stack.check_is_table(1)?;
    if push_hidden(stack, 1) {
        stack.pop(1);
        stack.push_native(next);
    } else {
        stack.push_upvalue();
    }
    stack.push_value(1);
    stack.push_nil();
    Ok(3)
}

/// Lua's own function on what a proxy hides.
fn on_hidden(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    if stack.top() > 0 {
        uncover(stack, 1);
    }
    stack.push_upvalue();
    stack.insert(1);
    let args = stack.top() - 1;
    if stack.call(args, -1, None) { Ok(stack.top() as usize) } else { Err(Raise::Value) }
}

fn table_insert(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    stack.check_is_table(1)?;
    let end = stack.raw_len(1) as i64 + 1;
    let place = match stack.top() {
        2 => end,
        3 => stack.check_integer(2)? as i32 as i64,
        _ => return Err(Raise::error("wrong number of arguments to 'insert'")),
    };
    if push_hidden(stack, 1) {
        return Err(Raise::Plain(READ_ONLY.to_vec()));
    }
    let last = end.max(place);
    for number in (place + 1..=last).rev() {
        stack.raw_get_element(1, (number - 1) as i32);
        stack.raw_set_element(1, number as i32);
    }
    stack.raw_set_element(1, place as i32);
    Ok(0)
}

fn loadstring(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    let text = stack.check_bytes(1)?.to_vec();
    let name = if stack.kind(2) == Kind::None || stack.kind(2) == Kind::Nil {
        text.clone()
    } else {
        stack.check_bytes(2)?.to_vec()
    };
    Ok(load_or_tell(stack, &text, &name))
}

/// Pushes a function, or nil and why there is none.
fn load_or_tell(stack: &mut Stack<'_>, text: &[u8], name: &[u8]) -> usize {
    if stack.load(text, name) {
        return 1;
    }
    stack.push_nil();
    stack.insert(-2);
    2
}

fn load(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    if stack.kind(1) != Kind::Function {
        return Err(stack.wrong_kind(1, "function"));
    }
    let name = match stack.kind(2) {
        Kind::None | Kind::Nil => b"=(load)".to_vec(),
        _ => stack.check_bytes(2)?.to_vec(),
    };
    let mut text = Vec::new();
    loop {
        stack.set_top(1);
        stack.push_value(1);
        if !stack.call(0, 1, None) {
            stack.push_nil();
            stack.insert(-2);
            return Ok(2);
        }
        match stack.kind(-1) {
            Kind::Nil => break,
            Kind::Str | Kind::Number => {
                let piece = stack.to_bytes(-1).unwrap_or_default();
                if piece.is_empty() {
                    break;
                }
                text.extend_from_slice(piece);
            }
            _ => {
                stack.push_nil();
                stack.push_bytes(b"reader function must return a string");
                return Ok(2);
            }
        }
        if text.len() > crate::base::lua::CHUNK_LEN_MAX {
            break;
        }
    }
    stack.set_top(1);
    Ok(load_or_tell(stack, &text, &name))
}

fn unpack(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    stack.check_is_table(1)?;
    let is_given = |stack: &Stack<'_>, index| !matches!(stack.kind(index), Kind::None | Kind::Nil);
    let bound = |value: i64| i64::from(value as i32);
    let first = if is_given(stack, 2) { bound(stack.check_integer(2)?) } else { 1 };
    let last = if is_given(stack, 3) { bound(stack.check_integer(3)?) } else { stack.raw_len(1) as i64 };
    if first > last {
        return Ok(0);
    }
    let count = last - first + 1;
    if count >= i64::from(i32::MAX) || !stack.reserve(count as i32) {
        return Err(Raise::error("too many results to unpack"));
    }
    for number in first..=last {
        stack.raw_get_element(1, number as i32);
    }
    Ok(count as usize)
}

/// As Lua's own, but an error table with a text shows as its text, as scripts of old expect.
fn pcall(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    if stack.top() == 0 {
        stack.push_boolean(false);
        stack.push_bytes(b"attempt to call a boolean value");
        return Ok(2);
    }
    let args = stack.top() - 1;
    if stack.call(args, -1, None) {
        stack.reserve(1);
        stack.push_boolean(true);
        stack.insert(1);
        return Ok(stack.top() as usize);
    }
    if stack.kind(-1) == Kind::Table {
        stack.raw_get_field(-1, "err");
        if matches!(stack.kind(-1), Kind::Str | Kind::Number) { stack.replace(-2) } else { stack.pop(1) }
    }
    stack.push_boolean(false);
    stack.insert(-2);
    Ok(2)
}
