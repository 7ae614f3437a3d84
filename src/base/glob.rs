//! Glob patterns as KEYS, SCAN MATCH, PSUBSCRIBE and CONFIG GET read them (ancestor: `stringmatchlen` in `util.c`).
//!
//! `*` any bytes, `?` any byte, `[a-z]` `[^a-z]` a class, `\` takes the next byte as it is. All byte-wise. Two habits of
//! the ancestor are kept: an empty text matches only the empty pattern (not `*`), and a class that is never closed
//! ends with the pattern. Every part but `*` takes exactly one byte, so the last `*` is the only place to go
//! back to: the cost is at most pattern times text, where the ancestor could be made exponential.

/// True if all of `text` matches all of `pattern`; `nocase` ignores the case of ASCII letters.
pub fn matches(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut at, mut eaten) = (0, 0);
    // Where to go on after the last `*`, and how much of the text it may leave to what follows.
    let mut retry: Option<(usize, usize)> = None;
    while eaten < text.len() {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            if at == pattern.len() {
                return true;
            }
            retry = Some((at, eaten));
            continue;
        }
        if let Some(next) = match_one(pattern, at, text[eaten], nocase) {
            at = next;
            eaten += 1;
            continue;
        }
        let Some((after_star, tried)) = retry else { return false };
        retry = Some((after_star, tried + 1));
        (at, eaten) = (after_star, tried + 1);
    }
    // Backing up would leave less text for the same parts, each of which needs a byte.
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// Where the pattern goes on if its part at `at`, which is not `*`, takes `byte`.
#[inline]
fn match_one(pattern: &[u8], at: usize, byte: u8, nocase: bool) -> Option<usize> {
    match *pattern.get(at)? {
        b'?' => Some(at + 1),
        b'[' => match_class(pattern, at + 1, byte, nocase),
        b'\\' if at + 1 < pattern.len() => same(pattern[at + 1], byte, nocase).then_some(at + 2),
        literal => same(literal, byte, nocase).then_some(at + 1),
    }
}

/// As `match_one`, for the class whose contents start at `at`.
fn match_class(pattern: &[u8], mut at: usize, byte: u8, nocase: bool) -> Option<usize> {
    let negated = pattern.get(at) == Some(&b'^');
    at += usize::from(negated);
    let mut found = false;
    loop {
        match pattern[at..] {
            // Case counts behind a backslash in a class, also for `nocase`.
            [b'\\', literal, ..] => {
                found |= literal == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [] => break,
            [from, b'-', to, ..] => {
                found |= in_range(from.min(to), from.max(to), byte, nocase);
                at += 3;
            }
            [literal, ..] => {
                found |= same(literal, byte, nocase);
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}

#[inline]
fn same(a: u8, b: u8, nocase: bool) -> bool {
    a == b || (nocase && a.eq_ignore_ascii_case(&b))
}

fn in_range(low: u8, high: u8, byte: u8, nocase: bool) -> bool {
    if nocase {
        (low.to_ascii_lowercase()..=high.to_ascii_lowercase()).contains(&byte.to_ascii_lowercase())
    } else {
        (low..=high).contains(&byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    /// The same rules, with every choice of a star tried.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.first(), text) {
            (None, _) => text.is_empty(),
            (Some(b'*'), _) => (0..=text.len()).any(|skip| naive(&pattern[1..], &text[skip..])),
            (Some(_), []) => false,
            (Some(_), [byte, rest @ ..]) => {
                match_one(pattern, 0, *byte, false).is_some_and(|next| naive(&pattern[next..], rest))
            }
        }
    }

    #[test]
    fn backing_up_to_the_last_star_is_enough() {
        let mut rng = Rng::new(3);
        let mut pick = |from: &[u8], most: usize| -> Vec<u8> {
            (0..rng.index(most + 1)).map(|_| from[rng.index(from.len())]).collect()
        };
        let mut matched = 0;
        for _ in 0..50_000 {
            let (pattern, text) = (pick(b"aabb***?[]^-\\", 9), pick(b"aabb]^-\\*", 8));
            let expected = if text.is_empty() { pattern.is_empty() } else { naive(&pattern, &text) };
            assert_eq!(matches(&pattern, &text, false), expected, "{pattern:?} {text:?}");
            matched += usize::from(expected);
        }
        assert!(matched > 2000);
    }

    /// Each row as a stock server answered `KEYS pattern` over these keys.
    #[test]
    fn stock_agrees() {
        let keys: [&str; 20] = [
            "", "a", "b", "ab", "ba", "aab", "abb", "^", "-", "]", "\\", "*", "[", "?", "a]", "a-", "b\\", "[a", "^a",
            "-b",
        ];
        let rows: [(&str, &[&str]); 36] = [
            (
                "**",
                &[
                    "a", "b", "ab", "ba", "aab", "abb", "^", "-", "]", "\\", "*", "[", "?", "a]", "a-", "b\\", "[a",
                    "^a", "-b",
                ],
            ),
            ("a*", &["a", "ab", "aab", "abb", "a]", "a-"]),
            ("*b", &["b", "ab", "aab", "abb", "-b"]),
            ("?", &["a", "b", "^", "-", "]", "\\", "*", "[", "?"]),
            ("??", &["ab", "ba", "a]", "a-", "b\\", "[a", "^a", "-b"]),
            ("[ab]", &["a", "b"]),
            ("[^ab]", &["^", "-", "]", "\\", "*", "[", "?"]),
            ("[b-a]?", &["ab", "ba", "a]", "a-", "b\\"]),
            ("[^a-b]", &["^", "-", "]", "\\", "*", "[", "?"]),
            ("[a-", &["a", "-"]),
            ("[a-]", &["a", "^", "]"]),
            ("[]", &[]),
            ("[^]", &["a", "b", "^", "-", "]", "\\", "*", "[", "?"]),
            ("[", &[]),
            ("[^", &["a", "b", "^", "-", "]", "\\", "*", "[", "?"]),
            ("[a", &["a"]),
            ("a\\", &[]),
            ("\\a", &["a"]),
            ("\\*", &["*"]),
            ("\\?", &["?"]),
            ("\\[a", &["[a"]),
            ("[\\]]", &["]"]),
            ("[\\a-b]", &["a", "b", "-"]),
            ("[a-\\]]", &["a]"]),
            ("[^\\^]", &["a", "b", "-", "]", "\\", "*", "[", "?"]),
            ("[]a]", &[]),
            ("*[", &[]),
            ("*\\", &["\\", "b\\"]),
            ("[^a]*", &["b", "ba", "^", "-", "]", "\\", "*", "[", "?", "b\\", "[a", "^a", "-b"]),
            ("*[^b]", &["a", "ba", "^", "-", "]", "\\", "*", "[", "?", "a]", "a-", "b\\", "[a", "^a"]),
            ("a*b", &["ab", "aab", "abb"]),
            ("[-a]", &["a", "-"]),
            ("[a^]", &["a", "^"]),
            ("a**b", &["ab", "aab", "abb"]),
            ("[\\", &["\\"]),
            ("[\\-]", &["-"]),
        ];
        for (pattern, expected) in rows {
            let found: Vec<_> =
                keys.into_iter().filter(|key| matches(pattern.as_bytes(), key.as_bytes(), false)).collect();
            assert_eq!(found, expected, "{pattern}");
        }
    }

    #[test]
    fn nocase_reaches_ranges_but_not_what_a_class_escapes() {
        for (pattern, expected) in
            [("MAX[A-Z]*", true), ("[M]ax*", true), ("[Z-A]axm?MORY", true), ("\\Maxmemory", true), ("[\\M]ax*", false)]
        {
            assert_eq!(matches(pattern.as_bytes(), b"maxmemory", true), expected, "{pattern}");
            assert!(!matches(pattern.as_bytes(), b"maxmemory", false), "{pattern}");
        }
    }

    /// Work that doubles with each star would not end.
    #[test]
    fn many_stars_are_no_trap() {
        let pattern = b"a*".repeat(200);
        let text = vec![b'a'; 20_000];
        assert!(matches(&pattern, &text, false));
        assert!(!matches(&[&pattern[..], b"b"].concat(), &text, false));
    }
}
