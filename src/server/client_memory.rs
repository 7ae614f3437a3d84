//! The memory of clients together, and who goes when it is over `maxmemory-clients` (= the client eviction of networking.c
//! and server.c).
//!
//! A client is weighed after its commands, and when something is kept of it or pushed to it; as long as there is no
//! limit nobody is. A weight that has become less is found out at the latest when the sum seems too much.

use super::client::Class;
use super::{ClientId, Server};
use crate::base::hash::Keyed;
use std::collections::HashMap;

/// No lower limit is heeded: the server must be able to answer.
const LIMIT_MIN: usize = 128 * 1024;

/// What clients weigh, while there is a limit.
#[derive(Debug, Default)]
pub struct ClientMemory {
    /// For all together, in bytes; 0 for none.
    limit: usize,
    total: usize,
    weights: HashMap<ClientId, usize, Keyed>,
    /// Those whose weight may have changed.
    changed: Vec<ClientId>,
    /// How many clients had to go.
    pub evicted: u64,
}

impl ClientMemory {
    /// Whether there is a limit.
    #[inline]
    pub fn is_limited(&self) -> bool {
        self.limit > 0
    }

    /// A client's weight may have changed.
    #[inline]
    pub fn note(&mut self, id: ClientId) {
        if self.limit > 0 && self.changed.last() != Some(&id) {
            self.changed.push(id);
        }
    }

    /// Puts down a client's weight; 0 where it is not to be counted.
    fn set(&mut self, id: ClientId, weight: usize) {
        let former = match weight {
            0 => self.weights.remove(&id),
            _ => self.weights.insert(id, weight),
        };
        self.total = self.total + weight - former.unwrap_or(0);
    }

    /// A client is gone.
    pub fn forget(&mut self, id: ClientId) {
        if self.limit > 0 {
            self.set(id, 0);
        }
    }
}

impl Server {
    /// Bytes held for a client: what it sent, what it is to be sent, what it asked to be remembered.
    pub fn client_bytes(&self, id: ClientId) -> usize {
        let listens = if self.pubsub.is_empty() { 0 } else { self.pubsub.memory_bytes(id) };
        self.clients.get(id).map_or(0, |client| client.memory_bytes() + listens)
    }

    /// Follows `maxmemory-clients`.
    pub(super) fn follow_client_limit(&mut self) {
        let limit = match self.config.maxmemory_clients_percent {
            Some(percent) => (u128::from(self.config.maxmemory) * u128::from(percent) / 100) as usize,
            None => self.config.maxmemory_clients as usize,
        };
        let evicted = self.client_memory.evicted;
        self.client_memory = ClientMemory { evicted, ..ClientMemory::default() };
        if limit > 0 {
            self.client_memory.limit = limit.max(LIMIT_MIN);
            self.weigh_all_clients();
        }
        self.update_notice();
    }

    fn weigh_client(&mut self, id: ClientId) {
        let counts = |class| matches!(class, Class::Normal | Class::PubSub);
        let is_counted = self.clients.get(id).is_some_and(|client| counts(client.class()) && !client.closing);
        let weight = if is_counted { self.client_bytes(id) } else { 0 };
        self.client_memory.set(id, weight);
    }

    fn weigh_all_clients(&mut self) {
        let all: Vec<ClientId> = self.clients.iter().map(|(id, _)| id).collect();
        all.into_iter().for_each(|id| self.weigh_client(id));
    }

    /// Has the heaviest clients go until the others are within the limit. Before the loop sleeps, where there is one.
    pub(super) fn evict_clients(&mut self) {
        for id in std::mem::take(&mut self.client_memory.changed) {
            self.weigh_client(id);
        }
        let limit = self.client_memory.limit;
        if self.client_memory.total < limit {
            return;
        }
        self.weigh_all_clients();
        let weights = self.client_memory.weights.iter().map(|(id, weight)| (*weight, *id));
        let mut heavy: Vec<(usize, ClientId)> = weights.collect();
        heavy.sort_unstable_by_key(|(weight, id)| (std::cmp::Reverse(*weight), id.number));
        for (_, id) in heavy {
            if self.client_memory.total < limit {
                return;
            }
            if self.clients.get(id).is_some_and(|client| !client.no_evict) {
                let description = super::admin::client::description(self, id);
                log::info!("Evicting client: {description}");
                self.client_memory.set(id, 0);
                self.client_memory.evicted += 1;
                self.close_client(id);
            }
        }
    }
}
