//! What the next commands of a pipeline need, found or asked for before the first of them runs: the rows of the command
//! table, and the cache lines of their keys and of the members of big collections, so that the misses overlap.

use super::Server;
use super::client::ClientId;
use crate::base::bytes;
use crate::base::hash::hash;
use crate::keyspace::db::{FAR, PREFETCHED};
use crate::resp::request::Batch;
use crate::types::ValueRef;

/// So many commands are looked at together.
pub(super) const AHEAD: usize = PREFETCHED;
const NO_COMMAND: u16 = u16::MAX;

/// The numbers of the commands that are looked at.
pub(super) type Known = [u16; AHEAD];
/// Before anything was looked at.
pub(super) const NOTHING_KNOWN: Known = [NO_COMMAND; AHEAD];

/// The number of the command at this place of the pipeline, if there is such a command.
#[inline]
pub(super) fn command(known: &Known, index: usize) -> Option<usize> {
    let number = known[index % AHEAD];
    (number != NO_COMMAND).then_some(usize::from(number))
}

impl Server {
    /// Looks at the commands of a batch from `from` on.
    #[inline]
    pub(super) fn look_ahead(&self, id: ClientId, batch: &Batch, from: usize, known: &mut Known) {
        let to = batch.len().min(from + AHEAD);
        let are_many = to - from > 1;
        let db = self.clients.get(id).map_or(0, |client| client.session.db);
        let mut keys = self.keys.db(db).prefetch();
        // A pipeline often says the same command many times, and often of the same key.
        let (mut last_name, mut last_key): (Option<&[u8]>, Option<&[u8]>) = (None, None);
        let (mut number, mut first_key, mut names_members) = (NO_COMMAND, 0, false);
        for index in from..to {
            let argv = batch.argv(index);
            let name = argv.at(0);
            if last_name.is_none_or(|last| !bytes::equal(last, name)) {
                let found = self.table.lookup(argv);
                number = found.map_or(NO_COMMAND, |command| command as u16);
                last_name = found.filter(|command| self.table.is_whole(*command)).map(|_| name);
                first_key = found.map_or(0, |command| self.table.commands[command].first_key);
                names_members |= found.is_some_and(|command| self.table.commands[command].first_member > 0);
            }
            known[index % AHEAD] = number;
            if are_many && first_key > 0 && first_key < argv.len() {
                let key = argv.at(first_key);
                if last_key.replace(key).is_none_or(|last| !bytes::equal(last, key)) {
                    keys.add(key);
                }
            }
        }
        if are_many {
            keys.fetch_entries();
            if names_members {
                self.prefetch_members(db, batch, from..to, known);
            }
        }
    }

    /// Where a command of the batch names a member that it looks for.
    #[inline]
    fn member_of<'a>(&self, batch: &'a Batch, index: usize, known: &Known) -> Option<(&'a [u8], &'a [u8])> {
        let argv = batch.argv(index);
        let member = command(known, index).map_or(0, |command| self.table.commands[command].first_member);
        (member > 0 && member < argv.len()).then(|| (argv.at(1), argv.at(member)))
    }

    /// The big collection at a key, if there is one.
    #[inline]
    fn big_collection(&self, db: usize, key: &[u8]) -> Option<ValueRef<'_>> {
        self.keys.db(db).get(key).map(|entry| entry.value()).filter(|value| value.hashed_members() >= FAR)
    }

    /// Where the first command that names a member is about a big collection, the others are taken to be, too.
    fn prefetch_members(&self, db: usize, batch: &Batch, mut part: std::ops::Range<usize>, known: &Known) {
        // Like commands name members alike, or none.
        let is_new = |index: &usize| *index == part.start || known[*index % AHEAD] != known[(*index - 1) % AHEAD];
        let first = part.clone().filter(is_new).find_map(|index| Some((index, self.member_of(batch, index, known)?)));
        if let Some((index, (key, _))) = first
            && let Some(value) = self.big_collection(db, key)
        {
            part.start = index;
            self.prefetch_members_from(db, batch, part, known, (key, value));
        }
    }

    #[inline(never)]
    fn prefetch_members_from<'a>(
        &'a self,
        db: usize,
        batch: &'a Batch,
        part: std::ops::Range<usize>,
        known: &Known,
        first: (&'a [u8], ValueRef<'a>),
    ) {
        let mut sought: [Option<(ValueRef<'_>, u64)>; AHEAD] = [None; AHEAD];
        let (mut count, mut last_key, mut last_value) = (0, first.0, Some(first.1));
        for index in part {
            let Some((key, member)) = self.member_of(batch, index, known) else { continue };
            if key != last_key {
                (last_key, last_value) = (key, self.big_collection(db, key));
            }
            if let Some(value) = last_value {
                let hash = hash(member);
                value.prefetch_bucket(hash);
                sought[count] = Some((value, hash));
                count += 1;
            }
        }
        for (value, hash) in sought[..count].iter().flatten() {
            value.prefetch_entry(*hash);
        }
    }
}
