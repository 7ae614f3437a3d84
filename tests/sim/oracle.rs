//! What must be true of every history, known from outside: the bytes each master has ever appended, and the data that
//! they make.
//!
//! A history is a name, the place at which it left its parent, and its bytes from there on. Whoever claims to be in a
//! history at an offset must hold its bytes, and the same data as everybody else who was ever there.

use std::collections::BTreeMap;
use understudy::commands::digest::dataset_digest;
use understudy::replication::master::ReplicaStage;
use understudy::server::Server;

struct History {
    /// The history that this one left, where it begins.
    parent: Option<String>,
    base: u64,
    bytes: Vec<u8>,
    /// Places of which the bytes are not known: a master with a small backlog may append and forget in one turn.
    gaps: Vec<std::ops::Range<u64>>,
}

/// All histories of a run.
#[derive(Default)]
pub struct Oracle {
    histories: BTreeMap<String, History>,
    digests: BTreeMap<(String, u64), (String, usize)>,
}

/// What was last seen of a server: its history and how far it was.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    replid: String,
    end: u64,
    was_master: bool,
}

impl Oracle {
    /// Looks at a server after its turn.
    pub fn observe(&mut self, server: &Server, seen: &mut Seen) -> Result<(), String> {
        // Who has just been told to follow another may have written in the same turn before.
        let wrote = seen.was_master && seen.replid == server.repl.replid;
        // A bridge is the master of its own history, whomever it follows.
        seen.was_master = server.repl.writes_stream();
        let log = &server.repl.log;
        if server.repl.mistrust.count > 0 {
            return Err("the sums of a stream were said to differ".into());
        }
        if !log.is_active() || !server.repl.data_is_known {
            return Ok(());
        }
        check_replicas_needs(server)?;
        let (replid, end) = (&server.repl.replid, log.end());
        if seen.replid == *replid && seen.end == end {
            return Ok(());
        }
        let known_from = if seen.replid == *replid { seen.end } else { log.first() };
        if !server.repl.writes_stream() && !wrote {
            self.check_bytes(server, known_from.clamp(log.first(), end), end)?;
        } else {
            if seen.replid == *replid && end < seen.end {
                return Err(format!("a master went back from {} to {end} in its own history", seen.end));
            }
            self.note_masters_bytes(server)?;
        }
        (seen.replid, seen.end) = (replid.clone(), end);
        Ok(())
    }

    fn note_masters_bytes(&mut self, server: &Server) -> Result<(), String> {
        let (repl, log) = (&server.repl, &server.repl.log);
        if !self.histories.contains_key(&repl.replid) {
            let vouched = u64::try_from(repl.second_offset - 1).ok().filter(|_| repl.second_offset > 0);
            let base = vouched.unwrap_or(log.first());
            let parent = vouched.map(|_| repl.replid2.clone());
            if let Some(parent) = &parent {
                let known =
                    self.end_of(parent).ok_or_else(|| format!("{parent} is a history that nobody ever made"))?;
                if base > known {
                    return Err(format!("a master vouches for {parent} up to {base}, but it went to {known} only"));
                }
            }
            self.histories.insert(repl.replid.clone(), History { parent, base, bytes: Vec::new(), gaps: Vec::new() });
        }
        let Some(history) = self.histories.get_mut(&repl.replid) else { return Ok(()) };
        let known = history.base + history.bytes.len() as u64;
        if log.first() > known {
            history.gaps.push(known..log.first());
            history.bytes.resize((log.first() - history.base) as usize, 0);
        }
        let known = known.max(log.first());
        if log.end() < known {
            return Err(format!(
                "it is at {} of {}, its own, which another has taken to {known}",
                log.end(),
                repl.replid
            ));
        }
        history.bytes.extend(read_log(server, known, log.end()));
        Ok(())
    }

    fn end_of(&self, replid: &str) -> Option<u64> {
        self.histories.get(replid).map(|history| history.base + history.bytes.len() as u64)
    }

    /// The byte at a position of a history, in whichever of its ancestors it is.
    fn check_bytes(&self, server: &Server, from: u64, to: u64) -> Result<(), String> {
        let held = read_log(server, from, to);
        let (mut replid, mut to) = (server.repl.replid.as_str(), to);
        let whole = self.end_of(replid).ok_or_else(|| format!("it is in {replid}, a history that nobody ever made"))?;
        if to > whole {
            return Err(format!("it is at {to} of {replid}, which goes to {whole} only"));
        }
        while to > from {
            let history = &self.histories[replid];
            let start = history.base.max(from);
            if start < to {
                let true_bytes = &history.bytes[(start - history.base) as usize..(to - history.base) as usize];
                let held_bytes = &held[(start - from) as usize..(to - from) as usize];
                let differs = true_bytes.iter().zip(held_bytes).enumerate().find(|(at, (a, b))| {
                    let place = start + *at as u64;
                    a != b && !history.gaps.iter().any(|gap| gap.contains(&place))
                });
                if let Some((at, _)) = differs {
                    return Err(format!("its bytes are not those of {replid} from {} on", start + at as u64));
                }
                to = start;
            }
            match &history.parent {
                Some(parent) if to > from => replid = parent,
                _ if to > from => return Err(format!("it holds bytes before {to}, where {replid} begins")),
                _ => {}
            }
        }
        Ok(())
    }

    /// The ancestor in which the data at this offset arose: all descendants that left it later share it.
    fn origin<'a>(&'a self, mut replid: &'a str, offset: u64) -> &'a str {
        while let Some(History { parent: Some(parent), base, .. }) = self.histories.get(replid)
            && offset <= *base
        {
            replid = parent;
        }
        replid
    }

    /// Compares a server's data with what anybody had at the same offset of the same history.
    pub fn check_data(&mut self, server: &Server, node: usize) -> Result<(), String> {
        let repl = &server.repl;
        if !repl.data_is_known || server.loading.is_some() || !repl.log.is_active() || !server.keys.expired.is_empty() {
            return Ok(());
        }
        let digest: String = dataset_digest(&server.keys).iter().map(|byte| format!("{byte:02x}")).collect();
        // Where it is in its own history, and where a bridge is in its master's.
        let mut places = vec![(repl.replid.clone(), repl.log.end())];
        if let Some(upstream) = &repl.bridge.upstream {
            let whole = self.end_of(&upstream.replid).ok_or("a bridge is in a history that nobody ever made")?;
            if upstream.offset > whole {
                return Err(format!(
                    "a bridge is at {} of {}, which goes to {whole} only",
                    upstream.offset, upstream.replid
                ));
            }
            places.push((upstream.replid.clone(), upstream.offset));
        }
        for (replid, offset) in places {
            let place = (self.origin(&replid, offset).to_string(), offset);
            let (known, who) = self.digests.entry(place).or_insert_with(|| (digest.clone(), node));
            if *known != digest {
                return Err(format!(
                    "at offset {offset} of {replid} its data differs from what node {who} had there ({digest}, {known})"
                ));
            }
        }
        Ok(())
    }
}

/// The log holds what each replica still lacks: one that lacks more would get nothing until it gives its master up.
fn check_replicas_needs(server: &Server) -> Result<(), String> {
    let first = server.repl.log.first();
    let alive = server.repl.attached.iter().filter_map(|id| server.clients.get(*id)).filter(|client| !client.closing);
    let mut replicas = alive.filter_map(|client| client.replica.as_deref());
    match replicas.find(|replica| replica.stage != ReplicaStage::WaitBgsaveStart && replica.position < first) {
        Some(replica) => Err(format!("a replica is to go on from {}, and the log begins at {first}", replica.position)),
        None => Ok(()),
    }
}

fn read_log(server: &Server, from: u64, to: u64) -> Vec<u8> {
    let (log, mut bytes) = (&server.repl.log, Vec::new());
    while from + (bytes.len() as u64) < to {
        let before = bytes.len();
        for slice in log.slices(from + bytes.len() as u64, 16) {
            bytes.extend_from_slice(&slice);
        }
        assert!(bytes.len() > before, "the log does not hold what it says it holds");
    }
    bytes.truncate((to - from) as usize);
    bytes
}
