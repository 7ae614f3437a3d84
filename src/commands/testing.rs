//! A bench for commands: a key space, a session and effects of their own, and no server. Tests only.
//!
//! `Bench` runs a command from the rows it was given. It does not check the arity, does not propagate and does not
//! count time; it keeps what the command left behind for the test to look at.

use super::effects::Effects;
use super::{Ctx, DataFn, Row, Session};
use crate::base::rng::Rng;
use crate::config::NotifyFlags;
use crate::keyspace::{Event, Keyspace};
use crate::resp::reply::Reply;
use crate::resp::request::OwnedArgv;
use crate::types::ValueRef;

use super::ctx::Limits;

/// A place to run commands without a server.
pub struct Bench {
    /// The keys; tests may look and change as they like.
    pub keys: Keyspace,
    /// The caller. `session.db` is selected before each command.
    pub session: Session,
    /// What the last command left to do.
    pub effects: Effects,
    /// The limits that commands see.
    pub limits: Limits,
    /// The time that commands see, in milliseconds since 1970.
    pub now: i64,
    /// Whether replies are RESP3.
    pub resp3: bool,
    /// By how much the last command raised `keys.dirty`.
    pub dirty: u64,
    rows: Vec<&'static [Row<DataFn>]>,
}

impl Bench {
    /// Empty databases, and the commands of `rows`. Chance is seeded, all events are wanted.
    pub fn new(rows: &'static [Row<DataFn>]) -> Self {
        let mut keys = Keyspace::new(16, Rng::new(7));
        keys.events.wanted = u32::MAX;
        Bench {
            keys,
            session: Session::default(),
            effects: Effects::default(),
            limits: Limits {
                string_len_max: 512 * 1024 * 1024,
                lazy_user_flush: false,
                compress_dumps: true,
                skip_checksums: false,
                hll_sparse_bytes_max: 3000,
            },
            now: 1_700_000_000_000,
            resp3: false,
            dirty: 0,
            rows: vec![rows],
        }
    }

    /// The same with all commands.
    pub fn of_all() -> Self {
        Bench { rows: super::all_rows().to_vec(), ..Bench::new(&[]) }
    }

    /// The same, where nobody wants to hear of keys that are new and of reads that missed.
    pub fn of_changes(rows: &'static [Row<DataFn>]) -> Self {
        let mut bench = Bench::new(rows);
        bench.keys.events.wanted = NotifyFlags::ALL;
        bench
    }

    /// Runs a command and returns the reply as it goes over the wire; what is not UTF-8 in it is replaced.
    pub fn run(&mut self, args: &[&str]) -> String {
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        String::from_utf8_lossy(&self.run_bytes(&args)).into_owned()
    }

    /// `run` for arguments and replies of any bytes.
    pub fn run_bytes(&mut self, args: &[&[u8]]) -> Vec<u8> {
        let name = args[0].to_ascii_lowercase();
        let named = |row: &&Row<DataFn>| row.name.as_bytes() == name;
        let row = self.rows.iter().copied().flatten().find(named).unwrap_or_else(|| panic!("no row for {:?}", args[0]));
        let sub = args.get(1).map(|sub| sub.to_ascii_lowercase());
        let subcommand = row.subcommands.iter().find(|row| Some(row.name.as_bytes()) == sub.as_deref());
        let run = subcommand.unwrap_or(row).run.expect("a row that can be run");
        let owned = OwnedArgv::new(args.iter().copied());
        let mut reply = Reply::new(self.resp3);
        let before = self.keys.dirty;
        self.effects.clear();
        self.keys.events.take();
        self.keys.select(self.session.db);
        self.keys.now = self.now;
        let mut ctx = Ctx {
            keys: &mut self.keys,
            caller: &mut self.session,
            reply: &mut reply,
            effects: &mut self.effects,
            limits: &self.limits,
            now: self.now,
        };
        if let Err(error) = run(&mut ctx, owned.argv()) {
            reply.error(&error.0);
        }
        self.dirty = self.keys.dirty - before;
        reply.out
    }

    /// Runs a command given in one line of words and returns the reply with a space for each line break, none at the
    /// end: `*2 $1 a $1 b`. For what has no spaces in it.
    pub fn line(&mut self, command: &str) -> String {
        let args: Vec<&str> = command.split_ascii_whitespace().collect();
        self.run(&args).replace("\r\n", " ").trim_end().to_owned()
    }

    /// The commands that travel in place of the last one, as `line` shows replies; `None` if it travels as typed.
    pub fn propagated(&self) -> Option<String> {
        let (commands, _) = self.effects.replacement();
        let text = String::from_utf8_lossy(commands).replace("\r\n", " ").trim_end().to_owned();
        self.effects.is_replaced().then_some(text)
    }

    /// The events of the last command, each as `name key`.
    pub fn events(&mut self) -> Vec<String> {
        let show = |event: Event| format!("{} {}", event.name, String::from_utf8_lossy(&event.key));
        self.keys.events.take().into_iter().map(show).collect()
    }

    /// The encoding of the collection at a key, as OBJECT ENCODING tells it; "none" for no key or a string.
    pub fn encoding(&mut self, key: &str) -> &'static str {
        match self.keys.peek(key.as_bytes()).map(|entry| entry.value()) {
            Some(ValueRef::List(list)) => list.encoding(),
            Some(ValueRef::Set(set)) => set.encoding(),
            Some(ValueRef::Hash(hash)) => hash.encoding(),
            Some(ValueRef::Fading(fading)) => fading.encoding(),
            Some(ValueRef::ZSet(zset)) => zset.encoding(),
            _ => "none",
        }
    }
}
