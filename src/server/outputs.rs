//! Output buffers that wait for the next replies, so that none is made or grown anew for each pipeline.
//!
//! A client has one only while it has something to be sent. Large ones go to those whose last output was large; others
//! would hold on to memory for a few bytes.

/// A buffer up to this capacity goes to anybody.
pub const SMALL: usize = 64 * 1024;
/// A larger one than this goes back to the allocator.
const LARGE_MAX: usize = 1024 * 1024;
/// So many small ones are kept, and large ones of so many bytes together.
const SMALL_KEPT: usize = 64;
const LARGE_BYTES_KEPT: usize = 8 * 1024 * 1024;

/// The buffers that nobody uses.
#[derive(Debug, Default)]
pub struct SpareOutputs {
    small: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
    large_bytes: usize,
}

impl SpareOutputs {
    /// A buffer for a client that is about to be answered, whose last output was large or not.
    #[inline]
    pub fn take(&mut self, was_large: bool) -> Vec<u8> {
        if was_large && let Some(buffer) = self.large.pop() {
            self.large_bytes -= buffer.capacity();
            return buffer;
        }
        self.small.pop().unwrap_or_default()
    }

    /// Takes a buffer back whose content is sent; returns whether it is a large one.
    #[inline]
    pub fn give_back(&mut self, mut buffer: Vec<u8>) -> bool {
        buffer.clear();
        if buffer.capacity() > SMALL {
            self.give_back_large(buffer);
            return true;
        }
        if self.small.len() < SMALL_KEPT && buffer.capacity() > 0 {
            self.small.push(buffer);
        }
        false
    }

    #[cold]
    fn give_back_large(&mut self, buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity <= LARGE_MAX && self.large_bytes + capacity <= LARGE_BYTES_KEPT {
            self.large_bytes += capacity;
            self.large.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_emptied_and_large_ones_only_to_those_who_want_such() {
        let mut spare = SpareOutputs::default();
        assert_eq!(spare.take(false).capacity(), 0);
        assert!(!spare.give_back(b"small".to_vec()));
        assert!(spare.give_back(vec![1; SMALL + 1]));
        let small = spare.take(false);
        assert!(small.is_empty() && (5..=SMALL).contains(&small.capacity()));
        assert_eq!(spare.take(false).capacity(), 0, "the large one was given to somebody who needs none");
        let large = spare.take(true);
        assert!(large.is_empty() && large.capacity() > SMALL);
        assert!(!spare.give_back(small));
        assert!(spare.take(true).capacity() > 0, "where there is no large one, a small one does");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut spare = SpareOutputs::default();
        for _ in 0..3 * SMALL_KEPT {
            spare.give_back(vec![0; 100]);
            spare.give_back(vec![0; LARGE_MAX]);
            assert!(spare.give_back(vec![0; LARGE_MAX + 1]));
        }
        assert_eq!(spare.small.len(), SMALL_KEPT);
        let held = |spare: &SpareOutputs| spare.large.iter().map(Vec::capacity).sum::<usize>();
        assert!(held(&spare) == spare.large_bytes && spare.large_bytes <= LARGE_BYTES_KEPT);
        let taken = std::iter::repeat_with(|| spare.take(true)).take_while(|buffer| buffer.capacity() > SMALL).count();
        assert_eq!((taken, spare.large_bytes), (LARGE_BYTES_KEPT / LARGE_MAX, 0));
    }
}
