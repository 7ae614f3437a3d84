//! The options of XADD and XTRIM: how far a stream is trimmed, and how that travels.
//!
//! Ancestor: `streamParseAddOrTrimArgsOrReply`. What `~` really took depends on the nodes, which another server may have
//! cut otherwise, so it travels as the exact bound that came of it.

use super::delete::{Acks, Refs, drop_references, is_acked, propagate_acks, propagate_ids};
use super::ids::{parse_new, parse_strict};
use crate::commands::ctx::{Ctx, integer, is_option};
use crate::commands::error::{self, CommandError, c_string};
use crate::resp::request::Argv;
use crate::types::Stream;
use crate::types::stream::{NewId, StreamId, Trim};

const LIMIT_MAX: u64 = 1_000_000;
/// The limit where nodes hold any number of entries.
const LIMIT_OF_ANY: u64 = 10_000;

/// What stood before the fields of XADD, or after the key of XTRIM.
pub struct TrimArgs {
    to: Option<Trim>,
    approx: bool,
    limit: u64,
    /// Where the bound stands.
    at: usize,
    /// Where the ID of XADD stands.
    pub end: usize,
    /// The ID of XADD.
    pub id: NewId,
    /// Whether XADD begins no stream.
    pub no_mkstream: bool,
    /// What is done about references to the entries that go, and where that was said.
    pub refs: Option<(Refs, usize)>,
}

/// What came of a trim.
#[derive(Default)]
pub struct Trimmed {
    /// How many entries went.
    pub count: u64,
    /// Those that went one by one, and references that went with entries.
    gone: Vec<StreamId>,
    acks: Acks,
}

fn error(text: &str) -> CommandError {
    CommandError::new(format!("ERR {text}"))
}

impl TrimArgs {
    /// Reads the options; those of XADD end with an ID.
    pub fn parse(ctx: &Ctx<'_>, argv: Argv<'_>, xadd: bool) -> Result<TrimArgs, CommandError> {
        let mut args = TrimArgs {
            to: None,
            approx: false,
            limit: 0,
            at: 0,
            end: argv.len(),
            id: NewId::Auto,
            no_mkstream: false,
            refs: None,
        };
        let (mut given_limit, mut at) = (None, 2);
        while let Some(word) = argv.get(at) {
            if xadd && c_string(word) == b"*" {
                args.end = at;
                break;
            }
            if let (Some(refs), None) = (Refs::of_word(word), args.refs) {
                args.refs = Some((refs, at));
                at += 1;
                continue;
            }
            match argv.get(at + 1) {
                Some(_) if is_option(word, "MAXLEN") || is_option(word, "MINID") => at = args.bound(argv, at)?,
                Some(value) if is_option(word, "LIMIT") => {
                    let limit = integer(value)?;
                    given_limit = Some(u64::try_from(limit).map_err(|_| error("The LIMIT argument must be >= 0."))?);
                    at += 1;
                }
                _ if xadd && is_option(word, "NOMKSTREAM") => args.no_mkstream = true,
                _ if xadd => {
                    args.id = parse_new(word)?;
                    args.end = at;
                    break;
                }
                _ => return Err(error::SYNTAX),
            }
            at += 1;
        }
        args.settle(ctx, given_limit, xadd)?;
        Ok(args)
    }

    /// Reads a bound that begins at `at`; returns where it ends.
    fn bound(&mut self, argv: Argv<'_>, mut at: usize) -> Result<usize, CommandError> {
        let by_len = is_option(argv.at(at), "MAXLEN");
        if self.to.is_some() {
            return Err(error("syntax error, MAXLEN and MINID options at the same time are not compatible"));
        }
        let mark = argv.get(at + 2).and_then(|_| argv.get(at + 1)).map(c_string);
        self.approx = mark == Some(b"~");
        if matches!(mark, Some(b"~" | b"=")) {
            at += 1;
        }
        at += 1;
        self.at = at;
        self.to = Some(match by_len {
            true => match u64::try_from(integer(argv.at(at))?) {
                Ok(most) => Trim::MaxLen(most),
                Err(_) => return Err(error("The MAXLEN argument must be >= 0.")),
            },
            false => Trim::MinId(parse_strict(argv.at(at), 0)?),
        });
        Ok(at)
    }

    /// What makes sense only together, and the limit that holds.
    fn settle(&mut self, ctx: &Ctx<'_>, given_limit: Option<u64>, xadd: bool) -> Result<(), CommandError> {
        if given_limit.is_some_and(|limit| limit > 0) && self.to.is_none() {
            return Err(error("syntax error, LIMIT cannot be used without specifying a trimming strategy"));
        }
        if !xadd && self.to.is_none() {
            return Err(error("syntax error, XTRIM must be called with a trimming strategy"));
        }
        // What our master has done is done as a whole.
        if ctx.caller.from_master {
            return Ok(());
        }
        match given_limit {
            Some(_) if !self.approx => {
                return Err(error("syntax error, LIMIT cannot be used without the special ~ option"));
            }
            Some(limit) => self.limit = limit,
            None if self.approx => {
                let limit = ctx.keys.limits.stream_node_max_entries.saturating_mul(100);
                self.limit = if limit == 0 { LIMIT_OF_ANY } else { limit.min(LIMIT_MAX) };
            }
            None => {}
        }
        Ok(())
    }

    /// Trims a stream. A master that trims one by one does not count that as deletion; we do, for that is how it travels.
    pub fn trim(&self, stream: &mut Stream, for_master: bool) -> Trimmed {
        let Some(to) = self.to else { return Trimmed::default() };
        match self.refs {
            Some((Refs::Delete, _)) => {
                let (end, most) = match to {
                    Trim::MaxLen(most) => (StreamId::MAX, stream.len().saturating_sub(most)),
                    Trim::MinId(least) => (least, u64::MAX),
                };
                let ids = stream.range(StreamId::MIN, end).map(|entry| entry.id);
                let mut ids: Vec<StreamId> = ids.take(usize::try_from(most).unwrap_or(usize::MAX)).collect();
                let count = stream.trim(to, self.approx, self.limit);
                ids.truncate(count as usize);
                Trimmed { count, gone: Vec::new(), acks: drop_references(stream, &ids) }
            }
            // Only whole nodes may go, and to find one that is acknowledged as a whole is not worth it.
            Some((Refs::Acked, _)) if self.approx => Trimmed::default(),
            Some((Refs::Acked, _)) => {
                let (end, most) = match to {
                    Trim::MaxLen(most) => (StreamId::MAX, stream.len().saturating_sub(most)),
                    Trim::MinId(least) => (least, u64::MAX),
                };
                let ids = stream.range(StreamId::MIN, end).map(|entry| entry.id);
                let acked = ids.filter(|&id| Trim::MinId(id) != to && is_acked(stream, id));
                let gone: Vec<StreamId> = acked.take(usize::try_from(most).unwrap_or(usize::MAX)).collect();
                let deleted_before = stream.max_deleted_id();
                let count = gone.iter().filter(|&&id| stream.delete(id)).count() as u64;
                if for_master {
                    stream.set_max_deleted_id(deleted_before);
                }
                Trimmed { count, gone, acks: Acks::new() }
            }
            _ => Trimmed { count: stream.trim(to, self.approx, self.limit), ..Trimmed::default() },
        }
    }

    /// Lets an XADD that says what becomes of references travel in words that any server understands.
    pub fn propagate_xadd(
        &self,
        ctx: &mut Ctx<'_>,
        argv: Argv<'_>,
        id: StreamId,
        trimmed: &Trimmed,
        threshold: Option<&[u8]>,
    ) {
        let text = id.text();
        let mut words: Vec<&[u8]> = argv.iter().collect();
        words[self.end] = text.bytes();
        self.rewrite(&mut words, threshold);
        match self.refs {
            Some((Refs::Acked, _)) => drop(words.drain(2..self.end)),
            Some((_, at)) => drop(words.remove(at)),
            None => {}
        }
        ctx.effects.propagate_as(&words);
        self.propagate_refs(ctx, argv.at(1), trimmed);
    }

    /// The same for XTRIM.
    pub fn propagate_xtrim(&self, ctx: &mut Ctx<'_>, argv: Argv<'_>, trimmed: &Trimmed, threshold: Option<&[u8]>) {
        if let Some((refs, at)) = self.refs
            && refs != Refs::Acked
        {
            let mut words: Vec<&[u8]> = argv.iter().collect();
            self.rewrite(&mut words, threshold);
            words.remove(at);
            ctx.effects.propagate_as(&words);
        }
        self.propagate_refs(ctx, argv.at(1), trimmed);
    }

    fn propagate_refs(&self, ctx: &mut Ctx<'_>, key: &[u8], trimmed: &Trimmed) {
        if !trimmed.gone.is_empty() {
            propagate_ids(ctx, b"XDEL", key, None, &trimmed.gone);
        }
        propagate_acks(ctx, key, &trimmed.acks);
    }

    /// The exact bound that a trim with `~` came to.
    pub fn exact(&self, stream: &Stream) -> Option<Vec<u8>> {
        match self.to.filter(|_| self.approx)? {
            Trim::MaxLen(_) => Some(stream.len().to_string().into_bytes()),
            // The first entry's ID, even if it was deleted since.
            Trim::MinId(_) => {
                let first = stream.nodes().next().map_or(StreamId::MAX, |(id, _)| id);
                Some(first.text().bytes().to_vec())
            }
        }
    }

    /// Puts the exact bound into the words that travel.
    pub fn rewrite<'w>(&self, words: &mut [&'w [u8]], threshold: Option<&'w [u8]>) {
        if let Some(threshold) = threshold {
            words[self.at - 1] = b"=";
            words[self.at] = threshold;
        }
    }
}
