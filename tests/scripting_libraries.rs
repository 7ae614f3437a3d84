//! The libraries `bit`, `cjson`, `cmsgpack` and `struct`, beside stock Redis: snippets that were thought of, and streams of
//! random calls and damaged inputs under a seed.

mod support;

use support::{Client, Kind, Server, Value};
use understudy::base::rng::Rng;

const SNIPPETS: &str = include_str!("scripting/libraries.txt");
const SHOW: &str = include_str!("scripting/show.lua");

/// Two servers that the same snippets are run on.
struct Pair {
    servers: [Server; 2],
    clients: [Client; 2],
}

impl Pair {
    fn start() -> Pair {
        let servers = [Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[])];
        let clients = [servers[0].client(), servers[1].client()];
        Pair { servers, clients }
    }

    fn compare(&mut self, snippet: &str) {
        let script = SHOW.replacen("%s", snippet, 1);
        let [ours, stock] = &mut self.clients;
        let (a, b) = (ours.cmd(&["EVAL", &script, "0"]), stock.cmd(&["EVAL", &script, "0"]));
        assert_eq!(a, b, "{snippet}");
        assert!(!matches!(b, Value::Error(_)), "{snippet}: {b:?}");
    }

    fn end(self) {
        for server in &self.servers {
            assert_eq!(server.cmd(&["PING"]), Value::Simple("PONG".into()));
        }
    }
}

#[test]
fn snippets_answer_as_in_stock() {
    let mut pair = Pair::start();
    for snippet in SNIPPETS.lines() {
        pair.compare(snippet);
    }
    pair.end();
}

fn pick<'a>(rng: &mut Rng, items: &[&'a str]) -> &'a str {
    items[rng.index(items.len())]
}

/// Lua's spelling of these bytes.
fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.iter().map(|byte| format!("\\{byte:03}")).collect::<String>())
}

fn random_bytes(rng: &mut Rng, len_max: usize) -> Vec<u8> {
    let len = rng.index(len_max + 1);
    (0..len).map(|_| rng.next_u64() as u8).collect()
}

fn random_number(rng: &mut Rng) -> String {
    match rng.index(6) {
        0 => format!("{}", rng.index(300) as i64 - 150),
        1 => format!("{}", rng.next_u64() as i64 >> rng.index(63)),
        2 => format!("2^{}", rng.index(70)),
        3 => format!("-2^{}-1", rng.index(70)),
        4 => format!("{}.{}", rng.index(1000), rng.index(100_000)),
        _ => pick(rng, &["0", "-0.5", "1e300", "1/0", "-1/0", "1e-7", "0.1", "1e15", "123456789012345"]).to_string(),
    }
}

/// An expression of Lua whose tables have an order that all implementations keep: they are lists, or hold one key.
fn random_value(rng: &mut Rng, depth: usize) -> String {
    match rng.index(if depth > 4 { 5 } else { 8 }) {
        0 => pick(rng, &["true", "false", "cjson.null", "nil"]).to_string(),
        1 | 2 => random_number(rng),
        3 | 4 => quoted(&random_bytes(rng, 40)),
        5 => format!("{{[{}]={}}}", random_key(rng), random_value(rng, depth + 1)),
        _ => {
            let items: Vec<String> = (0..rng.index(20)).map(|_| random_value(rng, depth + 1)).collect();
            format!("{{{}}}", items.join(","))
        }
    }
}

fn random_key(rng: &mut Rng) -> String {
    if rng.index(3) == 0 { format!("{}", rng.index(12)) } else { quoted(&random_bytes(rng, 8)) }
}

#[test]
fn what_is_packed_is_the_same_and_comes_back() {
    let mut pair = Pair::start();
    let mut rng = Rng::new(41);
    for _ in 0..400 {
        let value = random_value(&mut rng, 0);
        pair.compare(&format!(
            "local v = {value} local p = cmsgpack.pack(v) local ok, j = pcall(cjson.encode, v)
             return p, cmsgpack.unpack(p), ok, j, ok and cjson.decode(j)"
        ));
    }
    pair.end();
}

#[test]
fn damaged_packs_fail_alike() {
    let mut pair = Pair::start();
    let mut rng = Rng::new(42);
    for _ in 0..600 {
        let mut bytes = random_bytes(&mut rng, 12);
        if let Some(first) = bytes.first_mut().filter(|_| rng.index(2) == 0) {
            *first = 0x80 + rng.index(0x60) as u8;
        }
        let bytes = quoted(&bytes);
        let (limit, offset) = (rng.index(5) as i64 - 1, rng.index(6) as i64 - 1);
        pair.compare(&format!("return cmsgpack.unpack({bytes})"));
        pair.compare(&format!("return cmsgpack.unpack_limit({bytes},{limit},{offset})"));
        pair.compare(&format!("return cmsgpack.unpack_one({bytes},{offset})"));
    }
    pair.end();
}

#[test]
fn damaged_json_fails_alike() {
    let mut pair = Pair::start();
    let mut rng = Rng::new(43);
    let tokens = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"\\u00e9\"",
        "\"\\ud83d\\ude00\"",
        "\"",
        "\\",
        "1",
        "-1.5e3",
        "0x1f",
        "01",
        "inf",
        "nan",
        "-",
        "+",
        ".",
        "true",
        "false",
        "null",
        " ",
        "\t",
        "\n",
        "nul",
        "e",
        "\u{7f}",
        "é",
        "\0",
        "\"\\u00",
    ];
    for _ in 0..1200 {
        let mut text = String::new();
        match rng.index(3) {
            0 => text.push('['),
            1 => text.push_str("{\"k\":"),
            _ => {}
        }
        for _ in 0..rng.index(8) {
            text.push_str(pick(&mut rng, &tokens));
        }
        let library = pick(&mut rng, &["cjson", "c"]);
        let text = quoted(text.as_bytes());
        pair.compare(&format!("local c = cjson.new() c.decode_invalid_numbers(false) return {library}.decode({text})"));
    }
    pair.end();
}

#[test]
fn formats_of_struct_and_bits_answer_alike() {
    let mut pair = Pair::start();
    let mut rng = Rng::new(44);
    let options = [
        "b", "B", "h", "H", "l", "L", "T", "i", "I", "i3", "I5", "i8", "I9", "i12", "f", "d", "s", "c0", "c3", "x",
        "<", ">", "!", "!2", "!4", "!16", " ", "i33", "!3", "z",
    ];
    for _ in 0..600 {
        let format: String = (0..rng.index(7)).map(|_| pick(&mut rng, &options)).collect();
        let values: Vec<String> = (0..rng.index(7))
            .map(|_| if rng.index(3) == 0 { quoted(&random_bytes(&mut rng, 5)) } else { random_number(&mut rng) })
            .collect();
        let values = values.iter().map(|value| format!(",{value}")).collect::<String>();
        let data = quoted(&random_bytes(&mut rng, 60));
        let offset = rng.index(6);
        pair.compare(&format!("return struct.size('{format}')"));
        pair.compare(&format!("return struct.pack('{format}'{values})"));
        pair.compare(&format!("return struct.unpack('{format}',{data},{offset})"));
        let operation = pick(&mut rng, &["band", "bor", "bxor", "lshift", "rshift", "arshift", "rol", "ror", "tohex"]);
        let (a, b) = (random_number(&mut rng), random_number(&mut rng));
        pair.compare(&format!("return bit.{operation}({a},{b}), bit.tobit({a}), bit.bswap({b}), bit.bnot({a})"));
    }
    pair.end();
}

#[test]
fn calls_with_a_full_stack_end_in_an_error() {
    let server = Server::start(Kind::Ours, &[]);
    let mut client = server.client();
    for call in [
        "bit.bnot(1, unpack(t, 1, 7990))",
        "bit.band(unpack(t, 1, 7990))",
        "cjson.encode(unpack(t, 1, 7990))",
        "struct.pack(string.rep('b', 7990), unpack(t, 1, 7990))",
        "cmsgpack.pack(unpack(t, 1, 7990))",
        "cmsgpack.unpack_limit(string.rep('a', 7999), 7999)",
        "redis.call(unpack(t, 1, 7990))",
        "tostring(1, unpack(t, 1, 7990))",
    ] {
        let script = format!(
            "local t = {{}} for i = 1, 8000 do t[i] = 1 end return tostring(pcall(function() return {call} end))"
        );
        let reply = client.cmd(&["EVAL", &script, "0"]);
        assert!(matches!(reply, Value::Bulk(_)), "{call}: {reply:?}");
    }
    assert_eq!(client.cmd(&["PING"]), Value::Simple("PONG".into()));
}
