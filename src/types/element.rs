//! One entry of a listpack or an intset: a number or some bytes. Ancestor: `listpackEntry` of `listpack.c`.

/// What a compact encoding holds. A number stands for its canonical text.
#[derive(Clone, Copy, Debug)]
pub enum Element<'a> {
    Int(i64),
    Bytes(&'a [u8]),
}

impl<'a> Element<'a> {
    /// The text; a number is written into `buffer`.
    #[inline]
    pub fn as_bytes<'b>(&self, buffer: &'b mut [u8; 20]) -> &'b [u8]
    where
        'a: 'b,
    {
        match *self {
            Element::Bytes(bytes) => bytes,
            Element::Int(number) => {
                let mut digits = itoa::Buffer::new();
                let text = digits.format(number).as_bytes();
                buffer[..text.len()].copy_from_slice(text);
                &buffer[..text.len()]
            }
        }
    }

    pub fn to_vec(&self) -> Vec<u8> {
        self.as_bytes(&mut [0; 20]).to_vec()
    }

    /// Length of the text.
    pub fn len(&self) -> usize {
        self.as_bytes(&mut [0; 20]).len()
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, Element::Bytes([]))
    }
}

impl PartialEq for Element<'_> {
    /// Equal when the texts are.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Element::Int(a), Element::Int(b)) => a == b,
            (Element::Bytes(a), Element::Bytes(b)) => a == b,
            (number, Element::Bytes(text)) | (Element::Bytes(text), number) => number == *text,
        }
    }
}

impl Eq for Element<'_> {}

impl PartialEq<[u8]> for Element<'_> {
    fn eq(&self, text: &[u8]) -> bool {
        self.as_bytes(&mut [0; 20]) == text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_its_text() {
        for number in [0, -1, 127, i64::MIN, i64::MAX] {
            let text = number.to_string().into_bytes();
            assert_eq!(Element::Int(number).to_vec(), text);
            assert_eq!(Element::Int(number).len(), text.len());
            assert_eq!(Element::Int(number), Element::Bytes(&text));
            assert_eq!(Element::Bytes(&text), Element::Int(number));
            assert!(Element::Int(number) == text[..]);
        }
        assert_ne!(Element::Int(7), Element::Bytes(b"07"));
        assert_ne!(Element::Bytes(b""), Element::Int(0));
        assert!(Element::Bytes(b"").is_empty() && !Element::Int(0).is_empty());
    }
}
