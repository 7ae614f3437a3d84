//! Glob patterns against a twin that tries every choice.

use understudy::base::glob::matches;

/// Longer ones cost pattern times text, and show nothing that short ones do not.
const LEN_MAX: usize = 2000;

/// The first byte says where the pattern ends and whether case counts.
pub fn glob(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let rest = &rest[..rest.len().min(LEN_MAX)];
    let (pattern, text) = rest.split_at((usize::from(first >> 1) * rest.len() / 127).min(rest.len()));
    let nocase = first & 1 != 0;
    let found = matches(pattern, text, nocase);
    if data.len() < 200 {
        assert_eq!(found, naive(pattern, text, nocase), "{:?} {:?}", pattern.escape_ascii(), text.escape_ascii());
    }
}

/// Which prefixes of the text the pattern matches, part by part.
fn naive(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    let mut rest = pattern;
    while !rest.is_empty() {
        let mut next = vec![false; text.len() + 1];
        let taken = match rest {
            [b'*', ..] => {
                let first = reached.iter().position(|&reached| reached).unwrap_or(next.len());
                next[first..].fill(true);
                1
            }
            _ => {
                let (taken, takes) = part(rest, nocase);
                for at in (0..text.len()).filter(|&at| reached[at]) {
                    next[at + 1] = takes[usize::from(text[at])];
                }
                taken
            }
        };
        (reached, rest) = (next, &rest[taken..]);
    }
    reached[text.len()]
}

/// The length of the first part of a pattern, and the bytes that it takes.
fn part(pattern: &[u8], nocase: bool) -> (usize, [bool; 256]) {
    let mut takes = [false; 256];
    let fold = |byte: u8| if nocase { byte.to_ascii_lowercase() } else { byte };
    let mut add = |test: &dyn Fn(u8) -> bool| (0..=255).for_each(|byte| takes[usize::from(byte)] |= test(byte));
    match *pattern {
        [b'?', ..] => (1, [true; 256]),
        [b'\\', literal, ..] => {
            add(&|byte| fold(byte) == fold(literal));
            (2, takes)
        }
        [b'[', ref class @ ..] => {
            let negated = class.first() == Some(&b'^');
            let mut rest = &class[usize::from(negated)..];
            loop {
                rest = match *rest {
                    [] => break,
                    [b'\\', literal, ref rest @ ..] => {
                        add(&|byte| byte == literal);
                        rest
                    }
                    [b']', ref after @ ..] => {
                        rest = after;
                        break;
                    }
                    [one, b'-', other, ref rest @ ..] => {
                        let (low, high) = (fold(one.min(other)), fold(one.max(other)));
                        add(&|byte| low <= fold(byte) && fold(byte) <= high);
                        rest
                    }
                    [literal, ref rest @ ..] => {
                        add(&|byte| fold(byte) == fold(literal));
                        rest
                    }
                };
            }
            let taken = pattern.len() - rest.len();
            (taken, takes.map(|takes| takes != negated))
        }
        [literal, ..] => {
            add(&|byte| fold(byte) == fold(literal));
            (1, takes)
        }
        [] => (0, takes),
    }
}
