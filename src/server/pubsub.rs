//! Pub/Sub between clients: subscriptions and their confirmations, messages and their delivery (= pubsub.c).
//!
//! A message is encoded once; RESP3 differs from RESP2 in its first byte only.

use super::client::ClientId;
use super::table::Command;
use super::{Client, Server};
use crate::commands::CommandError;
use crate::config::NotifyFlags;
use crate::keyspace::Event;
use crate::pubsub::Space;
use crate::resp::reply::Reply;

/// What confirmations and messages of a space begin with.
struct Words {
    subscribe: &'static str,
    unsubscribe: &'static str,
    message: &'static str,
}

fn words(space: Space) -> Words {
    match space {
        Space::Channel => Words { subscribe: "subscribe", unsubscribe: "unsubscribe", message: "message" },
        Space::Pattern => Words { subscribe: "psubscribe", unsubscribe: "punsubscribe", message: "pmessage" },
        Space::Shard => Words { subscribe: "ssubscribe", unsubscribe: "sunsubscribe", message: "smessage" },
    }
}

/// What a client that speaks RESP2 may ask for while it listens.
const ALLOWED: [&str; 9] =
    ["ping", "subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe", "quit", "reset"];

/// A message, as RESP3 encodes it.
fn encode(kind: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut reply = Reply::new(true);
    reply.push(parts.len() + 1);
    reply.bulk(kind.as_bytes());
    parts.iter().for_each(|part| reply.bulk(part));
    reply.out
}

/// Appends what `encode` made in the version that a client speaks.
fn append(out: &mut Vec<u8>, encoded: &[u8], resp3: bool) {
    let start = out.len();
    out.extend_from_slice(encoded);
    if !resp3 {
        out[start] = b'*';
    }
}

impl Server {
    /// Refuses what a subscriber may not ask for: in RESP2, answers could not be told from messages.
    pub(super) fn may_run_subscribed(&self, id: ClientId, command: &Command) -> Result<(), CommandError> {
        let listens = |client: &Client| client.is_subscriber && !client.reply.resp3;
        if !self.clients.get(id).is_some_and(listens) || ALLOWED.contains(&command.name.as_str()) {
            return Ok(());
        }
        Err(CommandError::new(format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
             context",
            command.name
        )))
    }

    /// Subscribes a client and confirms it.
    pub fn subscribe(&mut self, id: ClientId, space: Space, name: &[u8]) {
        let Some(client) = self.clients.get_mut(id) else { return };
        client.is_subscriber = true;
        self.pubsub.subscribe(space, name, id);
        self.confirm(id, space, words(space).subscribe, Some(name));
    }

    /// Ends a client's subscription, if there is one, and confirms it.
    pub fn unsubscribe(&mut self, id: ClientId, space: Space, name: &[u8]) {
        self.pubsub.unsubscribe(space, name, id);
        if let Some(client) = self.clients.get_mut(id) {
            client.is_subscriber = self.pubsub.is_subscriber(id);
        }
        self.confirm(id, space, words(space).unsubscribe, Some(name));
    }

    /// Ends all subscriptions of a client in one space and confirms each. Where there are none, that is confirmed.
    pub fn unsubscribe_space(&mut self, id: ClientId, space: Space) {
        let names = self.pubsub.subscriptions(space, id);
        for name in &names {
            self.unsubscribe(id, space, name);
        }
        if names.is_empty() {
            self.confirm(id, space, words(space).unsubscribe, None);
        }
    }

    /// Ends all subscriptions of a client without a word.
    pub fn unsubscribe_all(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id).filter(|client| client.is_subscriber) {
            client.is_subscriber = false;
            self.pubsub.forget(id);
        }
    }

    fn confirm(&mut self, id: ClientId, space: Space, word: &str, name: Option<&[u8]>) {
        let count = match space {
            Space::Shard => self.pubsub.count(Space::Shard, id),
            _ => self.pubsub.count(Space::Channel, id) + self.pubsub.count(Space::Pattern, id),
        };
        let Some(client) = self.clients.get_mut(id) else { return };
        let mut text = Reply::new(client.reply.resp3);
        text.push(3);
        text.bulk(word.as_bytes());
        match name {
            Some(name) => text.bulk(name),
            None => text.null(),
        }
        text.len(count);
        // Who wants no replies hears of its subscriptions even so.
        let out = match client.muted_from {
            Some(_) if !client.is_master() => {
                self.has_aftermath = true;
                &mut self.own_messages
            }
            _ => &mut client.reply.out,
        };
        out.extend_from_slice(&text.out);
    }

    /// Sends a message to all who listen to a channel; returns to how many. `caller`: whose command runs.
    pub fn publish(&mut self, caller: Option<ClientId>, channel: &[u8], message: &[u8]) -> usize {
        if self.pubsub.is_empty() {
            return 0;
        }
        let mut count = self.deliver(caller, Space::Channel, channel, message);
        if self.pubsub.len(Space::Pattern) > 0 {
            let found = self.pubsub.matching(channel);
            let found: Vec<_> = found.map(|(pattern, who)| (pattern.clone(), who.collect::<Vec<_>>())).collect();
            for (pattern, receivers) in found {
                count += receivers.len();
                let encoded = encode(words(Space::Pattern).message, &[&pattern, channel, message]);
                receivers.into_iter().for_each(|id| self.push_message(caller, id, &encoded));
            }
        }
        count
    }

    /// Publishes what happened to keys, each event on the channel of its key and on the channel of its name.
    pub(super) fn notify_keyspace_events(&mut self, caller: Option<ClientId>) {
        let wanted = self.config.notify_keyspace_events;
        for Event { name, key, db } in self.keys.events.take() {
            if self.pubsub.is_empty() {
                return;
            }
            if wanted.has(NotifyFlags::KEYSPACE) {
                let channel = [format!("__keyspace@{db}__:").as_bytes(), &key].concat();
                self.publish(caller, &channel, name.as_bytes());
            }
            if wanted.has(NotifyFlags::KEYEVENT) {
                self.publish(caller, format!("__keyevent@{db}__:{name}").as_bytes(), &key);
            }
        }
    }

    /// Sends a message to all who listen to a shard channel; returns to how many.
    pub fn publish_shard(&mut self, caller: Option<ClientId>, channel: &[u8], message: &[u8]) -> usize {
        self.deliver(caller, Space::Shard, channel, message)
    }

    fn deliver(&mut self, caller: Option<ClientId>, space: Space, channel: &[u8], message: &[u8]) -> usize {
        let receivers: Vec<ClientId> = self.pubsub.receivers(space, channel).collect();
        if !receivers.is_empty() {
            let encoded = encode(words(space).message, &[channel, message]);
            receivers.iter().for_each(|&id| self.push_message(caller, id, &encoded));
        }
        receivers.len()
    }

    /// Appends a message to a client's output. The caller gets its own after the reply to its command.
    fn push_message(&mut self, caller: Option<ClientId>, id: ClientId, encoded: &[u8]) {
        self.push_with(caller, id, |out, resp3| append(out, encoded, resp3));
    }

    /// Appends to a client's output what is no reply. The client whose command runs gets it after its reply.
    pub(super) fn push_bytes(&mut self, caller: Option<ClientId>, id: ClientId, bytes: &[u8]) {
        self.push_with(caller, id, |out, _| out.extend_from_slice(bytes));
    }

    fn push_with(&mut self, caller: Option<ClientId>, id: ClientId, push: impl FnOnce(&mut Vec<u8>, bool)) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if client.closing || client.close_after_reply || client.is_master() {
            return;
        }
        if caller == Some(id) {
            self.has_aftermath = true;
            return push(&mut self.own_messages, client.reply.resp3);
        }
        if client.reply.out.capacity() == 0 {
            client.reply.out = self.spare_outputs.take(client.was_output_large);
        }
        push(&mut client.reply.out, client.reply.resp3);
        self.client_memory.note(id);
        self.after_commands(id);
    }

    /// Puts the messages to the caller aside while others are served.
    pub(super) fn take_own_messages(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.own_messages)
    }

    /// Takes them back.
    pub(super) fn put_back_own_messages(&mut self, messages: Vec<u8>) {
        self.own_messages = messages;
    }

    /// Gives the caller the messages to itself, now that its command is answered.
    pub(super) fn deliver_own_messages(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id) {
            client.reply.out.extend_from_slice(&self.own_messages);
        }
        self.own_messages.clear();
    }
}
