//! What the allocator knows: bytes in use, bytes it holds, and giving back what it holds in vain.
//!
//! Ancestor: the statistics half of `zmalloc.c`. The allocator is jemalloc, installed in `main.rs`; in a program that
//! did not install it every figure is near zero.
//!
//! Deliberately absent: a count of our own around each allocation. jemalloc keeps one per thread, and data has but
//! one thread.

use std::ptr::null_mut;
use tikv_jemalloc_ctl::thread::{ThreadLocal, allocatedp, deallocatedp};
use tikv_jemalloc_ctl::{arenas, background_thread, epoch, raw, stats, version};
use tikv_jemalloc_sys as jemalloc;

thread_local! {
    static METER: Meter = Meter::of_this_thread();
}

/// Where jemalloc counts what a thread has taken and given back.
pub struct Meter(Option<(ThreadLocal<u64>, ThreadLocal<u64>)>);

impl Meter {
    /// That of the calling thread.
    pub fn of_this_thread() -> Meter {
        Meter(allocatedp::read().ok().zip(deallocatedp::read().ok()))
    }

    /// Bytes the thread has allocated and not freed. A few loads: cheap enough to ask for each command.
    #[inline]
    pub fn used_memory(&self) -> usize {
        match &self.0 {
            Some((taken, given)) => taken.get().saturating_sub(given.get()) as usize,
            None => 0,
        }
    }
}

/// Bytes the calling thread has allocated and not freed.
pub fn used_memory() -> usize {
    METER.with(Meter::used_memory)
}

/// The allocator's own books, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllocatorStats {
    /// Asked for, by all threads.
    pub allocated: usize,
    /// In pages with at least one live allocation.
    pub active: usize,
    /// In physical memory, as far as the allocator knows.
    pub resident: usize,
}

/// The allocator's books as of now. Walks its arenas: some microseconds, so not for every command.
pub fn allocator_stats() -> AllocatorStats {
    let read = || -> tikv_jemalloc_ctl::Result<AllocatorStats> {
        epoch::advance()?;
        Ok(AllocatorStats {
            allocated: stats::allocated::read()?,
            active: stats::active::read()?,
            resident: stats::resident::read()?,
        })
    };
    read().unwrap_or_default()
}

/// Bytes that an allocation of this size takes: the allocator has four sizes for each doubling, and steps of 8 below.
pub fn size_class(bytes: usize) -> usize {
    match bytes {
        0..=64 => bytes.max(1).next_multiple_of(8),
        _ => bytes.next_multiple_of(1 << ((bytes - 1).ilog2() - 2)),
    }
}

/// The allocator's report of itself.
pub fn allocator_report() -> Vec<u8> {
    let mut text = Vec::new();
    // Writing into memory cannot fail.
    let _ = tikv_jemalloc_ctl::stats_print::stats_print(&mut text, Default::default());
    text
}

/// The allocator's name and version as INFO's `mem_allocator` has them.
pub fn allocator_name() -> String {
    let full = version::read().unwrap_or("unknown");
    format!("jemalloc-{}", full.split('-').next().unwrap_or(full))
}

/// Has a thread of the allocator's give unused pages back after a while, or the thread that allocates; false if there is
/// no such thread to be had.
pub fn set_background_thread(wanted: bool) -> bool {
    background_thread::write(wanted).is_ok()
}

/// Gives back what has not been used for a while, as far as that is due by now. The allocator does so by itself only
/// as it goes along: a program that was emptied and left alone would keep all that it had.
pub fn decay() {
    // SAFETY: the name ends in NUL, and this control neither takes nor gives anything. 4096 stands for all arenas.
    unsafe {
        jemalloc::mallctl(c"arena.4096.decay".as_ptr(), null_mut(), null_mut(), null_mut(), 0);
    }
}

/// Gives unused pages back to the system, now.
pub fn purge() {
    for arena in 0..arenas::narenas::read().unwrap_or(0) {
        // An arena whose pages decay in no time gives them back as this is set; then the old time is restored.
        for kind in ["dirty", "muzzy"] {
            let name = format!("arena.{arena}.{kind}_decay_ms\0");
            // SAFETY: the control takes and gives a ssize_t, and its name ends in NUL. An arena that was never used
            // refuses, and has nothing to give.
            unsafe {
                if let Ok(usual) = raw::update::<isize>(name.as_bytes(), 0) {
                    let _ = raw::write::<isize>(name.as_bytes(), usual);
                }
            }
        }
    }
}

/// Why the allocator does not tell or take a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MallctlError {
    /// There is none of that name.
    NoSuchName,
    /// It is of another kind, or not to be set.
    Invalid,
}

impl From<tikv_jemalloc_ctl::Error> for MallctlError {
    fn from(error: tikv_jemalloc_ctl::Error) -> Self {
        // The crate hides the code and tells its text.
        if error.to_string().contains("unknown/invalid") { MallctlError::NoSuchName } else { MallctlError::Invalid }
    }
}

/// Settings that may be changed: plain numbers, of eight bytes. Others may be pointers.
const MAY_BE_SET: [&str; 3] = ["epoch", "dirty_decay_ms", "muzzy_decay_ms"];
/// Settings that are texts.
const TEXTS: [&str; 10] = [
    "version",
    "opt.dss",
    "opt.metadata_thp",
    "opt.thp",
    "opt.percpu_arena",
    "opt.junk",
    "opt.zero_realloc",
    "opt.stats_print_opts",
    "opt.stats_interval_opts",
    "config.malloc_conf",
];

/// The name as the allocator wants it.
fn setting_name(name: &[u8]) -> Result<Vec<u8>, MallctlError> {
    let is_name = !name.is_empty() && name.iter().all(|sign| sign.is_ascii_alphanumeric() || b"._".contains(sign));
    is_name.then(|| [name, b"\0"].concat()).ok_or(MallctlError::NoSuchName)
}

/// Reads an integer setting of the allocator, and gives it a new value.
pub fn mallctl(name: &[u8], value: Option<i64>) -> Result<i64, MallctlError> {
    let full = setting_name(name)?;
    let last = name.rsplit(|&sign| sign == b'.').next().unwrap_or_default();
    // SAFETY: the name ends in NUL. The allocator refuses to read into eight bytes what has another size, and what it
    // writes there is only shown. What may be set are numbers of that size.
    unsafe {
        match value {
            None => Ok(raw::read::<i64>(&full)?),
            Some(value) if MAY_BE_SET.iter().any(|word| word.as_bytes() == last) => {
                Ok(raw::update::<i64>(&full, value)?)
            }
            Some(_) => raw::read::<i64>(&full).map_err(MallctlError::from).and(Err(MallctlError::Invalid)),
        }
    }
}

/// Reads a text of the allocator.
pub fn mallctl_str(name: &[u8]) -> Result<String, MallctlError> {
    let full = setting_name(name)?;
    if !TEXTS.iter().any(|text| text.as_bytes() == name) {
        mallctl(name, None)?;
        return Err(MallctlError::Invalid);
    }
    // SAFETY: the name ends in NUL, and what it stands for is a text that lives as long as the program.
    let text = unsafe { raw::read_str(&full)? };
    Ok(String::from_utf8_lossy(text.strip_suffix(b"\0").unwrap_or(text)).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_counts_while_it_lives() {
        let before = used_memory();
        let block = vec![1u8; 10 << 20];
        let with = used_memory();
        assert!((before + (10 << 20)..before + (12 << 20)).contains(&with), "{before} {with}");
        drop(block);
        assert!(used_memory() < before + (1 << 20));
    }

    #[test]
    fn the_size_of_an_allocation_is_known_beforehand() {
        for bytes in (1..3000).chain([4096, 4097, 20_000, 20_481, 1 << 20, (1 << 20) + 1]) {
            let before = used_memory();
            let block = Vec::<u8>::with_capacity(bytes);
            let taken = used_memory() - before;
            assert_eq!((block.capacity(), taken), (bytes, size_class(bytes)));
        }
    }

    #[test]
    fn settings_are_told_and_only_harmless_ones_are_taken() {
        assert!(mallctl(b"epoch", Some(1)).unwrap() > 0);
        assert!(mallctl(b"stats.allocated", None).is_ok());
        assert_eq!(mallctl(b"no.such", None), Err(MallctlError::NoSuchName));
        assert_eq!(mallctl(b"a\0b", None), Err(MallctlError::NoSuchName));
        assert_eq!(mallctl(b"opt.narenas", None), Err(MallctlError::Invalid), "of four bytes");
        assert_eq!(mallctl(b"arena.0.extent_hooks", Some(1)), Err(MallctlError::Invalid), "a pointer");
        assert!(mallctl_str(b"version").unwrap().starts_with("5."));
        assert_eq!(mallctl_str(b"stats.allocated"), Err(MallctlError::Invalid), "no text");
        assert_eq!(mallctl_str(b"no.such"), Err(MallctlError::NoSuchName));
    }

    #[test]
    fn the_allocator_reports() {
        let text = String::from_utf8_lossy(&allocator_report()).into_owned();
        assert!(text.starts_with("___ Begin jemalloc statistics ___") && text.contains("Allocated: "), "{text}");
    }

    #[test]
    fn the_books_nest_and_a_purge_gives_pages_back() {
        let blocks: Vec<Vec<u8>> = (0..4000).map(|_| vec![1u8; 16 << 10]).collect();
        let full = allocator_stats();
        assert!(full.allocated >= 4000 * (16 << 10), "{full:?}");
        assert!(full.allocated <= full.active && full.active <= full.resident, "{full:?}");
        drop(blocks);
        // Tests beside this one have memory of their own, for a while; in the end ours is gone.
        let gave_back = (0..1000).any(|_| {
            purge();
            std::thread::sleep(std::time::Duration::from_millis(10));
            allocator_stats().resident + (20 << 20) < full.resident
        });
        assert!(gave_back, "{full:?} {:?}", allocator_stats());
    }

    #[test]
    fn the_allocator_has_a_name() {
        let name = allocator_name();
        assert!(name.starts_with("jemalloc-5."), "{name}");
    }
}
