//! Tests of the door to Lua.

use super::*;

fn state() -> Lua {
    let mut lua = Lua::new().unwrap();
    for library in [Library::Base, Library::Table, Library::String, Library::Math] {
        lua.open(library);
    }
    lua
}

/// Runs a script: its result, or its error, as text.
fn eval(lua: &mut Lua, text: &str) -> Result<String, String> {
    let mut stack = lua.stack();
    let done = stack.load(text.as_bytes(), b"@test") && stack.call(0, 1, None);
    let said = String::from_utf8_lossy(stack.to_bytes(-1).unwrap_or(b"(no text)")).into_owned();
    stack.pop(1);
    assert_eq!(stack.top(), 0);
    if done { Ok(said) } else { Err(said) }
}

#[test]
fn a_script_has_a_result_or_an_error() {
    let mut lua = state();
    assert_eq!(eval(&mut lua, "return 0.1*3"), Ok("0.3".into()));
    assert_eq!(eval(&mut lua, "\nerror('no')"), Err("test:2: no".into()));
    assert_eq!(eval(&mut lua, "return ("), Err("test:1: unexpected symbol near '<eof>'".into()));
    assert_eq!(eval(&mut lua, "\x1bLua"), Err("attempt to load a binary chunk (mode is 't')".into()));
}

#[test]
fn a_function_of_ours_has_arguments_results_and_errors() {
    fn half(stack: &mut Stack<'_>) -> Result<usize, Raise> {
        let number = stack.check_number(1)?;
        if number < 0.0 {
            return Err(Raise::error("less than nothing"));
        }
        stack.push_number(number / 2.0);
        Ok(1)
    }
    let mut lua = state();
    let mut stack = lua.stack();
    stack.push_globals();
    stack.set_native(-1, "half", half);
    stack.pop(1);
    assert_eq!(eval(&mut lua, "return half(7)"), Ok("3.5".into()));
    assert_eq!(eval(&mut lua, "half(-1)"), Err("test:1: less than nothing".into()));
    let complaint = "test:1: bad argument #1 to 'half' (number expected, got no value)";
    assert_eq!(eval(&mut lua, "half()"), Err(complaint.into()));
    assert_eq!(
        eval(&mut lua, "return tostring(select(2, pcall(half, {})))"),
        Ok("bad argument #1 to '?' (number expected, got table)".into())
    );
}

#[test]
fn the_host_is_there_while_it_is_lent_and_only_once() {
    fn count(stack: &mut Stack<'_>) -> Result<usize, Raise> {
        stack.with_host(|host: &mut u64, stack| {
            *host += 1;
            stack.push_number(*host as f64);
            let inner = stack.with_host(|_: &mut u64, _| ());
            assert!(inner.is_err());
        })?;
        Ok(1)
    }
    let mut lua = state();
    let mut stack = lua.stack();
    stack.push_globals();
    stack.set_native(-1, "count", count);
    stack.pop(1);
    let mut host = 5u64;
    lua.lend(&mut host, |stack| {
        assert!(stack.load(b"count() return count()", b"@test") && stack.call(0, 1, None));
        assert_eq!(stack.number(-1), Some(7.0));
        stack.pop(1);
    });
    assert_eq!(host, 7);
    assert_eq!(eval(&mut lua, "count()"), Err("test:1: no server runs this script".into()));
}

#[test]
fn memory_is_limited_in_scripts_and_settled_after_functions_of_ours() {
    fn big(stack: &mut Stack<'_>) -> Result<usize, Raise> {
        stack.push_bytes(&vec![b'x'; 8 << 20]);
        Ok(1)
    }
    let mut lua = state();
    let mut stack = lua.stack();
    stack.push_globals();
    stack.set_native(-1, "big", big);
    stack.pop(1);
    lua.set_memory_limit(4 << 20);
    assert_eq!(eval(&mut lua, "return string.rep('x', 8000000)"), Err("not enough memory".into()));
    assert_eq!(eval(&mut lua, "local t = {} while true do t[#t+1] = 'n' .. #t end"), Err("not enough memory".into()));
    assert_eq!(eval(&mut lua, "return #big()"), Err("not enough memory".into()));
    assert_eq!(eval(&mut lua, "return pcall(big) and 'yes' or 'no'"), Ok("no".into()));
    lua.set_memory_limit(0);
    assert_eq!(eval(&mut lua, "return #big()"), Ok("8388608".into()));
}

#[test]
fn a_hook_ends_a_loop_that_catches_its_errors() {
    fn stop(stack: &mut Stack<'_>) -> Result<(), Raise> {
        stack.hook_every(1);
        Err(Raise::error("stopped"))
    }
    let mut lua = state();
    lua.set_hook(stop, 1000);
    for script in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "coroutine.wrap(function() while true do end end)()",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
    ] {
        assert!(eval(&mut lua, script).unwrap_err().contains("stopped"), "{script}");
    }
}

#[test]
fn a_walk_sees_every_field_and_next_raises_for_a_key_that_is_none() {
    fn sum(stack: &mut Stack<'_>) -> Result<usize, Raise> {
        let mut total = 0.0;
        stack.walk(1, |stack| {
            total += stack.check_number(-1)?;
            Ok::<(), Raise>(())
        })?;
        stack.push_number(total);
        Ok(1)
    }
    fn after(stack: &mut Stack<'_>) -> Result<usize, Raise> {
        stack.set_top(2);
        Ok(if stack.next(1)? { 2 } else { 0 })
    }
    let mut lua = state();
    let mut stack = lua.stack();
    stack.push_globals();
    stack.set_native(-1, "sum", sum);
    stack.set_native(-1, "after", after);
    stack.pop(1);
    assert_eq!(eval(&mut lua, "return sum({1, 2, x = 4, [0.5] = 8})"), Ok("15".into()));
    assert_eq!(eval(&mut lua, "return select(2, after({7}, nil))"), Ok("7".into()));
    assert_eq!(eval(&mut lua, "return select('#', after({7}, 1))"), Ok("0".into()));
    assert_eq!(eval(&mut lua, "return after({7}, 'none')"), Err("invalid key to 'next'".into()));
    assert_eq!(
        eval(&mut lua, "local t = {a=1,b=2,c=3} for k in after, t do t[k] = nil end return tostring(next(t))"),
        Ok("nil".into())
    );
}

#[test]
fn what_is_kept_lives_until_it_is_released() {
    let mut lua = state();
    let mut stack = lua.stack();
    stack.push_bytes(b"here");
    let kept = stack.keep();
    stack.collect();
    stack.push_kept(&kept);
    assert_eq!(stack.bytes(-1), Some(&b"here"[..]));
    stack.pop(1);
    stack.release(kept);
    assert_eq!(stack.top(), 0);
}
