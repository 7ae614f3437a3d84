//! The HyperLogLog: how many different elements were seen, in 12 KB at most (= the format part of hyperloglog.c).
//!
//! It is a string of a format of its own, so everything here works on a string's bytes. An element's hash chooses one of
//! 16384 registers, and the register keeps the longest run of zeros seen in the rest of the hash, plus one.
//!
//! ```text
//! | "HYLL" | form 1 | 0 0 0 | cached count, 8 bytes little-endian; its highest bit says that it is stale | registers |
//! form 0, dense    16384 registers of 6 bits each, from the lowest bit of the first byte up
//! form 1, sparse   00llllll            l + 1 registers of 0                    (at most 64)
//!                  01llllll llllllll   l + 1 registers of 0                    (at most 16384)
//!                  1vvvvvll            l + 1 registers of v + 1                (at most 4; values up to 32)
//! ```
//!
//! Equal commands must leave equal bytes here and in stock Redis, so the sparse form is split and joined by its rules.
//! The count is Ertl's improved estimator ("New cardinality estimation algorithms for HyperLogLog sketches", 2017).

use crate::base::murmur::hash64a;

/// Bits of the hash that choose a register.
const INDEX_BITS: u32 = 14;
/// How many registers there are.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// Bits of the hash that are searched for their lowest one.
const RUN_BITS: usize = 64 - INDEX_BITS as usize;
const HEADER: usize = 16;
const DENSE_LEN: usize = HEADER + REGISTERS * 6 / 8;
const MAGIC: &[u8] = b"HYLL";
const FORM_AT: usize = 4;
const CACHE_AT: usize = 8;
const STALE_AT: usize = 15;
const STALE: u8 = 0x80;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const SEED: u64 = 0xadc8_3b19;
/// The largest value and the longest run that one sparse opcode tells.
const VALUE_MAX: u8 = 32;
const VALUE_RUN_MAX: usize = 4;
const SHORT_ZEROS_MAX: usize = 64;
/// After a change, so many opcodes are looked at for neighbours that can be joined.
const JOIN_REACH: usize = 5;

/// The registers are not 16384, or an opcode is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupted;

/// An opcode of the sparse form: so many registers of this value.
#[derive(Clone, Copy)]
struct Run {
    value: u8,
    len: usize,
    /// Bytes of the opcode itself.
    size: usize,
}

impl Run {
    /// The opcode at a place inside `bytes`. The missing half of one that is cut off counts as zeros.
    fn at(bytes: &[u8], at: usize) -> Run {
        let byte = bytes[at];
        let low = usize::from(byte & 0x3f);
        match byte {
            0x80.. => Run { value: (byte >> 2 & 0x1f) + 1, len: usize::from(byte & 3) + 1, size: 1 },
            0x40.. => {
                let second = bytes.get(at + 1).copied().unwrap_or(0);
                Run { value: 0, len: (low << 8 | usize::from(second)) + 1, size: 2 }
            }
            _ => Run { value: 0, len: low + 1, size: 1 },
        }
    }
}

/// The opcodes of the sparse form.
struct Runs<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let run = (self.at < self.bytes.len()).then(|| Run::at(self.bytes, self.at))?;
        self.at += run.size;
        Some(run)
    }
}

/// Writes opcodes for `len` registers of one value, none for none.
fn push_run(out: &mut Vec<u8>, value: u8, len: usize) {
    match (value, len.checked_sub(1)) {
        (_, None) => {}
        (0, Some(less)) if len > SHORT_ZEROS_MAX => out.extend_from_slice(&[0x40 | (less >> 8) as u8, less as u8]),
        (0, Some(less)) => out.push(less as u8),
        (_, Some(less)) => out.push(0x80 | (value - 1) << 2 | less as u8),
    }
}

/// What came of an attempt to raise a register in the sparse form.
enum Raised {
    No,
    Yes,
    /// It does not fit there.
    NeedsDense,
}

/// A string that is a HyperLogLog as far as its header tells, to read.
#[derive(Clone, Copy)]
pub struct HyperLogLog<'a>(&'a [u8]);

impl<'a> HyperLogLog<'a> {
    /// Checks the header, and that a dense one is as long as it must be.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let headed = bytes.len() >= HEADER && bytes.starts_with(MAGIC) && bytes[FORM_AT] <= SPARSE;
        let whole = headed && (bytes[FORM_AT] == SPARSE || bytes.len() == DENSE_LEN);
        whole.then_some(HyperLogLog(bytes))
    }

    /// A new one that has seen nothing.
    pub fn empty() -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.resize(HEADER, 0);
        bytes[FORM_AT] = SPARSE;
        push_run(&mut bytes, 0, REGISTERS);
        bytes
    }

    pub fn is_dense(self) -> bool {
        self.0[FORM_AT] == DENSE
    }

    /// The count that was cached, if nothing has changed since.
    pub fn cached_count(self) -> Option<u64> {
        let cached = self.0[CACHE_AT..HEADER].try_into().expect("eight bytes");
        (self.0[STALE_AT] & STALE == 0).then(|| u64::from_le_bytes(cached))
    }

    fn runs(self) -> Runs<'a> {
        Runs { bytes: self.0, at: HEADER }
    }

    /// The sparse form as opcodes in words, as PFDEBUG DECODE shows them: `z:` and `Z:` zeros, `v:` values.
    pub fn describe(self) -> String {
        let word = |run: Run| match (run.value, run.size) {
            (0, 1) => format!("z:{}", run.len),
            (0, _) => format!("Z:{}", run.len),
            (value, _) => format!("v:{value},{}", run.len),
        };
        self.runs().map(word).collect::<Vec<_>>().join(" ")
    }

    /// Raises each of `registers` to what it is here.
    pub fn merge_into(self, registers: &mut Registers) -> Result<(), Corrupted> {
        if self.is_dense() {
            for (index, register) in registers.0.iter_mut().enumerate() {
                *register = (*register).max(dense_get(self.0, index));
            }
            return Ok(());
        }
        let mut first = 0;
        for run in self.runs() {
            let part = registers.0.get_mut(first..first + run.len).ok_or(Corrupted)?;
            if run.value > 0 {
                part.iter_mut().for_each(|register| *register = (*register).max(run.value));
            }
            first += run.len;
        }
        if first == REGISTERS { Ok(()) } else { Err(Corrupted) }
    }

    /// How many different elements it has seen, about.
    pub fn count(self) -> Result<u64, Corrupted> {
        let mut histogram = [0; 64];
        if self.is_dense() {
            (0..REGISTERS).for_each(|index| histogram[usize::from(dense_get(self.0, index))] += 1);
            return Ok(estimate(&histogram));
        }
        self.runs().for_each(|run| histogram[usize::from(run.value)] += run.len);
        if histogram.iter().sum::<usize>() == REGISTERS { Ok(estimate(&histogram)) } else { Err(Corrupted) }
    }
}

/// All registers, one a byte.
pub struct Registers(Box<[u8]>);

impl Default for Registers {
    fn default() -> Self {
        Registers(vec![0; REGISTERS].into_boxed_slice())
    }
}

impl Registers {
    /// The registers in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u8> + '_ {
        self.0.iter().copied()
    }

    /// `HyperLogLog::count` of one with these registers.
    pub fn count(&self) -> u64 {
        let mut histogram = [0; 64];
        self.iter().for_each(|register| histogram[usize::from(register)] += 1);
        estimate(&histogram)
    }
}

/// Where a register of the dense form begins: the byte, and the bit in it.
fn dense_place(index: usize) -> (usize, usize) {
    (HEADER + index * 6 / 8, index * 6 % 8)
}

fn dense_get(bytes: &[u8], index: usize) -> u8 {
    let (at, shift) = dense_place(index);
    let second = bytes.get(at + 1).copied().unwrap_or(0);
    (u16::from_le_bytes([bytes[at], second]) >> shift) as u8 & 0x3f
}

fn dense_set(bytes: &mut [u8], index: usize, value: u8) {
    let (at, shift) = dense_place(index);
    let put = |byte: &mut u8, mask: u16, bits: u16| *byte = *byte & !(mask as u8) | bits as u8;
    let (mask, bits) = (0x3f << shift, u16::from(value) << shift);
    put(&mut bytes[at], mask, bits);
    if shift > 2 {
        put(&mut bytes[at + 1], mask >> 8, bits >> 8);
    }
}

/// Raises a register of the dense form; returns whether it was lower.
fn dense_raise(bytes: &mut [u8], index: usize, value: u8) -> bool {
    let lower = dense_get(bytes, index) < value;
    if lower {
        dense_set(bytes, index, value);
    }
    lower
}

/// Notes the count that was found.
pub fn set_cached_count(bytes: &mut [u8], count: u64) {
    bytes[CACHE_AT..HEADER].copy_from_slice(&count.to_le_bytes());
}

/// Notes that the cached count is not that of the registers any more.
pub fn forget_cached_count(bytes: &mut [u8]) {
    bytes[STALE_AT] |= STALE;
}

/// Makes the form dense; returns whether it was not. What was cached stays.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<bool, Corrupted> {
    if bytes[FORM_AT] == DENSE {
        return Ok(false);
    }
    let mut registers = Registers::default();
    HyperLogLog(bytes).merge_into(&mut registers)?;
    let mut dense = vec![0; DENSE_LEN];
    dense[..HEADER].copy_from_slice(&bytes[..HEADER]);
    dense[FORM_AT] = DENSE;
    registers
        .iter()
        .enumerate()
        .filter(|(_, value)| *value > 0)
        .for_each(|(at, value)| dense_set(&mut dense, at, value));
    *bytes = dense;
    Ok(true)
}

/// Adds an element; returns whether a register has risen. The sparse form may take `sparse_max` bytes.
pub fn add(bytes: &mut Vec<u8>, element: &[u8], sparse_max: usize) -> Result<bool, Corrupted> {
    let hash = hash64a(element, SEED);
    let index = hash as usize & (REGISTERS - 1);
    let rest = hash >> INDEX_BITS | 1 << RUN_BITS;
    raise(bytes, index, rest.trailing_zeros() as u8 + 1, sparse_max)
}

/// Raises a register to a value; returns whether it was lower.
pub fn raise(bytes: &mut Vec<u8>, index: usize, value: u8, sparse_max: usize) -> Result<bool, Corrupted> {
    if bytes[FORM_AT] == DENSE {
        return Ok(dense_raise(bytes, index, value));
    }
    Ok(match sparse_raise(bytes, index, value, sparse_max)? {
        Raised::No => false,
        Raised::Yes => {
            forget_cached_count(bytes);
            true
        }
        Raised::NeedsDense => {
            make_dense(bytes)?;
            dense_raise(bytes, index, value)
        }
    })
}

fn sparse_raise(bytes: &mut Vec<u8>, index: usize, value: u8, sparse_max: usize) -> Result<Raised, Corrupted> {
    if value > VALUE_MAX {
        return Ok(Raised::NeedsDense);
    }
    let (mut before, mut at, mut first) = (HEADER, HEADER, 0);
    let run = loop {
        if at >= bytes.len() {
            return Err(Corrupted);
        }
        let run = Run::at(bytes, at);
        if index < first + run.len {
            break run;
        }
        (before, at, first) = (at, at + run.size, first + run.len);
    };
    if at + run.size > bytes.len() {
        return Err(Corrupted);
    }
    if run.value >= value {
        return Ok(Raised::No);
    }
    // The run's opcode gives way to up to three: what is before the register, the register, what is after it.
    let mut opcodes = Vec::with_capacity(5);
    push_run(&mut opcodes, run.value, index - first);
    push_run(&mut opcodes, value, 1);
    push_run(&mut opcodes, run.value, first + run.len - 1 - index);
    if opcodes.len() > run.size && bytes.len() + opcodes.len() - run.size > sparse_max {
        return Ok(Raised::NeedsDense);
    }
    bytes.splice(at..at + run.size, opcodes);
    join_runs(bytes, before);
    Ok(Raised::Yes)
}

/// Joins neighbours of one value from an opcode on, as far as the reach goes.
fn join_runs(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOIN_REACH {
        if at >= bytes.len() {
            return;
        }
        let run = Run::at(bytes, at);
        let next = at + run.size;
        if run.value > 0 && next < bytes.len() {
            let other = Run::at(bytes, next);
            let len = run.len + other.len;
            if other.value == run.value && len <= VALUE_RUN_MAX {
                let mut joined = Vec::with_capacity(1);
                push_run(&mut joined, run.value, len);
                bytes.splice(at..next + other.size, joined);
                // It may join the one that follows now, too.
                continue;
            }
        }
        at = next;
    }
}

/// The estimate from how many registers there are of each value.
fn estimate(histogram: &[usize; 64]) -> u64 {
    const ALPHA: f64 = 0.721_347_520_444_481_7;
    let all = REGISTERS as f64;
    let mut sum = all * tau((all - histogram[RUN_BITS + 1] as f64) / all);
    for registers in histogram[1..=RUN_BITS].iter().rev() {
        sum += *registers as f64;
        sum *= 0.5;
    }
    sum += all * sigma(histogram[0] as f64 / all);
    (ALPHA * all * all / sum).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * power;
        power += power;
        if sum == before {
            return sum;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut power, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        power *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * power;
        if sum == before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
#[path = "hyperloglog_tests.rs"]
mod tests;
