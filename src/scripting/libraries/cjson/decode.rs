//! JSON to values. Nothing here calls itself: the tables that are not complete stand in a list, and on Lua's stack.
//!
//! Beyond JSON, as in stock, numbers may be what `strtod` reads: hexadecimal, infinite, none, with leading zeros.

use super::super::numbers::parse_prefix;
use super::{NULL, Settings, check_single};
use crate::base::lua::{Raise, Stack};

#[derive(Clone, Copy, PartialEq)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    /// Its bytes are in the lexer's buffer.
    String,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    /// What it is instead of a token.
    Bad(&'static str),
}

impl Token {
    fn name(self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::String => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Bad(what) => what,
        }
    }
}

const BAD_TOKEN: Token = Token::Bad("invalid token");
const BAD_NUMBER: Token = Token::Bad("invalid number");
const BAD_ESCAPE: Token = Token::Bad("invalid escape code");
const BAD_UNICODE: Token = Token::Bad("invalid unicode escape code");
const BAD_STRING: Token = Token::Bad("unexpected end of string");

struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    /// Where the last token begins, or what is wrong with it.
    start: usize,
    string: Vec<u8>,
    lets_invalid_numbers_pass: bool,
}

impl Lexer<'_> {
    /// A byte; the text is followed by zeros.
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn next(&mut self) -> Token {
        while matches!(self.byte(self.at), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.start = self.at;
        let single = match self.byte(self.at) {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b',' => Token::Comma,
            b':' => Token::Colon,
            b'"' => return self.string(),
            // A zero byte ends the text wherever it stands.
            0 => return Token::End,
            _ => return self.word(),
        };
        self.at += 1;
        single
    }

    fn word(&mut self) -> Token {
        let rest = &self.text[self.at..];
        let literal = [(&b"true"[..], Token::Boolean(true)), (b"false", Token::Boolean(false)), (b"null", Token::Null)];
        if let Some((word, token)) = literal.into_iter().find(|(word, _)| rest.starts_with(word)) {
            self.at += word.len();
            return token;
        }
        let is_invalid = is_invalid_number(rest);
        let begins_number = matches!(rest[0], b'-' | b'0'..=b'9') || (self.lets_invalid_numbers_pass && is_invalid);
        if !begins_number {
            return BAD_TOKEN;
        }
        if !self.lets_invalid_numbers_pass && is_invalid {
            return BAD_NUMBER;
        }
        match parse_prefix(rest) {
            Some((number, len)) => {
                self.at += len;
                Token::Number(number)
            }
            None => BAD_NUMBER,
        }
    }

    fn string(&mut self) -> Token {
        self.string.clear();
        self.at += 1;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let run = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0)).unwrap_or(rest.len());
            self.string.extend_from_slice(&rest[..run]);
            self.at += run;
            match self.byte(self.at) {
                b'"' => {
                    self.at += 1;
                    return Token::String;
                }
                b'\\' => {
                    if let Err(token) = self.escape() {
                        self.start = self.at;
                        return token;
                    }
                }
                _ => {
                    self.start = self.at;
                    return BAD_STRING;
                }
            }
        }
    }

    fn escape(&mut self) -> Result<(), Token> {
        let byte = match self.byte(self.at + 1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return self.unicode_escape().ok_or(BAD_UNICODE),
            _ => return Err(BAD_ESCAPE),
        };
        self.string.push(byte);
        self.at += 2;
        Ok(())
    }

    /// `\uXXXX`, or two of them that make up one character beyond 65535.
    fn unicode_escape(&mut self) -> Option<()> {
        let first = self.four_digits(self.at + 2)?;
        let (code, len) = if first & 0xf800 == 0xd800 {
            let is_escape = self.byte(self.at + 6) == b'\\' && self.byte(self.at + 7) == b'u';
            let second = self.four_digits(self.at + 8).filter(|second| is_escape && second & 0xfc00 == 0xdc00)?;
            if first & 0x400 != 0 {
                return None;
            }
            (0x1_0000 + ((first & 0x3ff) << 10 | (second & 0x3ff)), 12)
        } else {
            (first, 6)
        };
        let mut encoded = [0; 4];
        self.string.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut encoded).as_bytes());
        self.at += len;
        Some(())
    }

    fn four_digits(&self, at: usize) -> Option<u32> {
        (at..at + 4).try_fold(0, |code, at| Some(code << 4 | char::from(self.byte(at)).to_digit(16)?))
    }

    /// The complaint about a token where another is expected.
    fn unexpected(&self, expected: &str, found: Token) -> Raise {
        Raise::error(format!("Expected {expected} but found {} at character {}", found.name(), self.start + 1))
    }
}

/// Whether what begins here is a number to `strtod` only.
fn is_invalid_number(text: &[u8]) -> bool {
    let begins_with =
        |text: &[u8], word: &[u8]| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    match text {
        [b'+', ..] => true,
        [b'-', rest @ ..] | rest => match rest {
            [b'0', next, ..] => matches!(next, b'0'..=b'9' | b'x' | b'X'),
            [b'0'..=b'9', ..] => false,
            _ => begins_with(rest, b"inf") || begins_with(rest, b"nan"),
        },
    }
}

/// A table that is being read. It is on the stack.
enum Open {
    /// How many elements it has.
    Array(i32),
    /// The key of the value that comes next is above it.
    Object,
}

/// `cjson.decode`
pub fn decode(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    check_single(stack)?;
    let text = stack.check_bytes(1)?.to_vec();
    let settings = Settings::load(stack);
    // Text of two or four bytes a character has a zero among its first two.
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err(Raise::error("JSON parser does not support UTF-16 or UTF-32"));
    }
    let lets_invalid_numbers_pass = settings.decode_invalid != 0;
    let lexer = Lexer { text: &text, at: 0, start: 0, string: Vec::new(), lets_invalid_numbers_pass };
    let max_depth = settings.decode_max_depth as usize;
    Decoder { stack, lexer, open: Vec::new(), max_depth }.run()?;
    Ok(1)
}

struct Decoder<'a, 'b, 'c> {
    stack: &'a mut Stack<'b>,
    lexer: Lexer<'c>,
    open: Vec<Open>,
    max_depth: usize,
}

impl Decoder<'_, '_, '_> {
    fn run(&mut self) -> Result<(), Raise> {
        let mut token = self.lexer.next();
        loop {
            if self.begin(&mut token)? {
                continue;
            }
            loop {
                let Some(top) = self.open.last_mut() else {
                    let end = self.lexer.next();
                    return if end == Token::End { Ok(()) } else { Err(self.lexer.unexpected("the end", end)) };
                };
                let (end, expected) = match top {
                    Open::Array(count) => {
                        *count += 1;
                        self.stack.raw_set_element(-2, *count);
                        (Token::ArrayEnd, "comma or array end")
                    }
                    Open::Object => {
                        self.stack.raw_set(-3);
                        (Token::ObjectEnd, "comma or object end")
                    }
                };
                let is_object = matches!(top, Open::Object);
                token = self.lexer.next();
                if token == end {
                    self.open.pop();
                    continue;
                }
                if token != Token::Comma {
                    return Err(self.lexer.unexpected(expected, token));
                }
                token = self.lexer.next();
                if is_object {
                    self.key(token)?;
                    token = self.lexer.next();
                }
                break;
            }
        }
    }

    /// Pushes the value that begins with `token`: `false` if it is complete, `true` if it holds one that begins with
    /// what is the `token` now.
    fn begin(&mut self, token: &mut Token) -> Result<bool, Raise> {
        match *token {
            Token::String => self.stack.push_bytes(&self.lexer.string),
            Token::Number(number) => self.stack.push_number(number),
            Token::Boolean(value) => self.stack.push_boolean(value),
            Token::Null => self.stack.push_mark(NULL),
            Token::ObjectBegin => {
                self.descend(3)?;
                *token = self.lexer.next();
                if *token != Token::ObjectEnd {
                    self.key(*token)?;
                    *token = self.lexer.next();
                    self.open.push(Open::Object);
                    return Ok(true);
                }
            }
            Token::ArrayBegin => {
                self.descend(2)?;
                *token = self.lexer.next();
                if *token != Token::ArrayEnd {
                    self.open.push(Open::Array(0));
                    return Ok(true);
                }
            }
            other => return Err(self.lexer.unexpected("value", other)),
        }
        Ok(false)
    }

    /// Pushes a table, which will need so many places of the stack.
    fn descend(&mut self, places: i32) -> Result<(), Raise> {
        let depth = self.open.len() + 1;
        if depth > self.max_depth || !self.stack.reserve(places) {
            let at = self.lexer.at;
            return Err(Raise::error(format!("Found too many nested data structures ({depth}) at character {at}")));
        }
        self.stack.push_table(0, 0);
        Ok(())
    }

    /// Pushes the key that a token is, and passes the colon.
    fn key(&mut self, token: Token) -> Result<(), Raise> {
        if token != Token::String {
            return Err(self.lexer.unexpected("object key string", token));
        }
        self.stack.push_bytes(&self.lexer.string);
        let colon = self.lexer.next();
        if colon == Token::Colon { Ok(()) } else { Err(self.lexer.unexpected("colon", colon)) }
    }
}
