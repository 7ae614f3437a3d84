//! LCS: the longest common subsequence of two strings (= lcsCommand of t_string.c).
//!
//! The textbook table: cell (i, j) holds the length for the first i bytes of one string and the first j of the other.
//! A walk from its last corner finds the bytes, and the stretches where both strings run in parallel.

use crate::commands::ctx::{Ctx, integer, is_option};
use crate::commands::error::{self, CommandError};
use crate::commands::string::read_string;
use crate::resp::reply::Reply;
use crate::resp::request::Argv;

#[derive(Default)]
struct Options {
    length_only: bool,
    stretches: bool,
    with_lengths: bool,
    shortest: usize,
}

/// A part of the subsequence that stands in one piece in both strings.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stretch {
    a: usize,
    b: usize,
    len: usize,
}

pub(super) fn lcs(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let mut read = |key| match read_string(ctx.keys, key) {
        Ok(string) => Ok(string.map_or_else(Vec::new, |string| string.element().to_vec())),
        Err(_) => Err(CommandError::new("ERR The specified keys must contain string values")),
    };
    let (first, second) = (read(argv.at(1)), read(argv.at(2)));
    let (a, b) = (first?, second?);
    let options = parse_options(argv)?;
    let table = Table::new(&a, &b, ctx.limits.string_len_max)?;
    if options.length_only {
        ctx.reply.len(table.get(a.len(), b.len()) as usize);
        return Ok(());
    }
    let stretches = table.stretches(&a, &b);
    if !options.stretches {
        let common: Vec<u8> = stretches.iter().rev().flat_map(|at| &a[at.a..at.a + at.len]).copied().collect();
        ctx.reply.bulk(&common);
        return Ok(());
    }
    reply_stretches(ctx.reply, &stretches, &options);
    Ok(())
}

fn parse_options(argv: Argv<'_>) -> Result<Options, CommandError> {
    let mut options = Options::default();
    let mut index = 3;
    while let Some(arg) = argv.get(index) {
        match arg {
            _ if is_option(arg, "IDX") => options.stretches = true,
            _ if is_option(arg, "LEN") => options.length_only = true,
            _ if is_option(arg, "WITHMATCHLEN") => options.with_lengths = true,
            _ if is_option(arg, "MINMATCHLEN") => {
                index += 1;
                let shortest = integer(argv.get(index).ok_or(error::SYNTAX)?)?;
                options.shortest = usize::try_from(shortest).unwrap_or(0);
            }
            _ => return Err(error::SYNTAX),
        }
        index += 1;
    }
    match options.stretches && options.length_only {
        true => Err(CommandError::new("ERR If you want both the length and indexes, please just use IDX.")),
        false => Ok(options),
    }
}

fn reply_stretches(reply: &mut Reply, stretches: &[Stretch], options: &Options) {
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(stretches.iter().filter(|at| at.len >= options.shortest).count());
    for at in stretches.iter().filter(|at| at.len >= options.shortest) {
        reply.array(if options.with_lengths { 3 } else { 2 });
        for start in [at.a, at.b] {
            reply.array(2);
            reply.len(start);
            reply.len(start + at.len - 1);
        }
        if options.with_lengths {
            reply.len(at.len);
        }
    }
    reply.bulk(b"len");
    reply.len(stretches.iter().map(|at| at.len).sum());
}

struct Table {
    cells: Vec<u32>,
    width: usize,
}

impl Table {
    fn new(a: &[u8], b: &[u8], bytes_max: u64) -> Result<Self, CommandError> {
        let (height, width) = (a.len() + 1, b.len() + 1);
        let too_large = || CommandError::new("ERR Insufficient memory, failed allocating transient memory for LCS");
        let count = height.checked_mul(width).filter(|count| count.checked_mul(4).is_some()).ok_or_else(too_large)?;
        if count as u64 * 4 > bytes_max {
            let text = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
            return Err(CommandError::new(text));
        }
        let mut cells = Vec::new();
        cells.try_reserve_exact(count).map_err(|_| too_large())?;
        cells.resize(count, 0u32);
        for i in 1..height {
            let (above, row) = cells[(i - 1) * width..].split_at_mut(width);
            for j in 1..width {
                row[j] = if a[i - 1] == b[j - 1] { above[j - 1] + 1 } else { above[j].max(row[j - 1]) };
            }
        }
        Ok(Table { cells, width })
    }

    fn get(&self, i: usize, j: usize) -> u32 {
        self.cells[i * self.width + j]
    }

    /// The stretches, the last one first: the order in which LCS IDX tells them.
    fn stretches(&self, a: &[u8], b: &[u8]) -> Vec<Stretch> {
        let mut found: Vec<Stretch> = Vec::new();
        let mut joined = false;
        let (mut i, mut j) = (a.len(), b.len());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                match found.last_mut() {
                    Some(stretch) if joined => *stretch = Stretch { a: i, b: j, len: stretch.len + 1 },
                    _ => found.push(Stretch { a: i, b: j, len: 1 }),
                }
                joined = true;
                continue;
            }
            joined = false;
            if self.get(i - 1, j) > self.get(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    /// The definition, without a table.
    fn naive(a: &[u8], b: &[u8]) -> usize {
        match (a.split_last(), b.split_last()) {
            (Some((x, short_a)), Some((y, short_b))) if x == y => naive(short_a, short_b) + 1,
            (Some((_, short_a)), Some((_, short_b))) => naive(short_a, b).max(naive(a, short_b)),
            _ => 0,
        }
    }

    #[test]
    fn stretches_are_common_in_order_and_as_long_as_can_be() {
        let mut rng = Rng::new(5);
        for _ in 0..300 {
            let mut text = || (0..rng.index(9)).map(|_| b"abc"[rng.index(3)]).collect::<Vec<u8>>();
            let (a, b) = (text(), text());
            let table = Table::new(&a, &b, u64::MAX).unwrap();
            let stretches = table.stretches(&a, &b);
            assert_eq!(stretches.iter().map(|at| at.len).sum::<usize>(), naive(&a, &b));
            assert_eq!(table.get(a.len(), b.len()) as usize, naive(&a, &b));
            for at in &stretches {
                assert_eq!(a[at.a..at.a + at.len], b[at.b..at.b + at.len]);
            }
            for pair in stretches.windows(2) {
                assert!(pair[1].a + pair[1].len <= pair[0].a && pair[1].b + pair[1].len <= pair[0].b);
            }
        }
    }

    #[test]
    fn a_table_that_is_too_large_is_refused() {
        assert!(Table::new(b"abc", b"de", 48).is_ok());
        let refused = Table::new(b"abc", b"de", 47).err().unwrap();
        assert!(refused.0.ends_with(b"exceeds proto-max-bulk-len"));
    }
}
