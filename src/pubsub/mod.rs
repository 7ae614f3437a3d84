//! Pub/Sub: who listens to which channel (= the state of pubsub.c).
//!
//! Channels, patterns and shard channels are three spaces of names. A topic, a name in one of them, exists while it
//! has subscribers, and they hear of a message in the order in which they subscribed. What a subscriber is and how a
//! message reaches it, this room does not know.

use crate::base::glob;
use crate::base::hash::Keyed;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::rc::Rc;

/// A space of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Channels of PUBLISH.
    Channel,
    /// Patterns of their names.
    Pattern,
    /// Channels of SPUBLISH.
    Shard,
}

const SPACES: [Space; 3] = [Space::Channel, Space::Pattern, Space::Shard];

/// The name of a topic.
pub type Name = Rc<[u8]>;

/// The subscribers of a topic by the number of their subscription, so that they stand in the order of their coming and
/// each can leave without a search.
type Topic<S> = BTreeMap<u64, S>;

/// What one subscriber listens to in one space, with the numbers of the subscriptions.
type Subscriptions = HashMap<Name, u64, Keyed>;

/// What a subscription takes beside its name, on its subscriber's side and on its topic's.
const SUBSCRIPTION_BYTES: usize = 64;

/// All subscriptions. `S` names a subscriber.
#[derive(Debug)]
pub struct PubSub<S> {
    topics: [HashMap<Name, Topic<S>, Keyed>; 3],
    subscribers: HashMap<S, [Subscriptions; 3], Keyed>,
    last_number: u64,
}

impl<S> Default for PubSub<S> {
    fn default() -> Self {
        PubSub { topics: Default::default(), subscribers: HashMap::default(), last_number: 0 }
    }
}

impl<S: Copy + Eq + Hash> PubSub<S> {
    /// Subscribes; `false` if it was subscribed already.
    pub fn subscribe(&mut self, space: Space, name: &[u8], who: S) -> bool {
        let own = &mut self.subscribers.entry(who).or_default()[space as usize];
        if own.contains_key(name) {
            return false;
        }
        let topics = &mut self.topics[space as usize];
        let name: Name = topics.get_key_value(name).map_or_else(|| name.into(), |(name, _)| name.clone());
        self.last_number += 1;
        own.insert(name.clone(), self.last_number);
        topics.entry(name).or_default().insert(self.last_number, who);
        true
    }

    /// Ends a subscription; `false` if there was none.
    pub fn unsubscribe(&mut self, space: Space, name: &[u8], who: S) -> bool {
        let Some(own) = self.subscribers.get_mut(&who) else { return false };
        let Some(number) = own[space as usize].remove(name) else { return false };
        if own.iter().all(HashMap::is_empty) {
            self.subscribers.remove(&who);
        }
        self.leave(space, name, number);
        true
    }

    /// Takes a subscription out of its topic, and the topic away with its last one.
    fn leave(&mut self, space: Space, name: &[u8], number: u64) {
        let topics = &mut self.topics[space as usize];
        let Some(topic) = topics.get_mut(name) else { return };
        topic.remove(&number);
        if topic.is_empty() {
            topics.remove(name);
        }
    }

    /// Ends all subscriptions of a subscriber.
    pub fn forget(&mut self, who: S) {
        let Some(own) = self.subscribers.remove(&who) else { return };
        for (space, subscriptions) in SPACES.into_iter().zip(own) {
            for (name, number) in subscriptions {
                self.leave(space, &name, number);
            }
        }
    }

    /// What a subscriber listens to in a space, in the order in which it subscribed.
    pub fn subscriptions(&self, space: Space, who: S) -> Vec<Name> {
        let Some(own) = self.subscribers.get(&who) else { return Vec::new() };
        let mut named: Vec<_> = own[space as usize].iter().collect();
        named.sort_unstable_by_key(|(_, number)| **number);
        named.into_iter().map(|(name, _)| name.clone()).collect()
    }

    /// To how much a subscriber listens in a space.
    pub fn count(&self, space: Space, who: S) -> usize {
        self.subscribers.get(&who).map_or(0, |own| own[space as usize].len())
    }

    /// Bytes that a subscriber's subscriptions take.
    pub fn memory_bytes(&self, who: S) -> usize {
        let own = self.subscribers.get(&who).into_iter().flatten();
        own.map(|names| names.keys().map(|name| SUBSCRIPTION_BYTES + name.len()).sum::<usize>()).sum()
    }

    /// Whether this subscriber has any subscription.
    pub fn is_subscriber(&self, who: S) -> bool {
        self.subscribers.contains_key(&who)
    }

    /// How many subscribers there are.
    pub fn subscribers(&self) -> usize {
        self.subscribers.len()
    }

    /// The subscribers of a topic, in the order of their coming.
    pub fn receivers(&self, space: Space, name: &[u8]) -> impl Iterator<Item = S> {
        self.topics[space as usize].get(name).into_iter().flat_map(|topic| topic.values().copied())
    }

    /// The patterns that fit a channel's name, each with its subscribers.
    pub fn matching(&self, channel: &[u8]) -> impl Iterator<Item = (&Name, impl Iterator<Item = S>)> {
        let patterns = self.topics[Space::Pattern as usize].iter();
        let fitting = patterns.filter(move |(pattern, _)| glob::matches(pattern, channel, false));
        fitting.map(|(pattern, topic)| (pattern, topic.values().copied()))
    }

    /// The topics of a space whose names fit a pattern, or all.
    pub fn topics(&self, space: Space, pattern: Option<&[u8]>) -> Vec<Name> {
        let names = self.topics[space as usize].keys();
        names.filter(|name| pattern.is_none_or(|pattern| glob::matches(pattern, name, false))).cloned().collect()
    }

    /// How many topics a space has.
    pub fn len(&self, space: Space) -> usize {
        self.topics[space as usize].len()
    }

    /// Whether nobody listens to anything.
    pub fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    /// How many listen to a topic.
    pub fn listeners(&self, space: Space, name: &[u8]) -> usize {
        self.topics[space as usize].get(name).map_or(0, BTreeMap::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use std::collections::BTreeSet;

    #[test]
    fn who_came_first_hears_first_and_nothing_stays_of_who_left() {
        let mut pubsub = PubSub::default();
        for who in [3, 1, 2] {
            assert!(pubsub.subscribe(Space::Channel, b"news", who));
            assert!(!pubsub.subscribe(Space::Channel, b"news", who));
        }
        assert_eq!(pubsub.receivers(Space::Channel, b"news").collect::<Vec<_>>(), [3, 1, 2]);
        assert!(pubsub.unsubscribe(Space::Channel, b"news", 1));
        assert!(!pubsub.unsubscribe(Space::Channel, b"news", 1));
        assert_eq!(pubsub.receivers(Space::Channel, b"news").collect::<Vec<_>>(), [3, 2]);
        pubsub.subscribe(Space::Pattern, b"n*", 3);
        pubsub.forget(3);
        pubsub.forget(2);
        assert_eq!(SPACES.map(|space| pubsub.len(space)), [0; 3]);
        assert_eq!(pubsub.subscribers(), 0);
    }

    #[test]
    fn the_three_spaces_do_not_mix() {
        let mut pubsub = PubSub::default();
        for (who, space) in SPACES.into_iter().enumerate() {
            pubsub.subscribe(space, b"a", who);
        }
        assert_eq!(pubsub.receivers(Space::Channel, b"a").collect::<Vec<_>>(), [0]);
        assert_eq!(pubsub.receivers(Space::Shard, b"a").collect::<Vec<_>>(), [2]);
        let matching: Vec<_> = pubsub.matching(b"a").flat_map(|(_, subscribers)| subscribers).collect();
        assert_eq!(matching, [1]);
    }

    /// The same as a plain list of (space, name, subscriber) would tell.
    #[test]
    fn as_a_plain_list_of_subscriptions() {
        let (mut pubsub, mut list) = (PubSub::default(), Vec::<(usize, Vec<u8>, u64)>::new());
        let mut rng = Rng::new(7);
        for _ in 0..20_000 {
            let (space, who) = (rng.below(3) as usize, rng.below(8));
            let name = vec![b'a' + rng.below(6) as u8];
            let one = (space, name.clone(), who);
            match rng.below(20) {
                0 => {
                    pubsub.forget(who);
                    list.retain(|(_, _, other)| *other != who);
                }
                1..10 => {
                    let is_new = !list.contains(&one);
                    assert_eq!(pubsub.subscribe(SPACES[space], &name, who), is_new);
                    if is_new {
                        list.push(one);
                    }
                }
                _ => {
                    assert_eq!(pubsub.unsubscribe(SPACES[space], &name, who), list.contains(&one));
                    list.retain(|other| *other != one);
                }
            }
            let receivers: Vec<u64> = pubsub.receivers(SPACES[space], &name).collect();
            let wanted = list.iter().filter(|(in_space, named, _)| *in_space == space && *named == name);
            assert_eq!(receivers, wanted.map(|(_, _, who)| *who).collect::<Vec<_>>());
            assert_eq!(pubsub.listeners(SPACES[space], &name), receivers.len());
            let own: Vec<Vec<u8>> = pubsub.subscriptions(SPACES[space], who).iter().map(|name| name.to_vec()).collect();
            let wanted = list.iter().filter(|(in_space, _, other)| *in_space == space && *other == who);
            assert_eq!(own, wanted.map(|(_, name, _)| name.clone()).collect::<Vec<_>>());
            assert_eq!(pubsub.count(SPACES[space], who), own.len());
            let names = list.iter().filter(|(in_space, ..)| *in_space == space).map(|(_, name, _)| name.clone());
            assert_eq!(pubsub.len(SPACES[space]), names.collect::<BTreeSet<_>>().len());
            assert_eq!(pubsub.is_subscriber(who), list.iter().any(|(_, _, other)| *other == who));
        }
    }
}
