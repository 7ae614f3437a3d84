//! The slow log: the commands that took long, the last first (= slowlog.c).

use std::collections::VecDeque;

/// Of a command's arguments so many are kept; the last place tells how many more there were.
const ARGUMENTS_MAX: usize = 32;
/// Of an argument so many bytes are kept, and how many more there were.
const ARGUMENT_BYTES_MAX: usize = 128;

/// A command that took long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, never used twice.
    pub number: u64,
    /// When it ran, in seconds since 1970.
    pub time_s: i64,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// What it was, cut.
    pub args: Vec<Vec<u8>>,
    /// The client's address.
    pub peer: String,
    /// The client's name.
    pub name: Vec<u8>,
}

/// The log.
#[derive(Debug, Default)]
pub struct SlowLog {
    entries: VecDeque<Entry>,
    next_number: u64,
}

impl SlowLog {
    /// Puts a command in front, under the next number, and keeps no more than `most`.
    pub fn push(&mut self, mut entry: Entry, most: usize) {
        entry.number = self.next_number;
        self.next_number += 1;
        self.entries.push_front(entry);
        self.entries.truncate(most);
    }

    /// Forgets everything but the numbers.
    pub fn reset(&mut self) {
        self.entries = VecDeque::new();
    }

    /// How many commands are kept.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// The commands, the last first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Keeps no more than `most`.
    pub fn trim(&mut self, most: usize) {
        self.entries.truncate(most);
    }
}

/// What is kept of a command's arguments.
pub fn cut_arguments<'a>(args: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let count = args.len();
    let shown = if count > ARGUMENTS_MAX { ARGUMENTS_MAX - 1 } else { count };
    let mut kept: Vec<Vec<u8>> = args.take(shown).map(cut_argument).collect();
    if count > shown {
        kept.push(format!("... ({} more arguments)", count - shown).into_bytes());
    }
    kept
}

fn cut_argument(arg: &[u8]) -> Vec<u8> {
    if arg.len() <= ARGUMENT_BYTES_MAX {
        return arg.to_vec();
    }
    let more = format!("... ({} more bytes)", arg.len() - ARGUMENT_BYTES_MAX);
    [&arg[..ARGUMENT_BYTES_MAX], more.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_ones_are_kept_and_no_number_comes_twice() {
        let mut log = SlowLog::default();
        let entry =
            Entry { number: 0, time_s: 0, duration_us: 0, args: Vec::new(), peer: String::new(), name: Vec::new() };
        (0..5).for_each(|_| log.push(entry.clone(), 3));
        assert_eq!(log.iter().map(|entry| entry.number).collect::<Vec<_>>(), [4, 3, 2]);
        log.reset();
        log.push(entry, 3);
        assert_eq!(log.iter().map(|entry| entry.number).collect::<Vec<_>>(), [5]);
        log.trim(0);
        assert_eq!(log.count(), 0);
    }

    #[test]
    fn long_and_many_arguments_are_cut() {
        let long = vec![b'x'; 200];
        let args: Vec<&[u8]> =
            std::iter::once(long.as_slice()).chain(std::iter::repeat_n(b"y".as_slice(), 40)).collect();
        let kept = cut_arguments(args.into_iter());
        assert_eq!(kept.len(), 32);
        assert_eq!(kept[0], [&long[..128], b"... (72 more bytes)"].concat());
        assert_eq!(kept[31], b"... (10 more arguments)");
        assert_eq!(cut_arguments(vec![b"z".as_slice(); 32].into_iter()), vec![b"z".to_vec(); 32]);
    }
}
