//! What the allocator knows: bytes in use, bytes it holds, and giving back what it holds in vain.
//!
//! Ancestor: the statistics half of `zmalloc.c`. The allocator is jemalloc, installed in `main.rs`; in a program that
//! did not install it every figure is near zero.
//!
//! Deliberately absent: a count of our own around each allocation. jemalloc keeps one per thread, and data has but
//! one thread.

use tikv_jemalloc_ctl::thread::{ThreadLocal, allocatedp, deallocatedp};
use tikv_jemalloc_ctl::{arenas, epoch, raw, stats, version};

thread_local! {
    /// Where jemalloc counts what this thread has taken and given back.
    static COUNTERS: Option<(ThreadLocal<u64>, ThreadLocal<u64>)> =
        allocatedp::read().ok().zip(deallocatedp::read().ok());
}

/// Bytes the calling thread has allocated and not freed. Two loads: cheap enough to ask for each command.
#[inline]
pub fn used_memory() -> usize {
    COUNTERS.with(|counters| match counters {
        Some((taken, given)) => taken.get().saturating_sub(given.get()) as usize,
        None => 0,
    })
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

/// The allocator's name and version as INFO's `mem_allocator` has them.
pub fn allocator_name() -> String {
    let full = version::read().unwrap_or("unknown");
    format!("jemalloc-{}", full.split('-').next().unwrap_or(full))
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
