//! Big values that are freed by and by, so that nobody waits for a million deallocations (= lazyfree.c).
//!
//! Ancestor's threads become slices here: what was taken out waits in [`Retired`], and the loop frees a few elements in
//! each turn. Data has one thread, and so has the allocator's count of it.

use super::Db;
use crate::types::{Value, ValueRef};

/// A value of no more elements is freed at once: keeping it would cost more.
const THRESHOLD: usize = 64;

/// Whose big values are freed by and by, beside UNLINK's and evicted ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct LazyFree {
    /// Of expired keys (`lazyfree-lazy-expire`).
    pub expire: bool,
    /// Of keys that a command overwrites or removes on its way (`lazyfree-lazy-server-del`).
    pub server_del: bool,
    /// Of those that DEL removes (`lazyfree-lazy-user-del`).
    pub user_del: bool,
}

/// What was taken out and is not freed yet.
#[derive(Default)]
pub(super) struct Retired {
    dbs: Vec<Db>,
    values: Vec<Value>,
    /// Values that were freed.
    pub freed: u64,
}

/// Whether it takes long to free a value: how many allocations it has, as far as that is known at once.
pub fn is_big(value: ValueRef<'_>) -> bool {
    let allocations = match value {
        ValueRef::List(list) => list.node_count(),
        ValueRef::Set(set) if set.encoding() == "hashtable" => set.len(),
        ValueRef::Hash(hash) if hash.encoding() == "hashtable" => hash.len(),
        ValueRef::Fading(fading) if fading.encoding() == "hashtable" => fading.len(),
        ValueRef::ZSet(zset) if zset.encoding() == "skiplist" => zset.len(),
        ValueRef::Stream(stream) => stream.parts(),
        _ => 1,
    };
    allocations > THRESHOLD
}

impl Retired {
    pub(super) fn put(&mut self, value: Value) {
        self.values.push(value);
    }

    pub(super) fn put_db(&mut self, db: Db) {
        if !db.is_empty() {
            self.dbs.push(db);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.dbs.is_empty() && self.values.is_empty()
    }

    /// Values that wait, those in databases included.
    pub(super) fn pending(&self) -> usize {
        self.values.len() + self.dbs.iter().map(Db::len).sum::<usize>()
    }

    /// Frees about so many elements. A database's big values wait in their turn.
    pub(super) fn free_some(&mut self, budget: usize) {
        let Retired { dbs, values, freed } = self;
        if let Some(value) = values.last_mut() {
            if !value.free_some(budget) {
                values.pop();
                *freed += 1;
            }
        } else if let Some(db) = dbs.last_mut() {
            let left = db.take_some(budget, |entry| match is_big(entry.value()) {
                true => values.push(entry.into_value()),
                false => *freed += 1,
            });
            if !left {
                dbs.pop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::base::memory;
    use crate::base::rng::Rng;
    use crate::keyspace::Keyspace;
    use crate::types::stream::{Group, Nack, NewId, StreamId};
    use crate::types::{CollectionLimits, Hash, List, Set, Stream, Value, ZSet};

    const ELEMENTS: usize = 20_000;

    /// A big value of each type.
    fn big_values() -> Vec<Value> {
        let limits = CollectionLimits { list_max_listpack_size: 10, ..CollectionLimits::default() };
        let (mut list, mut set, mut hash, mut zset) = (List::new(), Set::new(), Hash::new(), ZSet::new());
        let (mut stream, mut group) = (Stream::new(), Group::new(StreamId::MIN, None));
        let consumer = group.add_consumer(b"consumer", 0).expect("new");
        for number in 0..ELEMENTS {
            let text = format!("element:{number}").into_bytes();
            list.push_back(&text, &limits);
            set.add(&text, &limits);
            hash.set(&text, &text, &limits);
            zset.insert(&text, (number * 7919 % ELEMENTS) as f64, &limits);
            let added = stream.append(NewId::Auto, 5, [(&text[..], &text[..])].into_iter(), &limits);
            group.assign(added.expect("above"), Nack { delivered_ms: 0, deliveries: 1, consumer });
        }
        stream.add_group(b"group", group);
        vec![Value::List(list), Value::Set(set), Value::Hash(hash), Value::ZSet(zset), Value::Stream(stream)]
    }

    #[test]
    fn a_big_value_goes_in_slices_and_leaves_nothing() {
        let before = memory::used_memory();
        for value in big_values() {
            let mut keys = Keyspace::new(1, Rng::new(1));
            keys.insert(b"big", value, None);
            keys.set_str(b"small", b"v", None);
            assert!(keys.delete_by(b"big", true) && keys.delete_by(b"small", true));
            assert_eq!(keys.retired_objects(), (1, 0));
            let full = memory::used_memory();
            keys.free_retired(256);
            assert!(keys.has_retired() && memory::used_memory() > before + (full - before) / 2, "only a part is gone");
            let slices = (0..ELEMENTS).take_while(|_| {
                keys.free_retired(256);
                keys.has_retired()
            });
            assert!(slices.count() > 5);
            assert_eq!(keys.retired_objects(), (0, 1));
        }
        assert!(memory::used_memory() < before + (100 << 10), "{before} {}", memory::used_memory());
    }

    #[test]
    fn an_emptied_database_hands_its_big_values_on() {
        let mut keys = Keyspace::new(1, Rng::new(1));
        for (number, value) in big_values().into_iter().enumerate() {
            keys.insert(number.to_string().as_bytes(), value, None);
        }
        (0..100).for_each(|number| keys.set_str(format!("s{number}").as_bytes(), b"v", None));
        assert_eq!(keys.flush(None, true), 105);
        let mut slices = 0;
        while keys.has_retired() {
            keys.free_retired(256);
            slices += 1;
        }
        assert!(slices > 5 * 5, "{slices}");
        assert_eq!(keys.retired_objects(), (0, 105));
    }

    #[test]
    fn what_is_overwritten_or_expires_is_freed_lazily_where_that_is_wanted() {
        for lazily in [false, true] {
            let mut keys = Keyspace::new(1, Rng::new(1));
            keys.lazy.server_del = lazily;
            keys.lazy.expire = lazily;
            keys.set_time(1000);
            for (count, value) in big_values().into_iter().enumerate() {
                keys.insert(b"k", value, Some(5000));
                match count {
                    0 => keys.set_str(b"k", b"v", Some(9000)),
                    1 => keys.insert(b"k", Value::List(List::new()), None),
                    2 => assert!(keys.delete(b"k")),
                    _ => {
                        keys.set_time(6000);
                        assert!(!keys.exists(b"k"));
                    }
                }
                assert_eq!(keys.retired_objects().0, if lazily { count + 1 } else { 0 });
                if count == 0 {
                    let entry = keys.peek(b"k").expect("it was set");
                    assert_eq!((entry.encoding(), entry.expire_ms()), ("embstr", Some(9000)));
                }
            }
        }
    }
}
