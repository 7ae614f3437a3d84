//! The codecs that scripts find. What they make of bytes, they make the same of again.

use std::cell::RefCell;
use understudy::scripting::libraries::codecs::Codecs;

thread_local! {
    static CODECS: RefCell<Codecs> = RefCell::new(Codecs::new().expect("memory for a state of Lua"));
}

/// MessagePack: what was packed twice stays as it is. Once is not enough, for what is too deep is packed as nil, and a
/// table forgets that.
pub fn cmsgpack(data: &[u8]) {
    CODECS.with_borrow_mut(|codecs| {
        let first = codecs.msgpack(data);
        let Ok(second) = first.and_then(|packed| codecs.msgpack(&packed)) else { return };
        // Tables have no order, so only the length is sure to be the same.
        if let Ok(third) = codecs.msgpack(&second) {
            assert_eq!(third.len(), second.len(), "{second:?}");
        }
    });
}

/// JSON: what was decoded and encoded once stays as it is.
pub fn cjson(data: &[u8]) {
    CODECS.with_borrow_mut(|codecs| {
        let Ok(text) = codecs.json(data) else { return };
        let again =
            codecs.json(&text).unwrap_or_else(|error| panic!("{:?}: {:?}", text.escape_ascii(), error.escape_ascii()));
        assert_eq!(again.len(), text.len(), "{:?}", text.escape_ascii());
    });
}

/// `struct`: the first byte says where the format ends.
pub fn structs(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let (format, bytes) = rest.split_at((usize::from(first) % 64).min(rest.len()));
    CODECS.with_borrow_mut(|codecs| drop(codecs.structs(format, bytes)));
}
