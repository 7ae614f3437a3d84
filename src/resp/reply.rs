//! Writes replies in RESP2 or RESP3 straight into the client's output (= the addReply family of networking.c).

use crate::base::numbers;

/// A place in the output where a length will be filled in, once it is known.
#[must_use]
pub struct Deferred(usize);

/// The output of one client, with the protocol version that it speaks.
#[derive(Default, Debug)]
pub struct Reply {
    /// What is to be sent.
    pub out: Vec<u8>,
    /// Whether the client speaks RESP3.
    pub resp3: bool,
}

impl Reply {
    /// An empty output.
    pub fn new(resp3: bool) -> Self {
        Reply { out: Vec::new(), resp3 }
    }

    #[inline]
    fn prefixed(&mut self, prefix: u8, value: i64) {
        if let Ok(short) = u32::try_from(value)
            && short < numbers::SHORT_NUMBERS
        {
            let (digits, count) = numbers::digits_of(short);
            let end = u128::from(u16::from_le_bytes(*b"\r\n")) << (8 + 8 * count);
            let line = u128::from(prefix) | u128::from(digits) << 8 | end;
            // A copy of a fixed length is one move; what is too much goes again.
            let len = self.out.len() + 3 + count as usize;
            self.out.extend_from_slice(&line.to_le_bytes());
            return self.out.truncate(len);
        }
        self.prefixed_long(prefix, value);
    }

    /// `prefixed` where the number is negative or long.
    #[cold]
    fn prefixed_long(&mut self, prefix: u8, value: i64) {
        self.out.push(prefix);
        numbers::write_i64(&mut self.out, value);
        self.out.extend_from_slice(b"\r\n");
    }

    /// `+OK`
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A simple string. It must hold no line break.
    pub fn status(&mut self, text: &str) {
        self.out.push(b'+');
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// A simple string of bytes without line breaks.
    pub fn status_bytes(&mut self, text: &[u8]) {
        self.out.push(b'+');
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A number of any size, spelled out; a bulk string in RESP2.
    pub fn big_number(&mut self, digits: &[u8]) {
        if !self.resp3 {
            return self.bulk(digits);
        }
        self.out.push(b'(');
        self.out.extend_from_slice(digits);
        self.out.extend_from_slice(b"\r\n");
    }

    /// An error; `text` begins with its code. Line breaks become spaces.
    pub fn error(&mut self, text: &[u8]) {
        self.out.push(b'-');
        let text = text.strip_suffix(b"\r\n").unwrap_or(text);
        self.out.extend(text.iter().map(|&byte| if byte == b'\r' || byte == b'\n' { b' ' } else { byte }));
        self.out.extend_from_slice(b"\r\n");
    }

    /// An integer.
    #[inline]
    pub fn int(&mut self, value: i64) {
        match value {
            0 => self.out.extend_from_slice(b":0\r\n"),
            1 => self.out.extend_from_slice(b":1\r\n"),
            _ => self.prefixed(b':', value),
        }
    }

    /// A length or count, as an integer.
    pub fn len(&mut self, value: usize) {
        self.int(value as i64);
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 32);
        match bytes.len() {
            // Most have a length of two digits.
            len @ 10..100 => {
                let (tens, ones) = (b'0' + len as u8 / 10, b'0' + len as u8 % 10);
                self.out.extend_from_slice(&[b'$', tens, ones, b'\r', b'\n']);
            }
            len => self.prefixed(b'$', len as i64),
        }
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A bulk string that spells an integer.
    #[inline]
    pub fn bulk_int(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// The absence of a value.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(if self.resp3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// The absence of an array.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(if self.resp3 { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// The head of an array of `count` replies.
    #[inline]
    pub fn array(&mut self, count: usize) {
        self.prefixed(b'*', count as i64);
    }

    /// The head of a map of `pairs`; an array of twice as many in RESP2.
    pub fn map(&mut self, pairs: usize) {
        match self.resp3 {
            true => self.prefixed(b'%', pairs as i64),
            false => self.array(pairs * 2),
        }
    }

    /// The head of a set; an array in RESP2.
    pub fn set(&mut self, count: usize) {
        self.prefixed(if self.resp3 { b'~' } else { b'*' }, count as i64);
    }

    /// The head of an out-of-band message; an array in RESP2.
    pub fn push(&mut self, count: usize) {
        self.prefixed(if self.resp3 { b'>' } else { b'*' }, count as i64);
    }

    /// The head of attributes that precede the reply itself. RESP3 only.
    pub fn attributes(&mut self, pairs: usize) {
        self.prefixed(b'|', pairs as i64);
    }

    /// A double; a bulk string in RESP2.
    pub fn double(&mut self, value: f64) {
        // Most doubles are scores, and most scores are whole: those need no memory to be printed in.
        let whole = value as i64;
        if whole as f64 == value && whole.unsigned_abs() < 1 << 53 && (whole != 0 || value.is_sign_positive()) {
            return if self.resp3 { self.prefixed(b',', whole) } else { self.bulk_int(whole) };
        }
        let mut text = Vec::with_capacity(32);
        numbers::format_f64(value, &mut text);
        self.double_text(&text);
    }

    /// A double that was printed in some other way.
    pub fn double_text(&mut self, text: &[u8]) {
        match self.resp3 {
            true => {
                self.out.push(b',');
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\r\n");
            }
            false => self.bulk(text),
        }
    }

    /// A truth value; 1 or 0 in RESP2.
    pub fn bool(&mut self, value: bool) {
        match (self.resp3, value) {
            (true, true) => self.out.extend_from_slice(b"#t\r\n"),
            (true, false) => self.out.extend_from_slice(b"#f\r\n"),
            (false, _) => self.int(i64::from(value)),
        }
    }

    /// Text with a three-letter format; a plain bulk string in RESP2.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        if !self.resp3 {
            return self.bulk(text);
        }
        self.prefixed(b'=', text.len() as i64 + 4);
        self.out.extend_from_slice(format.as_bytes());
        self.out.push(b':');
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Leaves a place for a length that is not known yet.
    pub fn defer(&mut self) -> Deferred {
        Deferred(self.out.len())
    }

    fn fill(&mut self, place: Deferred, prefix: u8, count: usize) {
        let mut head = Vec::with_capacity(24);
        head.push(prefix);
        numbers::write_i64(&mut head, count as i64);
        head.extend_from_slice(b"\r\n");
        self.out.splice(place.0..place.0, head);
    }

    /// Puts the head of an array of `count` where `place` was left.
    pub fn fill_array(&mut self, place: Deferred, count: usize) {
        self.fill(place, b'*', count);
    }

    /// Puts the head of a set of `count` where `place` was left.
    pub fn fill_set(&mut self, place: Deferred, count: usize) {
        self.fill(place, if self.resp3 { b'~' } else { b'*' }, count);
    }

    /// Puts the head of a map of `pairs` where `place` was left.
    pub fn fill_map(&mut self, place: Deferred, pairs: usize) {
        match self.resp3 {
            true => self.fill(place, b'%', pairs),
            false => self.fill(place, b'*', pairs * 2),
        }
    }
}

/// Appends a command as an array of bulk strings, the form in which it travels in a replication stream.
pub fn encode_command<'a>(out: &mut Vec<u8>, args: impl ExactSizeIterator<Item = &'a [u8]>) {
    out.push(b'*');
    numbers::write_i64(out, args.len() as i64);
    out.extend_from_slice(b"\r\n");
    for arg in args {
        out.push(b'$');
        numbers::write_i64(out, arg.len() as i64);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_are_written_as_the_library_does() {
        let powers = (0..19).map(|power| 10i64.pow(power)).flat_map(|power| [power - 1, power, power + 1]);
        for value in powers.flat_map(|value| [value, -value]).chain([i64::MAX, i64::MIN, i64::MIN + 1]) {
            let mut reply = Reply::new(false);
            reply.ok();
            reply.int(value);
            reply.array(3);
            assert_eq!(String::from_utf8(reply.out).unwrap(), format!("+OK\r\n:{value}\r\n*3\r\n"));
        }
    }

    #[test]
    fn each_kind_of_reply_in_both_protocols() {
        let write = |resp3: bool| {
            let mut reply = Reply::new(resp3);
            let place = reply.defer();
            reply.int(-7);
            reply.bulk(b"a\r\nb");
            reply.double(1.5);
            reply.null();
            reply.bool(true);
            reply.map(1);
            reply.verbatim("txt", b"hi");
            reply.error(b"ERR two\r\nlines\r\n");
            reply.fill_set(place, 8);
            String::from_utf8(reply.out).unwrap()
        };
        assert_eq!(
            write(false),
            "*8\r\n:-7\r\n$4\r\na\r\nb\r\n$3\r\n1.5\r\n$-1\r\n:1\r\n*2\r\n$2\r\nhi\r\n-ERR two  lines\r\n"
        );
        assert_eq!(
            write(true),
            "~8\r\n:-7\r\n$4\r\na\r\nb\r\n,1.5\r\n_\r\n#t\r\n%1\r\n=6\r\ntxt:hi\r\n-ERR two  lines\r\n"
        );
    }

    #[test]
    fn a_double_is_printed_one_way_whether_it_is_whole_or_not() {
        let whole = (1u64 << 53) as f64;
        for value in [0.0, -0.0, 1.0, -7.0, 1.5, 1e15, whole, whole - 1.0, 1e18, 1e21, f64::INFINITY, f64::NAN] {
            let (mut resp2, mut resp3, mut text) = (Reply::new(false), Reply::new(true), Vec::new());
            numbers::format_f64(value, &mut text);
            let text = String::from_utf8(text).unwrap();
            resp2.double(value);
            resp3.double(value);
            assert_eq!(resp2.out, format!("${}\r\n{text}\r\n", text.len()).into_bytes());
            assert_eq!(resp3.out, format!(",{text}\r\n").into_bytes());
        }
    }

    #[test]
    fn a_command_is_an_array_of_bulk_strings() {
        let mut out = Vec::new();
        encode_command(&mut out, [b"SET".as_slice(), b"k", b""].into_iter());
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n");
    }
}
