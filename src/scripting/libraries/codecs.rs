//! The libraries' codecs without a server and without a script, for whoever feeds them bytes from anywhere: the fuzz
//! targets and the tests.

use crate::base::lua::{Library, Lua, Reference};

/// A state of Lua with the libraries in it. It can be used again and again.
pub struct Codecs {
    lua: Lua,
    libraries: Reference,
}

impl Codecs {
    /// None if there is no memory for it.
    pub fn new() -> Option<Codecs> {
        let mut lua = Lua::new()?;
        lua.open(Library::Base);
        let mut stack = lua.stack();
        stack.push_table(0, 4);
        super::register(&mut stack);
        let libraries = stack.keep();
        Some(Codecs { lua, libraries })
    }

    /// `cmsgpack.unpack`: packs what came out of it again, or tells the error.
    pub fn msgpack(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        self.round(("cmsgpack", "unpack", &[bytes]), ("cmsgpack", "pack"))
    }

    /// `cjson.decode`: encodes what came out of it again, or tells the error.
    pub fn json(&mut self, text: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        self.round(("cjson", "decode", &[text]), ("cjson", "encode"))
    }

    /// `struct.unpack`: packs what came out of it, the place of the end included, as MessagePack.
    pub fn structs(&mut self, format: &[u8], bytes: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        self.round(("struct", "unpack", &[format, bytes]), ("cmsgpack", "pack"))
    }

    /// Calls a function with these arguments, and another with its results.
    fn round(&mut self, first: (&str, &str, &[&[u8]]), second: (&str, &str)) -> Result<Vec<u8>, Vec<u8>> {
        let mut stack = self.lua.stack();
        stack.set_top(0);
        for (library, function) in [second, (first.0, first.1)] {
            stack.push_kept(&self.libraries);
            stack.raw_get_field(-1, library);
            stack.raw_get_field(-1, function);
            stack.replace(-3);
            stack.pop(1);
        }
        for bytes in first.2 {
            stack.push_bytes(bytes);
        }
        let done = stack.call(first.2.len() as i32, -1, None) && {
            let results = stack.top() - 1;
            stack.call(results, 1, None)
        };
        let said = stack.to_bytes(-1).unwrap_or_default().to_vec();
        stack.set_top(0);
        stack.collect_step();
        if done { Ok(said) } else { Err(said) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn what_comes_out_goes_in_again() {
        let mut codecs = Codecs::new().unwrap();
        assert_eq!(codecs.msgpack(b"\x93\x01\xa1a\xc3"), Ok(b"\x93\x01\xa1a\xc3".to_vec()));
        assert_eq!(codecs.json(b"[1, {\"a\" : null}]"), Ok(b"[1,{\"a\":null}]".to_vec()));
        assert_eq!(codecs.structs(b">hb", b"\x01\x02\x03"), Ok(b"\xcd\x01\x02\x03\x04".to_vec()));
        assert_eq!(codecs.msgpack(b"\xc1"), Err(b"Bad data format in input.".to_vec()));
        assert_eq!(codecs.json(b"["), Err(b"Expected value but found T_END at character 2".to_vec()));
        assert!(codecs.structs(b"i", b"abc").unwrap_err().ends_with(b"(data string too short)"));
    }

    #[test]
    fn bytes_from_anywhere_do_no_harm() {
        let mut codecs = Codecs::new().unwrap();
        let mut rng = Rng::new(45);
        let (mut good, mut bad) = (0, 0);
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..rng.index(24)).map(|_| rng.next_u64() as u8).collect();
            let (format, rest) = bytes.split_at(bytes.len() / 3);
            let text: Vec<u8> =
                bytes.iter().map(|byte| b"{}[]:,\"\\u0d8ef1.-ntrasl \0"[usize::from(byte % 25)]).collect();
            let format: Vec<u8> = format.iter().map(|byte| b"bBhHlLTiIfdscx<>! 0139"[usize::from(byte % 22)]).collect();
            for outcome in [codecs.msgpack(&bytes), codecs.json(&text), codecs.structs(&format, rest)] {
                if outcome.is_ok() { good += 1 } else { bad += 1 }
            }
        }
        assert!(good > 1000 && bad > 1000, "{good} {bad}");
    }
}
