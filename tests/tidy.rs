//! The rules of the house as a test: who may import whom, how long things may be, where `unsafe` may stand.
//! Each rule has a small bad snippet below that it must catch, so the checker itself can fail.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms and their layers: a room imports only from rooms with a lower number.
const ROOMS: &[(&str, u8)] = &[
    ("base", 0),
    ("reactor", 1),
    ("resp", 1),
    ("types", 1),
    ("config", 1),
    ("keyspace", 2),
    ("persist", 3),
    ("replication", 3),
    ("pubsub", 3),
    ("commands", 4),
    ("acl", 5),
    ("scripting", 5),
    ("server", 6),
    ("sentinel", 6),
];

/// A Sentinel holds no keys, so it may use less than its number allows.
const SENTINEL_USES: &[&str] = &["base", "reactor", "resp", "config", "pubsub"];

/// The only rooms with `unsafe`.
const UNSAFE_ROOMS: &[&str] = &["base", "types"];

const MAX_FUNCTION_LINES: usize = 70;
const MAX_FILE_LINES: usize = 900;
const MAX_MAIN_LINES: usize = 100;

/// A `// SAFETY:` comment may stand this many lines above its `unsafe`.
const SAFETY_REACH_LINES: usize = 8;

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&root);
    assert!(files.len() > 3, "no sources found in {}", root.display());
    let mut complaints = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap();
        complaints.extend(check(name, &text));
    }
    let report = complaints.join("\n");
    assert!(complaints.is_empty(), "{} complaints:\n{report}", complaints.len());
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

/// All complaints about one file; `name` is its path under `src/`.
fn check(name: &str, text: &str) -> Vec<String> {
    let code = blank_literals(text);
    let mut complaints = Vec::new();
    check_opening(text, &mut complaints);
    check_lengths(name, text, &code, &mut complaints);
    check_words(text, &code, &mut complaints);
    check_unsafe(name, text, &code, &mut complaints);
    check_layers(name, &code, &mut complaints);
    complaints.into_iter().map(|(line, what)| format!("src/{name}:{line}: {what}")).collect()
}

type Complaints = Vec<(usize, String)>;

fn check_opening(text: &str, complaints: &mut Complaints) {
    if !text.trim_start().starts_with("//!") {
        complaints.push((1, "a module opens with a //! comment".into()));
    }
}

fn check_lengths(name: &str, text: &str, code: &str, complaints: &mut Complaints) {
    let lines = text.lines().count();
    let limit = if name == "main.rs" { MAX_MAIN_LINES } else { MAX_FILE_LINES };
    if lines > limit {
        complaints.push((lines, format!("the file has {lines} lines, over {limit}")));
    }
    for (function, first, last) in functions(code) {
        let lines = last - first + 1;
        if lines > MAX_FUNCTION_LINES {
            complaints.push((first, format!("fn {function} has {lines} lines, over {MAX_FUNCTION_LINES}")));
        }
    }
}

fn check_words(text: &str, code: &str, complaints: &mut Complaints) {
    for (number, line) in text.lines().enumerate() {
        for word in ["TODO", "FIXME"] {
            if find_word(line, word, 0).is_some() {
                complaints.push((number + 1, format!("{word}: do it, or file it")));
            }
        }
    }
    for (number, line) in code.lines().enumerate() {
        if line.replace(' ', "").contains("Rc<RefCell<") {
            complaints.push((number + 1, "Rc<RefCell<..>>: siblings are borrowed side by side".into()));
        }
        if line.contains("static mut ") {
            complaints.push((number + 1, "static mut: no globals".into()));
        }
    }
}

fn check_unsafe(name: &str, text: &str, code: &str, complaints: &mut Complaints) {
    let raw: Vec<&str> = text.lines().collect();
    for at in words(code, "unsafe") {
        let line = line_of(code, at);
        if !UNSAFE_ROOMS.contains(&room_of(name)) {
            complaints.push((line, "unsafe stands only in base/ and types/".into()));
        }
        let next = code[at + "unsafe".len()..].trim_start();
        let reasoned = (line.saturating_sub(SAFETY_REACH_LINES + 1)..line).any(|i| raw[i].contains("SAFETY:"));
        if (next.starts_with('{') || next.starts_with("impl")) && !reasoned {
            complaints.push((line, "unsafe without a // SAFETY: reason".into()));
        }
    }
}

fn check_layers(name: &str, code: &str, complaints: &mut Complaints) {
    let room = room_of(name);
    if room.is_empty() {
        return;
    }
    let Some(own) = layer_of(room) else {
        complaints.push((1, format!("room {room}/ is not in the table of rooms")));
        return;
    };
    for (line, other) in imported_rooms(name, code) {
        if other == room {
            continue;
        }
        match layer_of(&other) {
            None => complaints.push((line, format!("crate::{other} is not in the table of rooms"))),
            Some(theirs) if theirs >= own => {
                complaints.push((line, format!("{room} (layer {own}) imports from {other} (layer {theirs})")))
            }
            Some(_) if room == "sentinel" && !SENTINEL_USES.contains(&other.as_str()) => {
                complaints.push((line, format!("sentinel has no business with {other}")))
            }
            Some(_) => {}
        }
    }
}

/// The room a file belongs to, empty for the roots `lib.rs` and `main.rs`.
fn room_of(name: &str) -> &str {
    match name {
        "lib.rs" | "main.rs" => "",
        _ => name.split(['/', '.']).next().unwrap(),
    }
}

fn layer_of(room: &str) -> Option<u8> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, layer)| *layer)
}

/// Every room named by a `crate::` path (`crate::a::b`, `crate::{a::b, c}`) or by enough `super::`.
fn imported_rooms(name: &str, code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in words(code, "crate") {
        let rest = &code[at + "crate".len()..];
        if let Some(path) = rest.trim_start().strip_prefix("::") {
            first_names(path, line_of(code, at), &mut found);
        }
    }
    let mut skip_to = 0;
    for at in words(code, "super") {
        if at < skip_to {
            continue;
        }
        let mut path = &code[at..];
        let mut climbs = 0;
        while let Some(rest) = path.strip_prefix("super").and_then(|r| r.trim_start().strip_prefix("::")) {
            climbs += 1;
            path = rest.trim_start();
        }
        skip_to = code.len() - path.len();
        if climbs > 0 && climbs >= module_depth(name) + inline_modules_at(code, at) {
            first_names(path, line_of(code, at), &mut found);
        }
    }
    found
}

/// The names right after a `crate::`: one, or all at the top level of a brace group.
fn first_names(path: &str, line: usize, found: &mut Vec<(usize, String)>) {
    let path = path.trim_start();
    let Some(group) = path.strip_prefix('{') else {
        found.extend(leading_name(path).map(|name| (line, name)));
        return;
    };
    let mut depth = 0usize;
    let mut expects_name = true;
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return,
            '}' => depth -= 1,
            ',' if depth == 0 => expects_name = true,
            c if expects_name && is_word(c) => {
                let lines_down = group[..i].matches('\n').count();
                found.extend(leading_name(&group[i..]).map(|name| (line + lines_down, name)));
                expects_name = false;
            }
            _ => {}
        }
    }
}

fn leading_name(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| is_word(*c)).collect();
    (!name.is_empty()).then_some(name)
}

/// How many `super::` lead from a file's module to the crate root.
fn module_depth(name: &str) -> usize {
    let parts = name.split('/').count();
    if name.ends_with("mod.rs") { parts - 1 } else { parts }
}

/// How many `mod x { .. }` blocks enclose a position.
fn inline_modules_at(code: &str, position: usize) -> usize {
    words(code, "mod")
        .into_iter()
        .take_while(|at| *at < position)
        .filter(|at| body_after(code, *at).is_some_and(|(open, close)| open < position && position < close))
        .count()
}

/// Name, first and last line of every function with a body.
fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for at in words(code, "fn") {
        let Some(name) = leading_name(code[at + 2..].trim_start()) else {
            continue;
        };
        if let Some((_, close)) = body_after(code, at) {
            found.push((name, line_of(code, at), line_of(code, close)));
        }
    }
    found
}

/// The braces of the block that belongs to the item at `at`; none if a `;` ends the item first.
fn body_after(code: &str, at: usize) -> Option<(usize, usize)> {
    let mut nesting = 0i32;
    let mut open = None;
    for (i, c) in code[at..].char_indices() {
        match (c, open) {
            ('(' | '[', None) => nesting += 1,
            (')' | ']', None) => nesting -= 1,
            (';', None) if nesting == 0 => return None,
            ('{', None) if nesting == 0 => {
                open = Some(at + i);
                nesting = 1;
            }
            ('{', Some(_)) => nesting += 1,
            ('}', Some(start)) => {
                nesting -= 1;
                if nesting == 0 {
                    return Some((start, at + i));
                }
            }
            _ => {}
        }
    }
    None
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

fn words(text: &str, word: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = find_word(text, word, from) {
        found.push(at);
        from = at + word.len();
    }
    found
}

fn find_word(text: &str, word: &str, mut from: usize) -> Option<usize> {
    while let Some(at) = text[from..].find(word).map(|i| from + i) {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        if !before.is_some_and(is_word) && !after.is_some_and(is_word) {
            return Some(at);
        }
        from = at + word.len();
    }
    None
}

/// The source with comments, strings and characters blanked out, line for line the same.
fn blank_literals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let end = literal_end(&chars, i);
        if end == i {
            out.push(chars[i]);
            i += 1;
        }
        while i < end {
            out.push(if chars[i] == '\n' { '\n' } else { ' ' });
            i += 1;
        }
    }
    out
}

/// Where the comment or literal that starts at `i` ends; `i` itself if none starts there.
fn literal_end(chars: &[char], i: usize) -> usize {
    let next = |k: usize| chars.get(i + k).copied().unwrap_or('\0');
    let after_word = i > 0 && is_word(chars[i - 1]);
    match chars[i] {
        '/' if next(1) == '/' => end_of(chars, i, |k| chars[k] == '\n'),
        '/' if next(1) == '*' => block_comment_end(chars, i),
        '"' => string_end(chars, i + 1),
        'r' if !after_word && matches!(next(1), '"' | '#') => raw_string_end(chars, i, i + 1),
        'b' | 'c' if !after_word && next(1) == 'r' && matches!(next(2), '"' | '#') => raw_string_end(chars, i, i + 2),
        '\'' if next(1) == '\\' => end_of(chars, i + 3, |k| chars[k] == '\'') + 1,
        '\'' if next(2) == '\'' => i + 3,
        _ => i,
    }
}

fn end_of(chars: &[char], from: usize, stop: impl Fn(usize) -> bool) -> usize {
    (from..chars.len()).find(|k| stop(*k)).unwrap_or(chars.len())
}

fn string_end(chars: &[char], mut i: usize) -> usize {
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

fn raw_string_end(chars: &[char], start: usize, hashes_at: usize) -> usize {
    let quote = end_of(chars, hashes_at, |k| chars[k] != '#');
    let hashes = quote - hashes_at;
    if chars.get(quote) != Some(&'"') {
        return start; // r#keyword
    }
    let closes =
        |k: usize| chars[k] == '"' && chars[k + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
    (end_of(chars, quote + 1, closes) + 1 + hashes).min(chars.len())
}

fn block_comment_end(chars: &[char], mut i: usize) -> usize {
    let mut depth = 0;
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => (depth, i) = (depth + 1, i + 2),
            ('*', '/') => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

mod the_checker {
    use super::*;

    fn one(name: &str, body: &str, expected: &str) {
        let found = check(name, &format!("//! Doc.\n{body}\n"));
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "expected one complaint with {expected:?}, found {found:?}"
        );
    }

    fn none(name: &str, body: &str) {
        let found = check(name, &format!("//! Doc.\n{body}\n"));
        assert!(found.is_empty(), "expected no complaint, found {found:?}");
    }

    #[test]
    fn refuses_imports_from_above_and_from_beside() {
        one("base/rng.rs", "use crate::types::Str;", "base (layer 0) imports from types (layer 1)");
        one("types/mod.rs", "use crate::config::Config;", "types (layer 1) imports from config");
        one("keyspace/db.rs", "use crate::{base::rng, types::{Str, server}, server::Server};", "imports from server");
        one(
            "keyspace/db.rs",
            "use crate::{\n    base,\n    pubsub,\n};",
            "db.rs:4: keyspace (layer 2) imports from pubsub",
        );
        one("keyspace/db.rs", "fn f() { crate::commands::run() }", "imports from commands");
        one("resp/mod.rs", "use super::types::Str;", "resp (layer 1) imports from types");
        one("persist/rdb/load.rs", "use super::super::super::commands::X;", "imports from commands");
        one("base/x.rs", "mod t { use super::super::super::types; }", "imports from types");
        one("sentinel/mod.rs", "use crate::keyspace::Db;", "sentinel has no business with keyspace");
        one("base/x.rs", "use crate::attic::Y;", "crate::attic is not in the table");
        one("attic/mod.rs", "", "room attic/ is not in the table");
    }

    #[test]
    fn lets_imports_from_below_pass() {
        none("server/mod.rs", "use crate::{base::{clock, rng}, commands::Ctx, server::x};\nuse crate::types::Str;");
        none("types/zset.rs", "use super::listpack; mod t { use super::super::listpack; }");
        none("lib.rs", "pub use crate::server::Server;");
        none("base/x.rs", "// crate::server\nconst A: &str = \"crate::server\"; pub(crate) fn f() {}");
    }

    #[test]
    fn refuses_a_module_without_an_opening() {
        assert_eq!(check("base/x.rs", "use std::fmt;\n").len(), 1);
        assert_eq!(check("base/x.rs", "// Not a module comment.\n").len(), 1);
    }

    #[test]
    fn measures_functions_by_their_own_braces() {
        let long = |lines: usize| format!("fn long(a: [u8; 2])\nwhere\n{}{{\n}}\n", "    //\n".repeat(lines - 4));
        none("base/x.rs", &long(70));
        one("base/x.rs", &long(71), "x.rs:2: fn long has 71 lines, over 70");
        let filler =
            "    let c = '{'; let s = \"}\\\"{\"; let r = r#\"\"{\"#; let l: &'static u8; /* { /* { */ */ // {\n";
        let many: String = (0..4).map(|i| format!("fn f{i}() {{\n{}}}\n", filler.repeat(20))).collect();
        none("base/x.rs", &many);
        one(
            "base/x.rs",
            &format!("trait T {{ fn g(&self) -> [u8; 3]; }}\nfn h() {{\n{}}}\n", filler.repeat(69)),
            "fn h has 71",
        );
        none("base/x.rs", &format!("type F = fn(u8) -> u8;\nmod m {{\n{}}}\n", filler.repeat(100)));
    }

    #[test]
    fn measures_files() {
        none("base/x.rs", &"\n".repeat(898));
        one("base/x.rs", &"\n".repeat(899), "over 900");
        one("main.rs", &"\n".repeat(99), "over 100");
    }

    #[test]
    fn refuses_words() {
        one("base/x.rs", concat!("// TO", "DO: later"), "do it, or file it");
        one("base/x.rs", concat!("fn f() { panic!(\"FIX", "ME\") }"), "do it, or file it");
        none("base/x.rs", "// TODOLIST is no such word");
        one("base/x.rs", "type A = std::rc::Rc<RefCell<u8>>;", "side by side");
        one("base/x.rs", "static mut A: u8 = 0;", "no globals");
    }

    #[test]
    fn keeps_unsafe_in_its_rooms() {
        one("server/x.rs", "// SAFETY: none\nfn f() { unsafe { g() } }", "only in base/ and types/");
        one("server/x.rs", "unsafe fn f() {}", "only in base/ and types/");
        one("types/x.rs", "fn f() { unsafe { g() } }", "without a // SAFETY:");
        one("types/x.rs", &format!("// SAFETY: far\n{}unsafe impl Send for A {{}}", "\n".repeat(9)), "SAFETY");
        none("types/x.rs", "// SAFETY: the pointer is ours.\nfn f() { unsafe { g() } }");
        none("server/x.rs", "#![deny(unsafe_code)]\n// unsafe\nconst A: &str = \"unsafe\";");
    }

    #[test]
    fn blanks_literals_line_for_line() {
        let source = "a \"b\nc\" 'd' '\\'' b'\\x41' 'static r\"e\\\" br##\"f\"#\"## // g\n/* h /* i */ j */ k r#fn";
        let blanked = blank_literals(source);
        assert_eq!(blanked.matches('\n').count(), source.matches('\n').count());
        let left: Vec<&str> = blanked.split_whitespace().collect();
        assert_eq!(left, ["a", "b", "'static", "k", "r#fn"]);
    }
}
