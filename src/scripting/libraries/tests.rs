//! The libraries without a server: what a stock server answered, damage at every byte, and depth without end.

use super::super::sandbox;
use crate::base::lua::Lua;

/// What a chunk returns as text, or its error.
fn run(chunk: &str) -> String {
    let mut lua = Lua::new().unwrap();
    sandbox::open(&mut lua);
    let mut stack = lua.stack();
    stack.push_globals();
    super::register(&mut stack);
    stack.set_top(0);
    let _ = stack.load(chunk.as_bytes(), b"=s") && stack.call(0, 1, None);
    String::from_utf8_lossy(stack.to_bytes(-1).unwrap_or(b"?")).into_owned()
}

#[test]
fn answers_are_those_of_stock() {
    for (chunk, expected) in [
        ("return bit.tohex(bit.bswap(0x12345678), -6)", "563412"),
        ("return bit.band(1, 'x', 'y')", "s:1: bad argument #3 to 'band' (number expected, got string)"),
        ("return struct.size('!8bi3!4<h')", "8"),
        ("return struct.pack('c3', 'ab')", "s:1: bad argument #3 to 'pack' (string too short)"),
        ("local a, b = struct.unpack('>hc0', '\\0\\2abc') return a .. ' ' .. b", "ab 5"),
        ("return cmsgpack.pack()", "s:1: bad argument #0 to 'pack' (MessagePack pack needs input.)"),
        ("return cmsgpack.unpack('\\129\\192\\1')", "table index is nil"),
        ("return table.concat({cmsgpack.unpack_limit('\\1\\2\\3', 2)}, ' ')", "2 1 2"),
        ("return cjson.encode({1, 'a/\"', {x = {}}, [5] = 1e100})", r#"[1,"a\/\"",{"x":{}},null,1e+100]"#),
        ("return cjson.encode({[11] = 1})", "s:1: Cannot serialise table: excessively sparse array"),
        ("return cjson.decode('[1,2')", "s:1: Expected comma or array end but found T_END at character 5"),
        ("return cjson.encode(cjson.decode('{\"\\\\ud83d\\\\ude00\":[null,0x1F]}'))", "{\"\u{1f600}\":[null,31]}"),
    ] {
        assert_eq!(run(chunk), expected, "{chunk}");
    }
}

#[test]
fn what_is_cut_or_changed_at_any_byte_fails_or_decodes() {
    let answer = run(r#"local value = {1, -2, 3.5, 'text', {a = {true, false}}, {}, 2^40, string.rep('x', 40)}
        local packed, json = cmsgpack.pack(value), cjson.encode(value)
        local count = 0
        for at = 0, math.max(#packed, #json) do
            for byte = 0, 255, 5 do
                for _, codec in ipairs({{cmsgpack.unpack, packed}, {cjson.decode, json}}) do
                    local text = codec[2]
                    pcall(codec[1], text:sub(1, at))
                    pcall(codec[1], text:sub(1, at) .. string.char(byte) .. text:sub(at + 2))
                    count = count + 1
                end
            end
        end
        return tostring(count > 5000 and cjson.encode({cmsgpack.unpack(packed)}) == '[' .. json .. ']')"#);
    assert_eq!(answer, "true");
}

#[test]
fn depth_ends_in_an_error() {
    for chunk in [
        "return cmsgpack.unpack(string.rep('\\145', 1000000))",
        "return cmsgpack.unpack(string.rep('\\129', 1000000))",
        "local c = cjson.new() c.decode_max_depth(2^31 - 1) return c.decode(string.rep('[', 1000000))",
        "local c = cjson.new() c.decode_max_depth(2^31 - 1) return c.decode(string.rep('{\"a\":', 1000000))",
        "local c, t = cjson.new(), {} c.encode_max_depth(2^31 - 1) t[1] = t return c.encode(t)",
        "local c, t = cjson.new(), {} c.encode_max_depth(2^31 - 1) t.a = t return c.encode(t)",
    ] {
        let answer = run(chunk);
        assert!(answer.contains("overflow") || answer.contains("nest"), "{chunk}: {answer}");
    }
}
