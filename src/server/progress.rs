//! How far snapshots on their way are: the one that our child writes, the ones that we send, the one that comes in or
//! is loaded (= what redis.c's child info pipe, and the sync and loading fields of INFO, are for).
//!
//! The child tells through its pipe, in records of three numbers of 8 bytes, little-endian:
//!
//! ```text
//! keys written │ bytes written │ bytes of memory that it had to copy (in the last record; 0 before)
//! ```
//!
//! Cron notes the rest ten times a second, and nothing where nothing is on its way.

use super::Server;
use super::client::ClientId;
use super::loading::LoadJob;
use crate::persist::snapshot::SnapshotSummary;
use crate::replication::master::{Replica, ReplicaStage};
use crate::replication::progress::{Done, Progress, Rate};

/// The length of a record.
const RECORD: usize = 24;

/// What a child tells of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChildReport {
    /// Keys and bytes that it has written.
    pub done: Done,
    /// Memory that it had to copy, in bytes.
    pub copied: u64,
}

impl ChildReport {
    /// The record for `done`.
    pub fn encode(done: SnapshotSummary, copied: u64) -> [u8; RECORD] {
        let mut record = [0; RECORD];
        for (place, number) in record.chunks_exact_mut(8).zip([done.keys, done.bytes, copied]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        record
    }

    /// Takes whole records from the front of `told`; the last one counts.
    pub fn take(told: &mut Vec<u8>) -> Option<ChildReport> {
        let whole = told.len() / RECORD * RECORD;
        let record: &[u8; RECORD] = told[..whole].last_chunk()?;
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| record[at * 8 + byte]));
        let report = ChildReport { done: Done { keys: number(0), bytes: number(1) }, copied: number(2) };
        told.drain(..whole);
        Some(report)
    }
}

/// What may be on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A snapshot that our child, begun at this time, writes.
    FromChild(i64),
    /// A snapshot from our master.
    FromMaster,
    /// A load, begun at this time.
    Load(i64),
    /// A snapshot to a replica.
    ToReplica(ClientId),
}

/// The marks of whatever is on its way.
#[derive(Debug, Default)]
pub struct ProgressMarks(Vec<(Way, Progress)>);

impl ProgressMarks {
    fn note(&mut self, now_ms: u64, under_way: Vec<(Way, Done)>) {
        self.0.retain(|(way, _)| under_way.iter().any(|(other, _)| way == other));
        for (way, done) in under_way {
            match self.0.iter_mut().find(|(other, _)| *other == way) {
                Some((_, progress)) => progress.note(now_ms, done),
                None => self.0.push((way, Progress::begin(now_ms, done))),
            }
        }
    }

    fn rate(&self, way: Way, now_ms: u64, done: Done) -> Rate {
        let found = self.0.iter().find(|(other, _)| *other == way);
        found.map_or(Rate::default(), |(_, progress)| progress.rate(now_ms, done))
    }
}

/// How far something is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct State {
    /// What is done.
    pub done: Done,
    /// Of how much; 0: that is not known.
    pub total: Done,
    /// How fast it goes.
    pub rate: Rate,
}

impl State {
    /// Seconds until it is done; −1: nobody knows.
    pub fn seconds_left(&self) -> i64 {
        self.rate.seconds_left(self.done, self.total)
    }
}

impl Server {
    fn state(&self, way: Way, (done, total): (Done, Done)) -> State {
        State { done, total, rate: self.progress.rate(way, self.clock.monotonic_us() / 1000, done) }
    }

    /// The snapshot that comes in from our master, until all of it is here.
    pub fn transfer_state(&self) -> Option<State> {
        Some(self.state(Way::FromMaster, self.repl.link.transfer_progress()?))
    }

    /// The load that goes on.
    pub fn load_state(&self) -> Option<State> {
        let job = self.load_job()?;
        Some(self.state(Way::Load(job.started_ms), job.progress()))
    }

    /// The load that goes on, from a file or straight from our master.
    pub fn load_job(&self) -> Option<&LoadJob> {
        self.loading.as_deref().or_else(|| self.repl.link.load_beside())
    }

    /// The snapshot that our child writes.
    pub fn child_state(&self) -> Option<State> {
        let child = self.snapshot.child.as_ref()?;
        let total = Done { bytes: 0, keys: child.keys_total };
        Some(self.state(Way::FromChild(child.started_ms), (child.report.done, total)))
    }

    /// What a replica has been sent of a snapshot: its stage in a word, and how far it is where that can be told.
    pub fn sync_state(&self, id: ClientId, replica: &Replica) -> Option<(&'static str, Option<State>)> {
        match replica.stage {
            ReplicaStage::WaitBgsaveStart => Some(("wait", None)),
            ReplicaStage::Online if replica.online_on_ack => Some(("load", None)),
            ReplicaStage::Online => None,
            ReplicaStage::WaitBgsaveEnd if self.snapshot.pipe.is_none() => Some(("snapshot", self.child_state())),
            ReplicaStage::WaitBgsaveEnd | ReplicaStage::SendBulk => {
                let state = self.state(Way::ToReplica(id), self.sent_of_snapshot(replica)?);
                let word = if replica.stage == ReplicaStage::SendBulk { "send" } else { "stream" };
                Some((word, Some(state)))
            }
        }
    }

    /// Bytes that a replica has been sent; where they come from the child at once, its keys.
    fn sent_of_snapshot(&self, replica: &Replica) -> Option<(Done, Done)> {
        match (&replica.bulk, replica.stage, &self.snapshot.pipe, &self.snapshot.child) {
            (Some(bulk), ReplicaStage::SendBulk, ..) => {
                let sent = bulk.read.saturating_sub((bulk.pending.len() - bulk.sent) as u64);
                Some((Done { bytes: sent, keys: 0 }, Done { bytes: bulk.size, keys: 0 }))
            }
            (_, ReplicaStage::WaitBgsaveEnd, Some(pipe), Some(child)) => {
                let lacks = pipe.chunk.len().saturating_sub(replica.pipe_sent);
                let sent = pipe.passed.saturating_sub(lacks as u64);
                Some((Done { bytes: sent, keys: child.report.done.keys }, Done { bytes: 0, keys: child.keys_total }))
            }
            _ => None,
        }
    }

    /// Takes note of how far everything is.
    pub(super) fn note_progress(&mut self) {
        let child = self.snapshot.child.as_ref();
        let child = child.map(|child| (Way::FromChild(child.started_ms), child.report.done));
        let transfer = self.repl.link.transfer_progress().map(|(done, _)| (Way::FromMaster, done));
        let load = self.load_job().map(|job| (Way::Load(job.started_ms), job.progress().0));
        let sent = |id: &ClientId| Some((Way::ToReplica(*id), self.sent_of_snapshot(self.replica_of(*id)?)?.0));
        let sent = self.repl.attached.iter().filter_map(sent);
        let under_way = child.into_iter().chain(transfer).chain(load).chain(sent).collect();
        self.progress.note(self.clock.monotonic_us() / 1000, under_way);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_record_counts_wherever_they_are_cut() {
        let summary = |keys: u64| SnapshotSummary { keys, bytes: keys << 40 };
        let bytes = [ChildReport::encode(summary(3), 0), ChildReport::encode(summary(7), u64::MAX)].concat();
        for cut in 0..=bytes.len() {
            let mut told = bytes[..cut].to_vec();
            let keys = ChildReport::take(&mut told).map(|report| report.done.keys);
            assert_eq!(keys, [None, Some(3), Some(7)][cut / RECORD], "{cut}");
            told.extend_from_slice(&bytes[cut..]);
            let rest = ChildReport::take(&mut told);
            let last = ChildReport { done: Done { keys: 7, bytes: 7 << 40 }, copied: u64::MAX };
            assert_eq!(rest, (cut < bytes.len()).then_some(last));
            assert!(told.is_empty());
        }
    }

    #[test]
    fn what_is_not_on_its_way_any_more_is_forgotten() {
        let mut marks = ProgressMarks::default();
        let done = |bytes| Done { bytes, keys: 0 };
        marks.note(0, vec![(Way::FromMaster, done(0)), (Way::Load(1), done(0))]);
        marks.note(1000, vec![(Way::FromMaster, done(500))]);
        assert_eq!(marks.rate(Way::FromMaster, 2000, done(1000)).bytes, 500.0);
        assert_eq!(marks.rate(Way::Load(1), 2000, done(1000)), Rate::default());
        // The next attempt begins anew.
        marks.note(3000, vec![(Way::FromMaster, done(10))]);
        assert_eq!(marks.rate(Way::FromMaster, 4000, done(110)).bytes, 100.0);
        marks.note(5000, Vec::new());
        assert!(marks.0.is_empty());
    }
}
