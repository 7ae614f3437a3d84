//! The hash table under the key space and under big sets, hashes and sorted sets (= dict.c).
//!
//! Linear hashing over cache-line buckets. The table of `n` buckets grows one bucket at a time: bucket `split` is
//! divided between itself and a new last bucket. There is no rehash of the whole, so no pause depends on the size.
//!
//! ```text
//! bucket, 64 bytes:  | tag 0 | … | tag 6 | marks | entry 0 | … | entry 6 |
//! tag      one byte of the hash, 0 = empty          marks  bit 0..6 one per entry, bit 7 = chained
//! chained  entry 6 holds the address of a further bucket in place of an entry (and its tag is 0)
//! ```
//!
//! A lookup costs two cache misses, bucket and entry; `prefetch_bucket` and `prefetch_entry` let a batch overlap
//! them. An entry may carry a mark; the key space marks keys that expire, so that the active expiry finds them by
//! reading buckets alone.
//!
//! Deliberately absent: iterators that survive changes (use `scan`), a table of values beside keys (an entry holds both).

mod buckets;

use crate::base::bytes;
use crate::base::hash::hash;
use crate::base::rng::Rng;
use buckets::{Bucket, CHAINED, CHUNK_BUCKETS, SLOTS, allocate_buckets, bucket_layout, slots_of, tag_of};
use std::alloc::dealloc;
use std::marker::PhantomData;
use std::mem::size_of;

/// What a table holds: a one-word owning pointer that knows its own key.
pub trait TableEntry {
    /// The bytes by which the entry is found. They must not change while the entry is in a table.
    fn key(&self) -> &[u8];

    /// How far from its address an entry's last byte often is, where its block need not be within one cache line.
    const LIKELY_BYTES: usize = 0;

    /// Where in memory that is to which an entry's word points. It is only used to ask for it in advance.
    #[inline]
    fn address(word: *const u8) -> *const u8 {
        word
    }

    /// Asks the processor for what the entry points to. The entry itself should be near by now.
    #[inline]
    fn prefetch_inside(&self) {}
}

/// The table grows above, and shrinks below, so many entries for each `LOAD_UNIT` buckets.
const LOAD_MAX: usize = 21;
const LOAD_MIN: usize = 7;
const LOAD_UNIT: usize = 4;
/// How many buckets ahead a walk over all of them looks for what entries point to, for entries, and for buckets.
const WALK_AHEAD: [usize; 3] = [3, 8, 16];

/// A hash table of one-word entries. See the module's text for its shape.
pub struct Table<T> {
    chunks: Vec<*mut Bucket<T>>,
    /// How many buckets the first chunk has room for; later chunks are whole.
    first_chunk_capacity: usize,
    /// The table has `2^level + split` buckets.
    level: u32,
    split: usize,
    len: usize,
    children: usize,
    _owns: PhantomData<T>,
}

// SAFETY: the table owns its buckets and entries; nothing in it is tied to a thread beyond what `T` is.
unsafe impl<T: Send> Send for Table<T> {}

/// Where an entry stands. Valid until the table changes.
struct Place<T> {
    bucket: *mut Bucket<T>,
    slot: usize,
}

impl<T: TableEntry> Default for Table<T> {
    fn default() -> Self {
        Table::new()
    }
}

impl<T: TableEntry> Table<T> {
    /// An empty table; it allocates with its first entry.
    pub const fn new() -> Self {
        assert!(size_of::<T>() == 8 && size_of::<Bucket<T>>() == 64);
        Table {
            chunks: Vec::new(),
            first_chunk_capacity: 0,
            level: 0,
            split: 0,
            len: 0,
            children: 0,
            _owns: PhantomData,
        }
    }

    /// How many entries there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many buckets there are, not counting chained ones.
    pub fn buckets(&self) -> usize {
        if self.chunks.is_empty() { 0 } else { (1 << self.level) + self.split }
    }

    /// Bytes held by the table itself, without its entries.
    pub fn memory_bytes(&self) -> usize {
        let whole = self.chunks.len().saturating_sub(1) * CHUNK_BUCKETS;
        (whole + self.first_chunk_capacity + self.children) * 64 + self.chunks.capacity() * size_of::<usize>()
    }

    #[inline]
    fn bucket_index(&self, hash: u64) -> usize {
        let index = hash as usize & ((1 << self.level) - 1);
        if index < self.split { hash as usize & ((2 << self.level) - 1) } else { index }
    }

    #[inline]
    fn bucket_at(&self, index: usize) -> *mut Bucket<T> {
        debug_assert!(index < self.buckets());
        // SAFETY: every index below `buckets()` has its chunk, and the chunk has room for it.
        unsafe { self.chunks[index / CHUNK_BUCKETS].add(index % CHUNK_BUCKETS) }
    }

    #[inline]
    fn find(&self, hash: u64, key: &[u8]) -> Option<Place<T>> {
        if self.chunks.is_empty() {
            return None;
        }
        let tag = tag_of(hash);
        let mut bucket = self.bucket_at(self.bucket_index(hash));
        while !bucket.is_null() {
            // SAFETY: buckets live as long as the table, and nobody changes them while we look.
            let here = unsafe { &*bucket };
            let mut candidates = here.matches(tag);
            while candidates != 0 {
                let slot = (candidates.trailing_zeros() / 8) as usize;
                // SAFETY: a tag other than 0 says that the slot holds an entry.
                if bytes::equal(unsafe { here.slots[slot].entry.key() }, key) {
                    return Some(Place { bucket, slot });
                }
                candidates &= candidates - 1;
            }
            bucket = here.child();
        }
        None
    }

    /// Asks the processor to fetch the bucket of `hash`.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        if !self.chunks.is_empty() {
            prefetch(self.bucket_at(self.bucket_index(hash)).cast());
        }
    }

    /// The bucket of `hash`, and in it the slot that `hash` most likely means.
    #[inline]
    fn likely_slot(&self, hash: u64) -> Option<(&Bucket<T>, Option<usize>)> {
        if self.chunks.is_empty() {
            return None;
        }
        // SAFETY: as in `find`.
        let bucket = unsafe { &*self.bucket_at(self.bucket_index(hash)) };
        let candidates = bucket.matches(tag_of(hash));
        Some((bucket, (candidates != 0).then(|| (candidates.trailing_zeros() / 8) as usize)))
    }

    /// Asks the processor to fetch the entry that `hash` most likely means. The bucket should be near by now.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        let Some((bucket, slot)) = self.likely_slot(hash) else { return };
        if let Some(slot) = slot {
            // SAFETY: a tag other than 0 says that the slot holds an entry, which is one word.
            let address = T::address(unsafe { bucket.slots[slot].child }.cast());
            prefetch(address);
            if T::LIKELY_BYTES > 0 {
                prefetch(address.wrapping_add(T::LIKELY_BYTES));
            }
        }
        if bucket.is_chained() {
            prefetch(bucket.child().cast());
        }
    }

    /// The entry that `hash` most likely means, without a look at its key. The bucket should be near by now.
    #[inline]
    pub fn likely(&self, hash: u64) -> Option<&T> {
        let (bucket, slot) = self.likely_slot(hash)?;
        // SAFETY: a tag other than 0 says that the slot holds an entry; the borrow of the table keeps it there.
        slot.map(|slot| unsafe { &*bucket.slots[slot].entry })
    }

    /// The entry with this key.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<&T> {
        self.get_hashed(hash(key), key)
    }

    /// `get` where the caller knows the hash.
    #[inline]
    pub fn get_hashed(&self, hash: u64, key: &[u8]) -> Option<&T> {
        let place = self.find(hash, key)?;
        // SAFETY: `find` returns slots that hold an entry; the borrow of the table keeps it there.
        Some(unsafe { &(*place.bucket).slots[place.slot].entry })
    }

    /// The entry with this key, to change what is not its key. It may be replaced by one with an equal key.
    #[inline]
    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut T> {
        self.get_mut_hashed(hash(key), key)
    }

    /// `get_mut` where the caller knows the hash.
    #[inline]
    pub fn get_mut_hashed(&mut self, hash: u64, key: &[u8]) -> Option<&mut T> {
        let place = self.find(hash, key)?;
        // SAFETY: as in `get_hashed`, and the table is borrowed mutably.
        Some(unsafe { &mut *(&raw mut (*place.bucket).slots[place.slot].entry).cast::<T>() })
    }

    /// The entry with this key, which is made, without a mark, if there is none.
    #[inline]
    pub fn get_or_insert_with(&mut self, hash: u64, key: &[u8], make: impl FnOnce() -> T) -> &mut T {
        let place = self.find(hash, key).unwrap_or_else(|| {
            self.insert_new(hash, make(), false);
            self.find(hash, key).expect("the entry has just been put in")
        });
        // SAFETY: as in `get_mut_hashed`.
        unsafe { &mut *(&raw mut (*place.bucket).slots[place.slot].entry).cast::<T>() }
    }

    /// Whether there is an entry with this key.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.find(hash(key), key).is_some()
    }

    /// Puts an entry in; gives back the one with the same key that it replaces.
    pub fn insert(&mut self, entry: T) -> Option<T> {
        let hash = hash(entry.key());
        if let Some(place) = self.find(hash, entry.key()) {
            // SAFETY: as in `get_mut_hashed`.
            let held = unsafe { &mut *(&raw mut (*place.bucket).slots[place.slot].entry).cast::<T>() };
            return Some(std::mem::replace(held, entry));
        }
        self.insert_new(hash, entry, false);
        None
    }

    /// Puts in an entry whose key is not in the table yet, with its hash and its mark.
    pub fn insert_new(&mut self, hash: u64, entry: T, mark: bool) {
        if self.chunks.is_empty() {
            self.add_room(1);
        }
        if self.len * LOAD_UNIT >= self.buckets() * LOAD_MAX {
            self.split_one();
        }
        let bucket = self.bucket_at(self.bucket_index(hash));
        self.put(bucket, tag_of(hash), mark, entry);
        self.len += 1;
    }

    fn put(&mut self, mut bucket: *mut Bucket<T>, tag: u64, mark: bool, entry: T) {
        loop {
            // SAFETY: the bucket is one of ours, and `&mut self` makes us the only one here.
            let here = unsafe { &mut *bucket };
            if let Some(slot) = here.free_slot() {
                return here.put(slot, tag, mark, entry);
            }
            if !here.is_chained() {
                // SAFETY: the layout has a size; a zeroed bucket is a valid empty one.
                let child = unsafe { allocate_buckets::<T>(1) };
                self.children += 1;
                let (tag, mark, moved) = here.take(SLOTS - 1);
                here.tags |= CHAINED;
                here.slots[SLOTS - 1].child = child;
                // SAFETY: the child was just made and is empty.
                unsafe { (*child).put(0, tag, mark, moved) };
            }
            bucket = here.child();
        }
    }

    /// Takes the entry with this key out.
    pub fn remove(&mut self, key: &[u8]) -> Option<T> {
        self.remove_hashed(hash(key), key)
    }

    /// `remove` where the caller knows the hash.
    pub fn remove_hashed(&mut self, hash: u64, key: &[u8]) -> Option<T> {
        let place = self.find(hash, key)?;
        // SAFETY: `find` returns slots that hold an entry.
        let (_, _, entry) = unsafe { (*place.bucket).take(place.slot) };
        self.fill_hole(hash, place);
        self.len -= 1;
        if self.len * LOAD_UNIT < self.buckets() * LOAD_MIN && self.buckets() > 1 {
            self.merge_one();
        }
        Some(entry)
    }

    /// Keeps chains short: the last entry of the chain moves into the hole, and an empty child goes.
    fn fill_hole(&mut self, hash: u64, hole: Place<T>) {
        let mut parent = std::ptr::null_mut();
        let mut last = self.bucket_at(self.bucket_index(hash));
        // SAFETY: the chain's buckets are ours and nobody else looks at them during `&mut self`.
        unsafe {
            while (*last).is_chained() {
                parent = last;
                last = (*last).child();
            }
            if last != hole.bucket && (*last).count() > 0 {
                let slot = ((*last).occupied().trailing_zeros() / 8) as usize;
                let (tag, mark, entry) = (*last).take(slot);
                (*hole.bucket).put(hole.slot, tag, mark, entry);
            }
            if !parent.is_null() && (*last).count() == 0 {
                self.free_child(parent);
            }
        }
    }

    /// Frees the empty last child of `parent`.
    ///
    /// # Safety
    /// `parent` must be a chained bucket of this table whose child holds nothing.
    unsafe fn free_child(&mut self, parent: *mut Bucket<T>) {
        // SAFETY: the caller's promise.
        unsafe {
            dealloc((*parent).child().cast(), bucket_layout::<T>(1));
            (*parent).tags &= !CHAINED;
        }
        self.children -= 1;
    }

    /// Makes room for `count` buckets in all.
    fn add_room(&mut self, count: usize) {
        if count <= self.first_chunk_capacity.max(1) && !self.chunks.is_empty() {
            return;
        }
        if count <= CHUNK_BUCKETS {
            let capacity = count.next_power_of_two();
            // SAFETY: both blocks are buckets of `T`; the old one's content is moved bit by bit and then freed unread.
            unsafe {
                let block = allocate_buckets::<T>(capacity);
                if let Some(&old) = self.chunks.first() {
                    std::ptr::copy_nonoverlapping(old, block, self.first_chunk_capacity);
                    dealloc(old.cast(), bucket_layout::<T>(self.first_chunk_capacity));
                    self.chunks[0] = block;
                } else {
                    self.chunks.push(block);
                }
            }
            self.first_chunk_capacity = capacity;
        } else if count > self.chunks.len() * CHUNK_BUCKETS {
            // SAFETY: a chunk has a size; zeroed buckets are valid empty ones.
            self.chunks.push(unsafe { allocate_buckets::<T>(CHUNK_BUCKETS) });
        }
    }

    /// Grows by one bucket: divides bucket `split` between itself and the new last one.
    fn split_one(&mut self) {
        self.add_room(self.buckets() + 1);
        let from = self.bucket_at(self.split);
        self.split += 1;
        let bit = 1usize << self.level;
        if self.split == bit {
            self.level += 1;
            self.split = 0;
        }
        let to = self.bucket_at(self.buckets() - 1);
        // SAFETY: `from` and `to` are different buckets of ours; entries are moved out before they are put back.
        unsafe {
            prefetch_entries(&*from);
            let mut chain = from;
            while !chain.is_null() {
                let mut occupied = (*chain).occupied();
                while occupied != 0 {
                    let slot = (occupied.trailing_zeros() / 8) as usize;
                    if hash((*chain).slots[slot].entry.key()) as usize & bit != 0 {
                        let (tag, mark, entry) = (*chain).take(slot);
                        self.put(to, tag, mark, entry);
                    }
                    occupied &= occupied - 1;
                }
                chain = (*chain).child();
            }
            self.compact(from);
        }
        self.expect_split();
    }

    /// Asks for what the next split will touch. Some inserts come before it.
    fn expect_split(&self) {
        if self.split + 1 < self.buckets() {
            prefetch(self.bucket_at(self.split + 1).cast());
            // SAFETY: as in `find`.
            prefetch_entries(unsafe { &*self.bucket_at(self.split) });
        }
    }

    /// Pulls entries of a chain towards its head and frees the children that are empty then.
    ///
    /// # Safety
    /// `head` must be a bucket of this table.
    unsafe fn compact(&mut self, head: *mut Bucket<T>) {
        // SAFETY: the chain is ours alone during `&mut self`; children that are freed hold nothing.
        unsafe {
            while (*head).is_chained() {
                let (mut parent, mut last) = (head, (*head).child());
                while (*last).is_chained() {
                    (parent, last) = (last, (*last).child());
                }
                while (*last).count() > 0 {
                    let mut hole = head;
                    while hole != last && (*hole).free_slot().is_none() {
                        hole = (*hole).child();
                    }
                    if hole == last {
                        return;
                    }
                    let slot = ((*last).occupied().trailing_zeros() / 8) as usize;
                    let (tag, mark, entry) = (*last).take(slot);
                    let free = (*hole).free_slot().unwrap_or(0);
                    (*hole).put(free, tag, mark, entry);
                }
                self.free_child(parent);
            }
        }
    }

    /// Shrinks by one bucket: the last one's entries go back to the bucket they were split from.
    fn merge_one(&mut self) {
        let last_index = self.buckets() - 1;
        let last = self.bucket_at(last_index);
        if self.split == 0 {
            self.level -= 1;
            self.split = 1 << self.level;
        }
        self.split -= 1;
        let into = self.bucket_at(self.split);
        // SAFETY: `last` and `into` are different buckets of ours; the emptied children are freed once.
        unsafe {
            loop {
                let mut occupied = (*last).occupied();
                while occupied != 0 {
                    let slot = (occupied.trailing_zeros() / 8) as usize;
                    let (tag, mark, entry) = (*last).take(slot);
                    self.put(into, tag, mark, entry);
                    occupied &= occupied - 1;
                }
                if !(*last).is_chained() {
                    break;
                }
                // The child's content comes up, and the child goes.
                let child = (*last).child();
                std::ptr::copy_nonoverlapping(child, last, 1);
                dealloc(child.cast(), bucket_layout::<T>(1));
                self.children -= 1;
            }
        }
        if self.chunks.len() > 1 && last_index <= (self.chunks.len() - 1) * CHUNK_BUCKETS - CHUNK_BUCKETS / 2 {
            self.free_last_chunk();
        }
    }

    /// Frees a chunk that has been out of use for half a chunk's length, so that a table at the edge does not
    /// allocate at each step.
    fn free_last_chunk(&mut self) {
        if let Some(chunk) = self.chunks.pop() {
            // SAFETY: no index below `buckets()` reaches this chunk, so it holds nothing.
            unsafe { dealloc(chunk.cast(), bucket_layout::<T>(CHUNK_BUCKETS)) };
        }
    }

    /// Grows ahead for `count` entries in all, so that a load does not split bucket by bucket.
    pub fn reserve(&mut self, count: usize) {
        if self.len > 0 {
            return;
        }
        let wanted = (count * LOAD_UNIT).div_ceil(LOAD_MAX).max(1);
        for buckets in (self.buckets() + 1..=wanted).filter(|n| *n == wanted || n % CHUNK_BUCKETS == 0) {
            self.add_room(buckets.max(1));
        }
        self.level = wanted.ilog2();
        self.split = wanted - (1 << self.level);
    }

    /// Sets the mark of an entry; returns whether the entry is there.
    pub fn set_mark(&mut self, hash: u64, key: &[u8], mark: bool) -> bool {
        let Some(place) = self.find(hash, key) else { return false };
        // SAFETY: `find` returned a slot of ours.
        unsafe { (*place.bucket).set_mark(place.slot, mark) };
        true
    }

    fn chain(&self, index: usize) -> Entries<'_, T> {
        Entries { bucket: self.bucket_at(index), left: 0, fresh: true, marked_only: false, _table: PhantomData }
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.buckets()).flat_map(move |index| {
            self.look_ahead(index);
            self.chain(index)
        })
    }

    /// Asks for what a walk over all buckets meets after bucket `index`: buckets far ahead, entries of nearer ones, and
    /// what those of the next ones point to.
    #[inline]
    fn look_ahead(&self, index: usize) {
        let [inside, entries, bucket] = WALK_AHEAD;
        if index + bucket < self.buckets() {
            prefetch(self.bucket_at(index + bucket).cast());
            // SAFETY: as in `find`.
            prefetch_entries(unsafe { &*self.bucket_at(index + entries) });
            self.bucket_entries(index + inside).for_each(TableEntry::prefetch_inside);
        }
    }

    /// The entries of a bucket without those of its chain.
    #[inline]
    fn bucket_entries(&self, index: usize) -> impl Iterator<Item = &T> {
        // SAFETY: as in `find`.
        let bucket = unsafe { &*self.bucket_at(index) };
        // SAFETY: an occupied slot holds an entry.
        slots_of(bucket.occupied()).map(|slot| unsafe { &*(&raw const bucket.slots[slot].entry).cast::<T>() })
    }

    /// One step of SCAN: calls `f` for the entries of one bucket (and its split half) and returns the next cursor,
    /// 0 at the end. An entry present from the first call to the last is seen at least once, whatever else changes.
    pub fn scan(&self, cursor: u64, mut f: impl FnMut(&T)) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let mask = (1u64 << self.level) - 1;
        let low = (cursor & mask) as usize;
        self.chain(low).for_each(&mut f);
        if low < self.split {
            self.chain(low | 1 << self.level).for_each(&mut f);
        }
        // Counting from the highest bit down keeps its place when the number of bits changes between calls.
        (cursor | !mask).reverse_bits().wrapping_add(1).reverse_bits()
    }

    /// Calls `f` for the marked entries of bucket `index` (taken modulo the number of buckets).
    pub fn marked_in_bucket(&self, index: usize, f: impl FnMut(&T)) {
        if !self.is_empty() {
            let mut entries = self.chain(index % self.buckets());
            entries.marked_only = true;
            entries.for_each(f);
        }
    }

    /// Calls `f` for the entries of neighbouring buckets from `start` (modulo the number of buckets) on, all or the marked
    /// ones, until there were `count` or the table is through. Returns where the next such walk can begin.
    pub fn sample(&self, start: usize, count: usize, marked_only: bool, mut f: impl FnMut(&T)) -> usize {
        let (buckets, mut seen, mut walked) = (self.buckets(), 0, 0);
        while seen < count && walked < buckets {
            let mut entries = self.chain((start + walked) % buckets);
            entries.marked_only = marked_only;
            entries.for_each(|entry| {
                seen += 1;
                f(entry);
            });
            walked += 1;
        }
        (start + walked) % buckets.max(1)
    }

    /// A random entry; each has the same chance (but for chains of more than 16, which hashing makes negligible).
    pub fn random(&self, rng: &mut Rng) -> Option<&T> {
        if self.is_empty() {
            return None;
        }
        loop {
            let index = rng.index(self.buckets());
            let count = self.chain(index).count();
            // Choosing a place and not an entry keeps full buckets from being slighted.
            let place = rng.index(count.max(16));
            if place < count {
                return self.chain(index).nth(place);
            }
        }
    }

    /// Takes entries out from the end of the table until `budget` are gone and hands them to `f`; returns whether
    /// anything is left. The table must not be used for anything else afterwards: this is how what is big is freed in
    /// slices.
    pub fn take_some(&mut self, mut budget: usize, mut f: impl FnMut(T)) -> bool {
        while budget > 0 && self.len > 0 {
            let last = self.bucket_at(self.buckets() - 1);
            // SAFETY: the bucket is ours; what is taken out is handed on and counted.
            unsafe {
                let freed = empty_chain(last, &mut f);
                self.len -= freed.0;
                self.children -= freed.1;
                budget = budget.saturating_sub(freed.0.max(1));
            }
            if self.split == 0 && self.level > 0 {
                self.level -= 1;
                self.split = 1 << self.level;
            }
            self.split = self.split.saturating_sub(1);
        }
        self.len > 0
    }
}

/// Hands what a bucket and its children hold to `f` and frees the children; returns the number of both.
///
/// # Safety
/// `bucket` must be a bucket of a table to which the caller has the only access.
unsafe fn empty_chain<T>(bucket: *mut Bucket<T>, f: &mut impl FnMut(T)) -> (usize, usize) {
    let (mut entries, mut children) = (0, 0);
    // SAFETY: the caller's promise; tags say which slots hold entries, the chained bit says where the child is.
    unsafe {
        let mut here = bucket;
        while !here.is_null() {
            let mut occupied = (*here).occupied();
            while occupied != 0 {
                f((*here).take((occupied.trailing_zeros() / 8) as usize).2);
                entries += 1;
                occupied &= occupied - 1;
            }
            let child = (*here).child();
            if here != bucket {
                dealloc(here.cast(), bucket_layout::<T>(1));
                children += 1;
            }
            here = child;
        }
        (*bucket).tags = 0;
    }
    (entries, children)
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        for (number, &chunk) in self.chunks.iter().enumerate() {
            let capacity = if number == 0 { self.first_chunk_capacity } else { CHUNK_BUCKETS };
            // SAFETY: all buckets of a chunk are initialised (zeroed at first) and nobody else can reach them now.
            unsafe {
                for index in 0..capacity {
                    empty_chain(chunk.add(index), &mut drop);
                }
                dealloc(chunk.cast(), bucket_layout::<T>(capacity));
            }
        }
    }
}

/// The entries of one bucket and its children.
struct Entries<'a, T> {
    bucket: *mut Bucket<T>,
    left: u64,
    fresh: bool,
    marked_only: bool,
    _table: PhantomData<&'a T>,
}

impl<'a, T> Iterator for Entries<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        loop {
            if self.bucket.is_null() {
                return None;
            }
            // SAFETY: the table is borrowed for 'a, so its buckets stay and do not change.
            let here = unsafe { &*self.bucket };
            if self.fresh {
                self.left = here.occupied();
                self.fresh = false;
            }
            if self.left == 0 {
                self.bucket = here.child();
                self.fresh = true;
                continue;
            }
            let slot = (self.left.trailing_zeros() / 8) as usize;
            self.left &= self.left - 1;
            if self.marked_only && !here.is_marked(slot) {
                continue;
            }
            // SAFETY: an occupied slot holds an entry.
            return Some(unsafe { &*(&raw const here.slots[slot].entry).cast::<T>() });
        }
    }
}

/// Brings the entries of a bucket near before they are hashed one after the other.
fn prefetch_entries<T: TableEntry>(bucket: &Bucket<T>) {
    for slot in slots_of(bucket.occupied()) {
        // SAFETY: an occupied slot holds an entry, which is one word.
        let entry = T::address(unsafe { bucket.slots[slot].child }.cast());
        prefetch(entry);
        prefetch(entry.wrapping_add(64));
    }
}

/// Asks the processor for the cache line of an address, which may be any.
#[inline]
pub(super) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
