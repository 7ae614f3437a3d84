//! The stream is checked: a replica of ours tells its master, if that is one of ours, the checksum of what it got.
//!
//! ```text
//! replica → master   REPLCONF stream-check <run id>          in the handshake; a stock master answers an error, and that is all
//! master → replica   +OK, or +MISMATCH <from> <to>           the last link ended because these bytes differed
//! replica → master   REPLCONF stream-sum <from> <to> <crc>   once a second where there is news; not answered
//! ```
//!
//! The sum is the CRC-64 of the bytes between two offsets of the history, as both ends have them in their logs; see
//! `replication::sums`. If they differ, so does the data: the master closes the link and refuses to continue with that
//! replica, the replica learns why when it comes back and drops its history, and a full sync makes them equal again.
//! What cannot be compared, since a master keeps sums for a while only, is passed over.
//!
//! Ancestor: none.

use super::{ClientId, Server};
use crate::commands::CommandError;
use crate::replication::sums::{GRID, between};
use crate::resp::reply::encode_command;
use crate::resp::request::Argv;
use std::collections::VecDeque;

/// Replicas that we remember to be wrong.
const MISTRUSTED_MAX: usize = 64;

/// What a replica knows of the check of its link.
#[derive(Debug, Default)]
pub struct LinkCheck {
    /// The master wants to be told sums.
    wanted: bool,
    /// The offset up to which it was told, and the running sum there.
    told: Option<(u64, u64)>,
    /// The master found that we have other bytes than it.
    mismatch: bool,
}

/// What is not trusted.
#[derive(Debug, Default)]
pub struct Mistrust {
    /// Replicas, by run id, that must not continue, and between which offsets they had other bytes.
    replicas: VecDeque<(String, u64, u64)>,
    /// Who has come as far as this offset or less has it from us when we had other bytes than our master.
    until: Option<u64>,
    /// How many mismatches there were.
    pub count: u64,
}

impl Mistrust {
    /// Whether a replica must not go on where it is.
    pub fn concerns(&self, run_id: Option<&str>, position: u64) -> bool {
        self.until.is_some_and(|until| position <= until)
            || self.replicas.iter().any(|(wrong, ..)| Some(wrong.as_str()) == run_id)
    }

    /// A replica gets all data anew.
    pub fn forgive(&mut self, run_id: Option<&str>) {
        self.replicas.retain(|(wrong, ..)| Some(wrong.as_str()) != run_id);
    }
}

impl Server {
    /// The master's reply to our offer to be checked.
    pub(super) fn note_check_reply(&mut self, line: &[u8]) {
        self.repl.link.check.wanted = line.starts_with(b"+");
        if let Some(range) = line.strip_prefix(b"+MISMATCH ") {
            let range = String::from_utf8_lossy(range).replace(' ', " to ");
            log::error!(
                "The stream that this replica has got differs from its master's between offsets {range}: its history \
                 {} is dropped at offset {}, and a full sync follows.",
                self.repl.master_replid(),
                self.repl.applied_offset()
            );
            self.repl.mistrust.count += 1;
            self.repl.link.check.mismatch = true;
            self.repl.link.forget_continuation();
        }
    }

    /// The stream begins to come at the end of the log.
    pub(super) fn begin_stream_check(&mut self) {
        let check = &mut self.repl.link.check;
        check.told = None;
        // A bridge has other bytes than its master, and is right so.
        if check.wanted && self.repl.bridge.upstream.is_none() {
            let log = &mut self.repl.log;
            check.told = log.begin_sums(log.end());
        }
    }

    /// A snapshot has put an end to what was before `offset`.
    pub(super) fn begin_trust(&mut self, offset: u64) {
        self.repl.stream_errors.forgive();
        let mismatch = std::mem::take(&mut self.repl.link.check.mismatch);
        self.repl.mistrust.until = mismatch.then_some(offset);
    }

    /// Tells the master the sum of what has come since the last time.
    pub(super) fn send_stream_sum(&mut self) {
        let Some(from) = self.repl.link.check.told else { return };
        let log = &mut self.repl.log;
        let mut end = log.end();
        if end <= from.0 {
            return;
        }
        if end - from.0 > 2 * GRID {
            // By the time the master hears of it, it may have nothing left but its marks.
            end -= end % GRID;
        }
        log.update_sums();
        let to = log.sum_at(end);
        self.repl.link.check.told = to;
        let (Some(to), Some(id)) = (to, self.repl.link.client) else { return };
        let Some(client) = self.clients.get_mut(id) else { return };
        let (sum, from, to) = (format!("{:016x}", between(from, to)), from.0.to_string(), to.0.to_string());
        let words = [b"REPLCONF".as_slice(), b"stream-sum", from.as_bytes(), to.as_bytes(), sum.as_bytes()];
        encode_command(&mut client.reply.out, words.into_iter());
        // The acknowledgement that goes with it has put the client on the list of those to write to.
    }

    /// A replica that is about to sync offers to be checked.
    pub(super) fn accept_stream_check(&mut self, id: ClientId, run_id: &[u8]) {
        let run_id = String::from_utf8_lossy(run_id).into_owned();
        let wrong = self.repl.mistrust.replicas.iter().find(|(wrong, ..)| *wrong == run_id);
        let range = wrong.map(|(_, from, to)| (*from, *to));
        let Some(client) = self.clients.get_mut(id) else { return };
        client.introduction.run_id = Some(run_id);
        match range {
            Some((from, to)) => client.reply.status(&format!("MISMATCH {from} {to}")),
            None => client.reply.ok(),
        }
    }

    /// `REPLCONF stream-sum <from> <to> <crc>` from a replica.
    pub(super) fn note_stream_sum(&mut self, id: ClientId, argv: Argv<'_>) -> Result<(), CommandError> {
        let number = |at: usize| crate::base::numbers::parse_u64(argv.at(at));
        let sum = std::str::from_utf8(argv.at(4)).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
        let (Some(from), Some(to), Some(theirs)) = (number(2), number(3), sum) else {
            return Err(crate::commands::error::SYNTAX);
        };
        let log = &mut self.repl.log;
        log.update_sums();
        let Some(client) = self.clients.get_mut(id) else { return Ok(()) };
        let Some(replica) = client.replica.as_mut().filter(|_| from <= to && !client.closing) else { return Ok(()) };
        let start = replica.checked.take().filter(|(offset, _)| *offset == from).or_else(|| log.sum_at(from));
        let (Some(start), Some(end)) = (start, log.sum_at(to)) else { return Ok(()) };
        if between(start, end) == theirs {
            replica.checked = Some(end);
            return Ok(());
        }
        let name = super::repl_master::replica_name(client);
        log::error!(
            "The stream that replica {name} has got differs from ours between offsets {from} and {to}: it is closed, \
             and must do a full sync."
        );
        let run_id = client.introduction.run_id.clone().unwrap_or_default();
        let mistrust = &mut self.repl.mistrust;
        mistrust.count += 1;
        mistrust.forgive(Some(&run_id));
        mistrust.replicas.push_back((run_id, from, to));
        if mistrust.replicas.len() > MISTRUSTED_MAX {
            mistrust.replicas.pop_front();
        }
        self.close_client(id);
        Ok(())
    }
}
