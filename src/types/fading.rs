//! A hash some of whose fields expire: a hash as any other, and beside it when which field goes.
//!
//! Ancestor: the hashes with field expiry of `t_hash.c` since Redis 7.4. A hash becomes one when its first field is given
//! a time, and stays one; a hash without such fields knows nothing of all this and pays nothing for it.
//!
//! Who may not delete (a replica) sets fields aside whose time has come: they are not shown, and come back before the
//! master's stream is applied, for the master may have given them more time.

use super::listpack::Listpack;
use super::walk::{Either, has_duplicates};
use super::{CollectionLimits, Element, Hash, Value, ZSet};

/// How the times are kept packed.
const PACKED_TIMES: usize = 128;
/// A moment later than this is kept to the nearest 1024 ms or so; it is 285 000 years away.
const EXACT_MAX: i64 = 1 << 53;

/// Fields, their values, and when they expire.
#[derive(Default)]
pub struct Fading {
    /// The fields that are shown.
    hash: Hash,
    /// When which of them expires, in milliseconds since 1970.
    times: ZSet,
    /// Fields that are not shown, though nobody has deleted them.
    aside: Vec<Faded>,
    /// For which moment the database has noted to look after this hash.
    pub noted_ms: Option<i64>,
}

/// A field whose time has come.
#[derive(Clone)]
struct Faded {
    field: Vec<u8>,
    value: Vec<u8>,
    expire_ms: i64,
}

/// What is to become of a field's time when its value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldTime {
    /// It stays as it is.
    Keep,
    /// The field expires at this moment, or never.
    Set(Option<i64>),
}

fn limits_of_times() -> CollectionLimits {
    CollectionLimits { zset_max_listpack_entries: PACKED_TIMES, ..CollectionLimits::default() }
}

impl Fading {
    /// A hash whose fields do not expire yet.
    pub fn new(hash: Hash) -> Self {
        Fading { hash, ..Fading::default() }
    }

    /// A hash from a loaded listpack of fields, values and moments (0: none), or `None` if that is not what it holds.
    pub fn from_listpack(pack: &Listpack, limits: &CollectionLimits) -> Option<Self> {
        if !pack.len().is_multiple_of(3) || has_duplicates(pack, 3) {
            return None;
        }
        let mut fading = Fading::default();
        fading.hash.expect(pack.len() / 3, limits);
        let mut entries = pack.iter();
        while let (Some(field), Some(value), Some(time)) = (entries.next(), entries.next(), entries.next()) {
            let Element::Int(time @ 0..) = time else { return None };
            let time = FieldTime::Set(Some(time).filter(|&time| time != 0));
            fading.set(field.as_bytes(&mut [0; 20]), value.as_bytes(&mut [0; 20]), time, limits);
        }
        Some(fading)
    }

    /// As a value: where no field expires, that of a hash like any other.
    pub fn into_value(self) -> Value {
        if self.expires() { Value::Fading(Box::new(self)) } else { Value::Hash(self.hash) }
    }

    /// The fields that are shown.
    pub fn shown(&self) -> &Hash {
        &self.hash
    }

    /// Whether there are no fields at all.
    pub fn is_empty(&self) -> bool {
        self.hash.is_empty() && self.aside.is_empty()
    }

    /// Fields, those that are not shown included.
    pub fn len(&self) -> usize {
        self.hash.len() + self.aside.len()
    }

    /// Whether any field expires.
    pub fn expires(&self) -> bool {
        !self.times.is_empty() || !self.aside.is_empty()
    }

    /// When a field that is shown expires.
    pub fn time(&self, field: &[u8]) -> Option<i64> {
        self.times.score(field).map(|ms| ms as i64)
    }

    /// When a field expires, be it shown or not.
    pub fn time_of_any(&self, field: &[u8]) -> Option<i64> {
        let aside = || self.aside.iter().find(|faded| faded.field == field).map(|faded| faded.expire_ms);
        self.time(field).or_else(aside)
    }

    /// When the first field expires that is shown.
    pub fn next_due(&self) -> Option<i64> {
        self.times.at(0).map(|(_, ms)| ms as i64)
    }

    /// Sets when a field expires; the field must be there.
    pub fn set_time(&mut self, field: &[u8], expire_ms: Option<i64>) {
        match expire_ms {
            Some(ms) => {
                let ms = if ms > EXACT_MAX { ms & !0x7ff } else { ms };
                self.times.insert(field, ms as f64, &limits_of_times());
            }
            None => {
                self.times.remove(field);
            }
        }
    }

    /// Sets a field; true if it is new.
    pub fn set(&mut self, field: &[u8], value: &[u8], time: FieldTime, limits: &CollectionLimits) -> bool {
        let fresh = self.hash.set(field, value, limits);
        if let FieldTime::Set(expire_ms) = time {
            self.set_time(field, expire_ms);
        }
        fresh
    }

    /// Takes a field out; true if it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        self.times.remove(field);
        self.hash.remove(field)
    }

    /// Takes up to `most` fields out whose time has come; returns their names.
    pub fn take_due(&mut self, now: i64, most: usize, limits: &CollectionLimits) -> Vec<Vec<u8>> {
        self.bring_back(limits);
        let mut due = Vec::new();
        while due.len() < most
            && self.next_due().is_some_and(|at| at <= now)
            && let Some((field, _)) = self.times.pop_min()
        {
            self.hash.remove(&field);
            due.push(field);
        }
        due
    }

    /// Sets all fields aside whose time has come; returns whether that made a difference.
    pub fn set_aside(&mut self, now: i64) -> bool {
        let before = self.aside.len();
        while self.next_due().is_some_and(|at| at <= now)
            && let Some((field, expire_ms)) = self.times.pop_min()
        {
            let value = self.hash.get(&field).map_or_else(Vec::new, |value| value.to_vec());
            self.hash.remove(&field);
            self.aside.push(Faded { field, value, expire_ms: expire_ms as i64 });
        }
        self.aside.len() > before
    }

    /// Deletes what was set aside.
    pub fn drop_aside(&mut self) {
        self.aside.clear();
    }

    /// Puts back what was set aside.
    pub fn bring_back(&mut self, limits: &CollectionLimits) {
        for faded in std::mem::take(&mut self.aside) {
            self.set(&faded.field, &faded.value, FieldTime::Set(Some(faded.expire_ms)), limits);
        }
    }

    /// All fields with their values and when they expire, those that are not shown included.
    pub fn iter(&self) -> impl Iterator<Item = (Element<'_>, Element<'_>, Option<i64>)> {
        let timed = !self.times.is_empty();
        let shown = self.hash.iter().map(move |(field, value)| {
            let time = if timed { self.time(field.as_bytes(&mut [0; 20])) } else { None };
            (field, value, time)
        });
        let aside = self.aside.iter();
        shown.chain(
            aside.map(|faded| (Element::Bytes(&faded.field), Element::Bytes(&faded.value), Some(faded.expire_ms))),
        )
    }

    /// `iter` in the order in which fields expire; those that never do come last.
    pub fn iter_by_time(&self) -> impl Iterator<Item = (Element<'_>, Element<'_>, Option<i64>)> {
        if self.aside.is_empty() {
            let timed = self
                .times
                .iter()
                .filter_map(|(field, ms)| Some((field, self.hash.get(field.as_bytes(&mut [0; 20]))?, Some(ms as i64))));
            return Either::Left(timed.chain(self.iter().filter(|(_, _, time)| time.is_none())));
        }
        let mut all: Vec<_> = self.iter().collect();
        all.sort_by_key(|(_, _, time)| time.unwrap_or(i64::MAX));
        Either::Right(all.into_iter())
    }

    /// When the first field expires, those that are not shown included.
    pub fn first_time(&self) -> Option<i64> {
        self.aside.iter().map(|faded| faded.expire_ms).chain(self.next_due()).min()
    }

    /// What `OBJECT ENCODING` says.
    pub fn encoding(&self) -> &'static str {
        if self.hash.is_packed() { "listpackex" } else { "hashtable" }
    }

    /// Bytes of memory, estimated from up to `samples` fields (0: from all).
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let aside: usize = self.aside.iter().map(|faded| faded.field.len() + faded.value.len()).sum();
        size_of::<Self>()
            + self.hash.memory_bytes(samples)
            + self.times.memory_bytes(samples)
            + self.aside.capacity() * size_of::<Faded>()
            + aside
    }

    /// See `Value::free_some`.
    pub fn free_some(&mut self, budget: usize) -> bool {
        self.aside.clear();
        self.times.free_some(budget) || self.hash.free_some(budget)
    }
}

impl Clone for Fading {
    /// Where the clone will be nobody has noted anything yet.
    fn clone(&self) -> Self {
        Fading { hash: self.hash.clone(), times: self.times.clone(), aside: self.aside.clone(), noted_ms: None }
    }
}

#[cfg(test)]
#[path = "fading_tests.rs"]
mod tests;
