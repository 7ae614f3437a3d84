//! A consumer group: how far it has read, what it was given and has not acknowledged, and by whom.
//!
//! Ancestors: `streamCG`, `streamConsumer`, `streamNACK`. What is pending stands once with the group, in order, and by
//! its ID alone with the consumer that has it; that both agree is what this file sees to.

use super::StreamId;
use super::runs::Runs;
use slab::Slab;
use std::collections::BTreeMap;

/// Which consumer of its group.
pub type ConsumerId = usize;

/// An entry that was given to a consumer and is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nack {
    /// When it was given last, in milliseconds since 1970.
    pub delivered_ms: i64,
    /// How often it was given.
    pub deliveries: u64,
    /// Who has it.
    pub consumer: ConsumerId,
}

/// One who reads for a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it last tried to get anything, in milliseconds since 1970.
    pub seen_ms: i64,
    /// When it last got something; `None` if never.
    pub active_ms: Option<i64>,
    pending: Runs<()>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How many entries it has not acknowledged.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }
}

/// A group.
#[derive(Clone, Debug)]
pub struct Group {
    /// The last ID that was given to anybody.
    pub last_id: StreamId,
    /// How many entries the stream had before the first one that was not given; `None` where that cannot be told.
    pub entries_read: Option<u64>,
    pending: Runs<Nack>,
    consumers: Slab<Consumer>,
    names: BTreeMap<Box<[u8]>, ConsumerId>,
}

impl Group {
    /// A group that is given what lies above an ID.
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Self {
        Group { last_id, entries_read, pending: Runs::default(), consumers: Slab::new(), names: BTreeMap::new() }
    }

    // ---- consumers

    /// The number of a consumer.
    pub fn consumer_named(&self, name: &[u8]) -> Option<ConsumerId> {
        self.names.get(name).copied()
    }

    /// A consumer, which must be there.
    pub fn consumer(&self, id: ConsumerId) -> &Consumer {
        &self.consumers[id]
    }

    /// A consumer to change, which must be there.
    pub fn consumer_mut(&mut self, id: ConsumerId) -> &mut Consumer {
        &mut self.consumers[id]
    }

    /// The consumers by name.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (ConsumerId, &Consumer)> {
        self.names.values().map(|&id| (id, &self.consumers[id]))
    }

    /// Makes a consumer; `None` if there is one of that name.
    pub fn add_consumer(&mut self, name: &[u8], seen_ms: i64) -> Option<ConsumerId> {
        if self.names.contains_key(name) {
            return None;
        }
        let consumer = Consumer { name: name.into(), seen_ms, active_ms: None, pending: Runs::default() };
        let id = self.consumers.insert(consumer);
        self.names.insert(name.into(), id);
        Some(id)
    }

    /// Removes a consumer and forgets what it has; returns how many entries those were.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let consumer = self.consumers.remove(self.names.remove(name)?);
        for (id, ()) in consumer.pending.range(StreamId::MIN) {
            self.pending.remove(id);
        }
        Some(consumer.pending.len())
    }

    // ---- what is pending

    /// How many entries nobody has acknowledged yet.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// What is pending from `start` on.
    pub fn pending_from(&self, start: StreamId) -> impl DoubleEndedIterator<Item = (StreamId, &Nack)> {
        self.pending.range(start)
    }

    /// What a consumer has from `start` on.
    pub fn pending_of(&self, consumer: ConsumerId, start: StreamId) -> impl Iterator<Item = (StreamId, &Nack)> {
        self.consumers[consumer].pending.range(start).filter_map(|(id, ())| Some((id, self.pending.get(id)?)))
    }

    /// What is known of a pending entry.
    pub fn nack(&self, id: StreamId) -> Option<&Nack> {
        self.pending.get(id)
    }

    /// Gives an entry to a consumer, whoever had it before.
    pub fn assign(&mut self, id: StreamId, nack: Nack) {
        self.consumers[nack.consumer].pending.insert(id, ());
        if let Some(old) = self.pending.insert(id, nack)
            && old.consumer != nack.consumer
        {
            self.consumers[old.consumer].pending.remove(id);
        }
    }

    /// Notes that an entry was given once more to the one who has it.
    pub fn deliver_again(&mut self, id: StreamId, now_ms: i64) {
        if let Some(nack) = self.pending.get_mut(id) {
            nack.delivered_ms = now_ms;
            nack.deliveries = nack.deliveries.wrapping_add(1);
        }
    }

    /// Forgets a pending entry; returns whether it was one.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(nack) = self.pending.remove(id) else { return false };
        self.consumers[nack.consumer].pending.remove(id);
        true
    }

    /// Frees up to so many pending entries; returns how many more it could have been.
    pub(super) fn free_some(&mut self, mut budget: usize) -> usize {
        while budget > 0
            && let Some((id, nack)) = self.pending.pop_first()
        {
            self.consumers[nack.consumer].pending.remove(id);
            budget -= 1;
        }
        budget
    }

    /// Bytes of memory, about: entries of the trees with their share of unused room.
    pub fn memory_bytes(&self) -> usize {
        const CONSUMER: usize = size_of::<Consumer>() + 2 * size_of::<(Box<[u8]>, ConsumerId)>();
        let names: usize = self.names.keys().map(|name| 2 * name.len()).sum();
        let held: usize = self.consumers.iter().map(|(_, consumer)| consumer.pending.memory_bytes()).sum();
        size_of::<Self>() + self.pending.memory_bytes() + held + self.consumers.len() * CONSUMER + names
    }
}
