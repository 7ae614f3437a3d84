//! Replies, changes and events as stock Redis gave them, and fields against arithmetic of 128 bits.

use super::ROWS;
use crate::base::rng::Rng;
use crate::commands::testing::Bench;
use crate::types::{Set, Value};

const TYPE: &str = "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
const OFFSET: &str = "-ERR bit offset is not an integer or out of range";

fn bench() -> Bench {
    let mut bench = Bench::new(ROWS);
    for (key, value) in [("k", &b"foobar"[..]), ("ff", b"\xff\xff\xff"), ("empty", b""), ("number", b"12")] {
        bench.keys.set_str(key.as_bytes(), value, None);
    }
    bench.keys.insert(b"set", Value::Set(Set::new()), None);
    bench
}

fn string(bench: &mut Bench, key: &str) -> Option<Vec<u8>> {
    let keys = bench.keys.current();
    keys.get(key.as_bytes()).map(|_| super::source(&bench.keys, key.as_bytes()).into_owned())
}

#[test]
fn replies_and_counted_changes() {
    let mut bench = bench();
    for (command, reply, dirty) in [
        ("setbit a 7 1", ":0", 1),
        ("setbit a 7 1", ":1", 0),
        ("setbit a 3 0", ":0", 0),
        ("setbit a 20 0", ":0", 1),
        ("setbit number 2 1", ":1", 0),
        ("setbit a -1 1", OFFSET, 0),
        ("setbit a 4294967296 1", OFFSET, 0),
        ("setbit a x x", OFFSET, 0),
        ("setbit set x 1", OFFSET, 0),
        ("setbit a 4294967295 2", "-ERR bit is not an integer or out of range", 0),
        ("setbit set 1 01", "-ERR bit is not an integer or out of range", 0),
        ("setbit set 1 1", "-WRONGTYPE Operation against a key holding the wrong kind of value", 0),
        ("getbit a 7", ":1", 0),
        ("getbit a 4294967295", ":0", 0),
        ("getbit number 3", ":1", 0),
        ("getbit none 3", ":0", 0),
        ("getbit set x", OFFSET, 0),
        ("bitcount none", ":0", 0),
        ("bitcount none x", "-ERR syntax error", 0),
        ("bitcount none 1 x", "-ERR value is not an integer or out of range", 0),
        ("bitcount set 1 2 FOO", "-ERR syntax error", 0),
        ("bitcount k 1 2 BIT x", "-ERR syntax error", 0),
        ("bitcount k", ":26", 0),
        ("bitcount empty", ":0", 0),
        ("bitcount k 1 2 BYTE", ":12", 0),
        ("bitcount k 5 30 bit", ":17", 0),
        ("bitcount k -100 -200", ":0", 0),
        ("bitcount k -200 -100", ":4", 0),
        ("bitcount k 3 1", ":0", 0),
        ("bitcount k -9223372036854775808 9223372036854775807", ":26", 0),
        ("bitpos none x", "-ERR value is not an integer or out of range", 0),
        ("bitpos none 2", "-ERR The bit argument must be 1 or 0.", 0),
        ("bitpos none 1 0 x", "-ERR value is not an integer or out of range", 0),
        ("bitpos none 1 0 BIT 100", "-ERR syntax error", 0),
        ("bitcount none 0 BIT 100", "-ERR value is not an integer or out of range", 0),
        ("bitpos none 1", ":-1", 0),
        ("bitpos none 0 5 3", ":0", 0),
        ("bitpos empty 0", ":-1", 0),
        ("bitpos k 1 2 3 BIT", ":2", 0),
        ("bitpos k 1 2 3 BIT 4", "-ERR syntax error", 0),
        ("bitpos k 1 -10 -8", ":1", 0),
        ("bitpos ff 0", ":24", 0),
        ("bitpos ff 0 0", ":24", 0),
        ("bitpos ff 0 0 -1", ":-1", 0),
        ("bitpos ff 0 5", ":-1", 0),
        ("bitpos ff 0 8 15 bit", ":-1", 0),
        ("bitpos ff 1 9 15 bit", ":9", 0),
        ("bitop foo d a", "-ERR syntax error", 0),
        ("bitop not d a b", "-ERR BITOP NOT must be called with a single source key.", 0),
        ("bitop and d k set", "-WRONGTYPE Operation against a key holding the wrong kind of value", 0),
        ("bitop not d none", ":0", 0),
        ("bitop xor k k ff", ":6", 1),
        ("bitop and k none", ":0", 1),
        ("bitop or set number none", ":2", 1),
    ] {
        assert_eq!(bench.line(command), reply, "{command}");
        assert_eq!(bench.dirty, dirty, "{command}");
    }
    assert_eq!(string(&mut bench, "k"), None);
    assert_eq!(string(&mut bench, "set").unwrap(), b"12");
}

#[test]
fn fields_are_read_written_and_increased() {
    let mut bench = bench();
    for (command, reply, dirty) in [
        ("bitfield none", "*0", 0),
        ("bitfield none get u8 0 get u8 4294967295", "*2 :0 :0", 0),
        ("bitfield none foo", "-ERR syntax error", 0),
        ("bitfield none get u8", "-ERR syntax error", 0),
        ("bitfield none set u8 0", "-ERR syntax error", 0),
        ("bitfield none overflow", "-ERR syntax error", 0),
        ("bitfield none overflow foo", "-ERR Invalid OVERFLOW type specified", 0),
        ("bitfield none get u64 0", TYPE, 0),
        ("bitfield none get i65 0", TYPE, 0),
        ("bitfield none get u0 0", TYPE, 0),
        ("bitfield none get u08 0", TYPE, 0),
        ("bitfield none get U8 0", TYPE, 0),
        ("bitfield none get x8 0", TYPE, 0),
        ("bitfield none get u8 -1", OFFSET, 0),
        ("bitfield none get u8 #-1", OFFSET, 0),
        ("bitfield none get u8 #x", OFFSET, 0),
        ("bitfield none get u8 #536870911", "*1 :0", 0),
        ("bitfield none get u8 #536870912", OFFSET, 0),
        ("bitfield none get u8 #9223372036854775807", OFFSET, 0),
        ("bitfield none set u8 x x", OFFSET, 0),
        ("bitfield none set u8 0 x", "-ERR value is not an integer or out of range", 0),
        ("bitfield set get u8 0", "-WRONGTYPE Operation against a key holding the wrong kind of value", 0),
        ("bitfield set set u8 0 1", "-WRONGTYPE Operation against a key holding the wrong kind of value", 0),
        ("bitfield_ro none overflow sat get u8 0", "*1 :0", 0),
        ("bitfield_ro none set u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand", 0),
        ("bitfield_ro number get u8 0", "*1 :49", 0),
        ("bitfield a set u8 0 300", "*1 :0", 1),
        ("bitfield a set u8 0 -1", "*1 :44", 1),
        ("bitfield a set i8 0 300", "*1 :-1", 1),
        ("bitfield a overflow sat set i8 0 300", "*1 :44", 1),
        ("bitfield a overflow sat set i8 0 -9223372036854775808 get i8 0", "*2 :127 :127", 0),
        ("bitfield a overflow fail set i8 0 300 get u8 #0", "*2 $-1 :127", 0),
        ("bitfield a set u8 #0 5 set u8 #0 6 incrby u8 0 1", "*3 :127 :5 :7", 3),
        (
            "bitfield a overflow sat incrby u8 0 1000 incrby u8 0 -1000 overflow fail incrby u8 0 -1",
            "*3 :255 :0 $-1",
            2,
        ),
        ("bitfield a incrby u8 0 0", "*1 :0", 0),
        ("bitfield a set u8 8 0", "*1 :0", 1),
    ] {
        assert_eq!(bench.line(command), reply, "{command}");
        assert_eq!(bench.dirty, dirty, "{command}");
    }
    // The last one failed, and yet its string has grown.
    assert_eq!(bench.line("bitfield new overflow fail incrby u8 100 500"), "*1 $-1");
    assert_eq!((bench.dirty, bench.effects.is_forced(), bench.events()), (0, true, vec!["new new".to_owned()]));
    assert_eq!(string(&mut bench, "new").unwrap(), [0; 14]);
    bench.line("setbit a 0 1");
    assert_eq!(bench.events(), ["setbit a"]);
    bench.line("bitfield a set u4 4 9 set u4 0 9");
    assert_eq!(bench.events(), ["setbit a"]);
    bench.line("bitop or b a");
    assert_eq!(bench.events(), ["new b", "set b"]);
}

/// Every width, sign and rule, with values near all limits, against numbers that cannot overflow.
#[test]
fn overflows_are_those_of_wide_arithmetic() {
    let mut rng = Rng::new(21);
    let near = |rng: &mut Rng, width: u32| {
        let limit = [0, 1i128 << (width - 1), 1 << width, i128::from(i64::MAX)][rng.index(4)];
        let signed = if rng.next_u64().is_multiple_of(2) { limit } else { -limit };
        (signed + rng.index(5) as i128 - 2).clamp(i64::MIN.into(), i64::MAX.into()) as i64
    };
    for _ in 0..20_000 {
        let signed = rng.next_u64().is_multiple_of(2);
        let width = 1 + rng.index(if signed { 64 } else { 63 }) as u32;
        let (low, high) = match signed {
            true => (-(1i128 << (width - 1)), (1i128 << (width - 1)) - 1),
            false => (0, (1i128 << width) - 1),
        };
        let name = format!("{}{width}", if signed { 'i' } else { 'u' });
        let old = i128::from(near(&mut rng, width)).clamp(low, high);
        let increment = near(&mut rng, width);
        let sum = old + i128::from(increment);
        let wrapped = (sum - low).rem_euclid(high - low + 1) + low;
        let expected = [
            ("wrap", format!("*1 :{wrapped}")),
            ("sat", format!("*1 :{}", sum.clamp(low, high))),
            ("fail", if (low..=high).contains(&sum) { format!("*1 :{sum}") } else { "*1 $-1".to_owned() }),
        ];
        for (rule, reply) in expected {
            let mut bench = Bench::new(ROWS);
            bench.line(&format!("bitfield k set {name} 3 {old}"));
            assert_eq!(bench.line(&format!("bitfield k get {name} 3")), format!("*1 :{old}"));
            let command = format!("bitfield k overflow {rule} incrby {name} 3 {increment}");
            assert_eq!(bench.line(&command), reply, "{command} from {old}");
        }
    }
}

#[test]
fn our_masters_strings_may_be_longer_and_no_offset_panics() {
    let mut bench = bench();
    bench.limits.string_len_max = 4;
    assert_eq!(bench.line("setbit a 31 1"), ":0");
    assert_eq!(bench.line("setbit a 32 1"), OFFSET);
    bench.session.from_master = true;
    assert_eq!(bench.line("setbit a 32 1"), ":0");
    for offset in ["9223372036854775807", "9000000000000000000"] {
        assert!(bench.line(&format!("setbit a {offset} 1")).starts_with("-ERR "));
        assert!(bench.line(&format!("bitfield b set i64 {offset} 1")).starts_with("-ERR "));
        assert_eq!(bench.line(&format!("bitfield a get i64 {offset}")), "*1 :0");
    }
    assert_eq!(string(&mut bench, "a").unwrap().len(), 5);
}
