//! The options of XADD and XTRIM: how far a stream is trimmed, and how that travels.
//!
//! Ancestor: `streamParseAddOrTrimArgsOrReply`. What `~` really took depends on the nodes, which another server may have
//! cut otherwise, so it travels as the exact bound that came of it.

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
}

fn error(text: &str) -> CommandError {
    CommandError::new(format!("ERR {text}"))
}

impl TrimArgs {
    /// Reads the options; those of XADD end with an ID.
    pub fn parse(ctx: &Ctx<'_>, argv: Argv<'_>, xadd: bool) -> Result<TrimArgs, CommandError> {
        let mut args =
            TrimArgs { to: None, approx: false, limit: 0, at: 0, end: argv.len(), id: NewId::Auto, no_mkstream: false };
        let (mut given_limit, mut at) = (None, 2);
        while let Some(word) = argv.get(at) {
            if xadd && c_string(word) == b"*" {
                args.end = at;
                break;
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

    /// Trims a stream; returns how many entries went.
    pub fn trim(&self, stream: &mut Stream) -> u64 {
        self.to.map_or(0, |to| stream.trim(to, self.approx, self.limit))
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
