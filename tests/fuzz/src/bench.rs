//! A place to run data commands without a server.

use understudy::base::rng::Rng;
use understudy::commands::ctx::Limits;
use understudy::commands::digest::value_digest;
use understudy::commands::effects::Effects;
use understudy::commands::{Ctx, Session, all_rows};
use understudy::keyspace::{ExpirePolicy, Keyspace};
use understudy::resp::reply::Reply;
use understudy::resp::request::OwnedArgv;
use understudy::types::{Value, ValueRef};

/// The key that everything is about.
pub const KEY: &str = "k";

pub struct Bench {
    pub keys: Keyspace,
    session: Session,
    effects: Effects,
    limits: Limits,
    resp3: bool,
}

impl Bench {
    /// With the value at `KEY`, and nothing else.
    pub fn new(value: Value) -> Bench {
        let mut keys = Keyspace::new(1, Rng::new(7));
        keys.set_time(1_700_000_000_000);
        // Fields whose time has come would go as soon as they are looked at.
        keys.expire_policy = ExpirePolicy::Ignore;
        keys.insert(KEY.as_bytes(), value, None);
        let limits = Limits {
            skip_checksums: false,
            string_len_max: 1 << 20,
            lazy_user_flush: false,
            compress_dumps: true,
            hll_sparse_bytes_max: 3000,
        };
        Bench { keys, session: Session::default(), effects: Effects::default(), limits, resp3: false }
    }

    /// Runs commands, one a line, in both protocols in turn.
    pub fn run(&mut self, lines: &str) {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            self.command(&args);
            self.resp3 = !self.resp3;
        }
    }

    /// Runs one command and returns its reply.
    pub fn command(&mut self, args: &[&[u8]]) -> Vec<u8> {
        let named = |name: &str, arg: &[u8]| name.as_bytes().eq_ignore_ascii_case(arg);
        let row = all_rows().iter().copied().flatten().find(|row| named(row.name, args[0]));
        let row = row.unwrap_or_else(|| panic!("no command {}", args[0].escape_ascii()));
        let subcommand = args.get(1).and_then(|arg| row.subcommands.iter().find(|row| named(row.name, arg)));
        let run = subcommand.unwrap_or(row).run.expect("a row that can be run");
        let argv = OwnedArgv::new(args.iter().copied());
        let mut reply = Reply::new(self.resp3);
        self.effects.clear();
        let now = self.keys.now;
        let mut ctx = Ctx {
            keys: &mut self.keys,
            caller: &mut self.session,
            reply: &mut reply,
            effects: &mut self.effects,
            limits: &self.limits,
            now,
        };
        if let Err(error) = run(&mut ctx, argv.argv()) {
            reply.error(&error.0);
        }
        reply.out
    }

    /// What DEBUG DIGEST-VALUE says of the key; none if it is gone.
    pub fn digest(&mut self) -> Option<String> {
        self.keys.peek(KEY.as_bytes()).map(|entry| format!("{:?}", value_digest(entry)))
    }

    /// Whether a sorted set has a score of -0, which a listpack forgets, here as in stock.
    pub fn has_negative_zero(&mut self) -> bool {
        match self.keys.peek(KEY.as_bytes()).map(|entry| entry.value()) {
            Some(ValueRef::ZSet(zset)) => zset.iter().any(|(_, score)| score == 0.0 && score.is_sign_negative()),
            _ => false,
        }
    }
}
