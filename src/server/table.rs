//! The command table: all rows joined, found by name in one probe (= server.commands).

use super::histogram::Histogram;
use super::{ClientId, Server};
use crate::commands::command::{DataFn, KeySpec, Row};
use crate::commands::{self, CommandError};
use crate::resp::request::Argv;

/// What a house command does: it may touch the whole server.
pub type HouseFn = fn(&mut Server, ClientId, Argv<'_>) -> Result<(), CommandError>;

/// What to run.
#[derive(Clone, Copy)]
pub enum Run {
    /// A command on data.
    Data(DataFn),
    /// A command on the house.
    House(HouseFn),
    /// A container of subcommands.
    Container,
}

/// Commands of which the dispatcher itself must know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Special {
    /// Any other.
    #[default]
    None,
    /// Runs inside MULTI in place of being queued.
    InMulti,
    /// EXEC, which does too, and which runs other commands.
    Exec,
}

/// What has been measured of a command.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommandStats {
    /// How often it ran.
    pub calls: u64,
    /// For how long in all, in processor ticks.
    pub ticks: u64,
    /// How often it was refused before it ran.
    pub rejected: u64,
    /// How often it answered an error.
    pub failed: u64,
}

/// One command or subcommand of the table.
pub struct Command {
    /// The full name: `get`, `config|get`.
    pub name: String,
    /// The name that clients use: another one where `rename-command` says so, none where it takes the command away.
    pub called: String,
    /// See `Row`.
    pub arity: i32,
    /// See `Row`.
    pub flags: u32,
    /// See `Row`, with those that follow from the flags.
    pub categories: u32,
    /// See `Row`.
    pub keys: &'static [KeySpec],
    /// See `Row`.
    pub group: &'static str,
    /// See `Row`.
    pub since: &'static str,
    /// See `Row`.
    pub summary: &'static str,
    /// What to run.
    pub run: Run,
    /// What the dispatcher must know.
    pub special: Special,
    /// Indices of the subcommands.
    pub subcommands: Vec<usize>,
    /// Whether it stands inside a container.
    pub is_subcommand: bool,
    /// The argument that is its first key, 0 if it has none at a fixed place.
    pub first_key: usize,
    /// The argument that is the first member it looks for in the collection at its key, 0 if it looks for none.
    pub first_member: usize,
    /// What has been measured.
    pub stats: CommandStats,
    /// How long its calls took; none before the first, and none while that is not measured.
    pub latency: Option<Box<Histogram>>,
}

impl Command {
    /// Whether it takes so many arguments, the name included.
    #[inline]
    pub fn takes(&self, count: usize) -> bool {
        let named = self.arity.unsigned_abs() as usize;
        count == named || (self.arity < 0 && count > named)
    }

    /// Whether it is about data and nothing else.
    #[inline]
    pub fn is_about_data(&self) -> bool {
        matches!(self.run, Run::Data(_))
    }
}

/// All commands.
pub struct CommandTable {
    /// Containers and subcommands included.
    pub commands: Vec<Command>,
    slots: Box<[Slot; SLOTS]>,
    /// What spreads the names over the slots.
    multiplier: u64,
    /// The histograms of commands, each with its index, while they are not measured.
    parked: Vec<(usize, Box<Histogram>)>,
}

const SLOTS: usize = 4096;
const EMPTY: u16 = u16::MAX;
/// A name is looked for by so many bytes at its start and at its end.
const HALF: usize = 8;
/// So many multipliers are tried for one under which no two names fall on the same slot; the chance of each is one in
/// a thousand, or better. Where none is found, names that meet stand side by side.
const MULTIPLIERS: u64 = 20_000;

/// A slot of the index by name: what a name looks like, and the command that it leads to.
#[derive(Clone, Copy)]
struct Slot {
    look: (u64, u64),
    len: u32,
    index: u16,
    /// Whether what looks like this name is this name: it is short and has nothing but letters.
    is_plain: bool,
}

const NO_COMMAND: Slot = Slot { look: (0, 0), len: 0, is_plain: false, index: EMPTY };

/// What a name looks like: its first and its last eight bytes, upper case as lower case. Bytes that are no letters may
/// look like others.
#[inline]
fn look_of(name: &[u8]) -> (u64, u64) {
    const LOWER: u64 = 0x2020_2020_2020_2020;
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
    let (first, last) = match name.len() {
        HALF.. => (word(&name[..HALF]), word(&name[name.len() - HALF..])),
        4.. => {
            let half = |bytes: &[u8]| u64::from(u32::from_le_bytes(bytes.try_into().unwrap_or_default()));
            (half(&name[..4]), half(&name[name.len() - 4..]))
        }
        0 => (0, 0),
        len => (u64::from(name[0]) | u64::from(name[len / 2]) << 8, u64::from(name[len - 1])),
    };
    (first | LOWER, last | LOWER)
}

#[inline]
fn slot_of(look: (u64, u64), multiplier: u64) -> usize {
    let mixed = (look.0 ^ look.1.rotate_left(32)).wrapping_mul(multiplier);
    (mixed >> 40) as usize % SLOTS
}

/// Where a command names the member that it looks for.
fn first_member_of(name: &str) -> usize {
    match name {
        "zadd" | "zincrby" => 3,
        "hdel" | "hexists" | "hget" | "hincrby" | "hincrbyfloat" | "hmget" | "hmset" | "hset" | "hsetnx"
        | "hstrlen" | "sadd" | "sismember" | "smismember" | "srem" | "zmscore" | "zrank" | "zrem" | "zrevrank"
        | "zscore" => 2,
        _ => 0,
    }
}

impl CommandTable {
    /// The table of everything this server can do.
    pub fn new() -> Self {
        let mut table = CommandTable {
            commands: Vec::new(),
            slots: Box::new([NO_COMMAND; SLOTS]),
            multiplier: 1,
            parked: Vec::new(),
        };
        for rows in commands::all_rows() {
            for row in *rows {
                table.add(row, None, Run::Data);
            }
        }
        for rows in super::admin::all_rows() {
            for row in *rows {
                table.add(row, None, Run::House);
            }
        }
        table.index_names();
        table
    }

    fn add<F: Copy + 'static>(&mut self, row: &'static Row<F>, container: Option<&str>, wrap: fn(F) -> Run) -> usize {
        let name = container.map_or_else(|| row.name.to_string(), |container| format!("{container}|{}", row.name));
        let index = self.commands.len();
        let special = match name.as_str() {
            "exec" => Special::Exec,
            "multi" | "discard" | "watch" | "quit" | "reset" => Special::InMulti,
            _ => Special::None,
        };
        let first_key = match row.keys.first().map(|spec| spec.begin) {
            Some(commands::command::Begin::Index(index)) => index.max(0) as usize,
            _ => 0,
        };
        self.commands.push(Command {
            arity: row.arity,
            flags: row.flags,
            categories: row.all_categories(),
            keys: row.keys,
            group: row.group,
            since: row.since,
            summary: row.summary,
            run: row.run.map_or(Run::Container, wrap),
            special,
            subcommands: Vec::new(),
            is_subcommand: container.is_some(),
            first_key,
            first_member: first_member_of(&name),
            stats: CommandStats::default(),
            latency: None,
            called: name.clone(),
            name: name.clone(),
        });
        for sub in row.subcommands {
            let sub = self.add(sub, Some(&name), wrap);
            self.commands[index].subcommands.push(sub);
        }
        index
    }

    /// The same, after these `rename-command` lines.
    pub fn renamed(pairs: &[(Vec<u8>, Vec<u8>)]) -> Result<Self, String> {
        let mut table = CommandTable::new();
        table.rename(pairs)?;
        Ok(table)
    }

    /// Applies `rename-command` lines: pairs of a name and its new name, which is empty where the command goes.
    pub fn rename(&mut self, pairs: &[(Vec<u8>, Vec<u8>)]) -> Result<(), String> {
        for (from, to) in pairs {
            let shown = String::from_utf8_lossy(from).into_owned();
            let index = self.by_name(from).ok_or_else(|| format!("No such command in rename-command: '{shown}'"))?;
            if !to.is_empty() && self.by_name(to).is_some() {
                return Err(format!("Target command name already exists in rename-command: '{shown}'"));
            }
            self.commands[index].called = String::from_utf8_lossy(to).to_ascii_lowercase();
        }
        self.index_names();
        Ok(())
    }

    /// Puts every command where its name leads to, under a multiplier that keeps them apart.
    fn index_names(&mut self) {
        let is_found = |command: &Command| !command.is_subcommand && !command.called.is_empty();
        let named = self.commands.iter().enumerate().filter(|(_, command)| is_found(command));
        let looks: Vec<_> = named.map(|(index, command)| (index, look_of(command.called.as_bytes()))).collect();
        let mut taken = vec![0; SLOTS];
        let keeps_apart = |multiplier: &u64| {
            let mut slots = looks.iter().map(|(_, look)| slot_of(*look, *multiplier));
            slots.all(|slot| std::mem::replace(&mut taken[slot], *multiplier) != *multiplier)
        };
        let mut multipliers = (1..MULTIPLIERS).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        self.multiplier = multipliers.find(keeps_apart).unwrap_or(0x9e37_79b9_7f4a_7c15);
        self.slots.fill(NO_COMMAND);
        for (index, _) in looks {
            self.enter(index);
        }
    }

    fn enter(&mut self, index: usize) {
        let called = self.commands[index].called.as_bytes();
        let (look, len) = (look_of(called), called.len() as u32);
        let is_plain = called.len() <= 2 * HALF && called.iter().all(u8::is_ascii_lowercase);
        let mut slot = slot_of(look, self.multiplier);
        while self.slots[slot].index != EMPTY {
            slot = (slot + 1) % SLOTS;
        }
        self.slots[slot] = Slot { look, len, is_plain, index: index as u16 };
    }

    /// The command of this name, in any case; no subcommands.
    #[inline]
    pub fn by_name(&self, name: &[u8]) -> Option<usize> {
        let look = look_of(name);
        let first = slot_of(look, self.multiplier);
        let found = &self.slots[first];
        if found.is_plain && found.look == look && found.len as usize == name.len() {
            return Some(usize::from(found.index));
        }
        self.by_name_from(first, name, look)
    }

    /// The part of `by_name` that looks closely.
    #[inline(never)]
    fn by_name_from(&self, first: usize, name: &[u8], look: (u64, u64)) -> Option<usize> {
        let slots = self.slots[first..].iter().chain(&self.slots[..first]);
        let mut alike = slots.take_while(|slot| slot.index != EMPTY).filter(|slot| slot.look == look);
        let called = |slot: &&Slot| self.commands[usize::from(slot.index)].called.as_bytes().eq_ignore_ascii_case(name);
        alike.find(called).map(|slot| usize::from(slot.index))
    }

    /// The command of this name, whatever clients call it; no subcommands.
    pub fn by_own_name(&self, name: &[u8]) -> Option<usize> {
        self.commands.iter().position(|command| command.name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The command or subcommand of a full name such as `config|get`.
    pub fn by_full_name(&self, name: &[u8]) -> Option<usize> {
        let Some(bar) = name.iter().position(|&byte| byte == b'|') else { return self.by_name(name) };
        let container = self.by_name(&name[..bar])?;
        self.subcommand(container, &name[bar + 1..])
    }

    /// A container's subcommand.
    pub fn subcommand(&self, container: usize, name: &[u8]) -> Option<usize> {
        let prefix = self.commands[container].name.len() + 1;
        let subs = &self.commands[container].subcommands;
        subs.iter().copied().find(|&sub| self.commands[sub].name.as_bytes()[prefix..].eq_ignore_ascii_case(name))
    }

    /// What a client means: the command, and the subcommand where it has such. A container alone, or with an unknown
    /// subcommand, is returned as itself.
    #[inline]
    pub fn lookup(&self, argv: Argv<'_>) -> Option<usize> {
        let index = self.by_name(argv.at(0))?;
        if self.commands[index].subcommands.is_empty() || argv.len() < 2 {
            return Some(index);
        }
        Some(self.subcommand(index, argv.at(1)).unwrap_or(index))
    }

    /// Whether the name alone says which command this is.
    #[inline]
    pub fn is_whole(&self, index: usize) -> bool {
        let command = &self.commands[index];
        !command.is_subcommand && command.subcommands.is_empty()
    }

    /// Sets all measurements to zero.
    pub fn reset_stats(&mut self) {
        for command in &mut self.commands {
            command.stats = CommandStats::default();
            command.latency = None;
        }
        self.parked.clear();
    }

    /// How long the calls of a command took, if any was measured.
    pub fn histogram(&self, index: usize) -> Option<&Histogram> {
        let parked = || self.parked.iter().find(|(parked, _)| *parked == index).map(|(_, histogram)| histogram);
        self.commands[index].latency.as_ref().or_else(parked).map(Box::as_ref)
    }

    /// Begins or ends the measuring of all commands; what was measured is kept.
    pub fn measure_latency(&mut self, on: bool) {
        if on {
            for (index, histogram) in std::mem::take(&mut self.parked) {
                self.commands[index].latency = Some(histogram);
            }
        } else {
            let taken = self.commands.iter_mut().map(|command| command.latency.take()).enumerate();
            self.parked.extend(taken.filter_map(|(index, histogram)| Some((index, histogram?))));
        }
    }
}

impl Default for CommandTable {
    fn default() -> Self {
        CommandTable::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    /// What looks alike and is not the same must not be found: every name with one byte changed, beside a plain search.
    #[test]
    fn a_name_is_found_in_any_case_and_nothing_else_is() {
        let mut table = CommandTable::new();
        table.rename(&[(b"get".to_vec(), b"a-name_that-is-longer-than-others".to_vec())]).unwrap();
        let mut rng = Rng::new(9);
        let naive = |name: &[u8]| {
            let known = |command: &Command| !command.is_subcommand && !command.called.is_empty();
            table
                .commands
                .iter()
                .position(|command| known(command) && command.called.as_bytes().eq_ignore_ascii_case(name))
        };
        for index in 0..table.commands.len() {
            let called = table.commands[index].called.clone().into_bytes();
            assert_eq!(table.by_name(&called), naive(&called));
            assert_eq!(table.by_name(&called.to_ascii_uppercase()), naive(&called));
            for _ in 0..200 {
                let mut other = called.clone();
                match rng.below(4) {
                    0 => other.truncate(rng.index(other.len() + 1)),
                    1 => other.push(rng.next_u64() as u8),
                    2 => other.iter_mut().for_each(|byte| *byte ^= 0x20),
                    _ if other.is_empty() => {}
                    _ => {
                        let at = rng.index(other.len());
                        other[at] = rng.next_u64() as u8;
                    }
                }
                assert_eq!(table.by_name(&other), naive(&other), "{:?}", other.escape_ascii().to_string());
            }
        }
    }
}
