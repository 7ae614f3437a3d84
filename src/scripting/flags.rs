//! What a script declares about itself, and the state of the run that goes on (= script.h, scriptRunCtx).

use crate::resp::reply::Reply;
use crate::resp::request::OwnedArgv;

/// What a script declares in its first line, `#!lua flags=…`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// It writes nothing.
    pub const NO_WRITES: Flags = Flags(1 << 0);
    /// It may run while memory is short.
    pub const ALLOW_OOM: Flags = Flags(1 << 1);
    /// It may run on a replica whose data is stale.
    pub const ALLOW_STALE: Flags = Flags(1 << 2);
    /// It does not run in a cluster.
    pub const NO_CLUSTER: Flags = Flags(1 << 3);
    /// It may touch keys of several slots.
    pub const ALLOW_CROSS_SLOT_KEYS: Flags = Flags(1 << 4);
    /// It has no such line, so its commands are looked at one by one.
    pub const COMPATIBLE: Flags = Flags(1 << 5);

    /// The names that scripts use.
    pub const NAMES: [(&'static str, Flags); 5] = [
        ("no-writes", Flags::NO_WRITES),
        ("allow-oom", Flags::ALLOW_OOM),
        ("allow-stale", Flags::ALLOW_STALE),
        ("no-cluster", Flags::NO_CLUSTER),
        ("allow-cross-slot-keys", Flags::ALLOW_CROSS_SLOT_KEYS),
    ];

    /// Whether all of these are declared.
    pub fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// With these as well.
    pub fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// The flag of this name.
    pub fn by_name(name: &[u8]) -> Option<Flags> {
        Flags::NAMES.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, flag)| *flag)
    }
}

/// Splits a script into its flags and its text. The line break of the first line stays, so that lines keep their
/// numbers.
pub fn parse_shebang(body: &[u8]) -> Result<(Flags, &[u8]), Vec<u8>> {
    if !body.starts_with(b"#!") {
        return Ok((Flags::COMPATIBLE, body));
    }
    let end = memchr::memchr(b'\n', body).ok_or_else(|| b"Invalid script shebang".to_vec())?;
    let line = &body[..end];
    let mut parts = line.split(|byte| byte.is_ascii_whitespace()).filter(|part| !part.is_empty());
    let engine = parts.next().unwrap_or_default();
    if engine != b"#!lua" {
        return Err([b"Unexpected engine in script shebang: ", engine].concat());
    }
    let mut flags = Flags::default();
    for part in parts {
        let list =
            part.strip_prefix(b"flags=").ok_or_else(|| [b"Unknown lua shebang option: ".as_slice(), part].concat())?;
        for name in list.split(|byte| *byte == b',').filter(|_| !list.is_empty()) {
            let flag = Flags::by_name(name)
                .ok_or_else(|| [b"Unexpected flag in script shebang: ".as_slice(), name].concat())?;
            flags = flags.with(flag);
        }
    }
    Ok((flags, &body[end..]))
}

/// The run that goes on. One is kept and used again.
#[derive(Debug, Default)]
pub struct Run {
    /// What the script declares.
    pub flags: Flags,
    /// It may write nothing, as its flags or its command (EVAL_RO) say.
    pub read_only: bool,
    /// It may use memory though memory is short.
    pub allow_oom: bool,
    /// It runs as a function of a library.
    pub is_function: bool,
    /// The name of the function, or the script's hash.
    pub name: Vec<u8>,
    /// When it began, in microseconds of the monotonic clock.
    pub started_us: u64,
    /// It has run for so long that clients are answered BUSY.
    pub timed_out: bool,
    /// Somebody wants it to end.
    pub killed: bool,
    /// It has written, so it cannot be killed any more.
    pub wrote: bool,
    /// The command that its caller runs it by, if it is a function: for FUNCTION STATS.
    pub command: OwnedArgv,
    /// The arguments of the command that it runs.
    pub args: OwnedArgv,
    /// What it writes travels to replicas.
    pub replicates: bool,
    /// The reply of that command.
    pub reply: Reply,
}

impl Run {
    /// Makes ready for the next script. Room for arguments and replies is kept.
    pub fn begin(&mut self, flags: Flags, name: &[u8], now_us: u64) {
        self.flags = flags;
        self.read_only = false;
        self.allow_oom = false;
        self.is_function = false;
        self.name.clear();
        self.name.extend_from_slice(name);
        self.started_us = now_us;
        (self.timed_out, self.killed, self.wrote) = (false, false, false);
        self.replicates = true;
        self.reply.resp3 = false;
        self.reply.out.clear();
    }
}
