//! CLUSTER and the three commands that only a cluster's clients send (= the commands of cluster.c): this server is no
//! node of one, and says so as a stock server does that was started without `cluster-enabled`.

use crate::commands::CommandError;
use crate::commands::command::{Row, category, flag};
use crate::resp::request::Argv;
use crate::server::table::HouseFn;
use crate::server::{ClientId, Server};

const ADMIN: u32 = flag::ADMIN | flag::STALE;
const CHANGING: u32 = ADMIN | flag::NO_ASYNC_LOADING;

/// A subcommand of CLUSTER.
const fn sub(name: &'static str, arity: i32, flags: u32, since: &'static str, summary: &'static str) -> Row<HouseFn> {
    Row { group: "cluster", ..super::sub(name, arity, flags, since, summary, disabled) }
}

/// A command that a client of a cluster sends.
const fn of_clients(name: &'static str, flags: u32, summary: &'static str) -> Row<HouseFn> {
    let mut row = sub(name, 1, flags, "3.0.0", summary);
    row.categories = category::CONNECTION;
    row
}

/// The rows of this family.
pub const ROWS: &[Row<HouseFn>] = &[
    of_clients("asking", flag::FAST, "Lets the next command into a slot that is on its way here."),
    Row {
        name: "cluster",
        arity: -2,
        flags: 0,
        categories: 0,
        keys: &[],
        group: "cluster",
        since: "3.0.0",
        summary: "Commands about the cluster, which this server is not in.",
        run: None,
        subcommands: &SUBCOMMANDS,
    },
    of_clients(
        "readonly",
        flag::LOADING | flag::STALE | flag::FAST,
        "Lets a client read from a node that is a replica.",
    ),
    of_clients("readwrite", flag::LOADING | flag::STALE | flag::FAST, "Sends a client that reads to the master again."),
];

const SUBCOMMANDS: [Row<HouseFn>; 28] = [
    sub("addslots", -3, CHANGING, "3.0.0", "Gives slots to this node."),
    sub("addslotsrange", -4, CHANGING, "7.0.0", "Gives ranges of slots to this node."),
    sub("bumpepoch", 2, CHANGING, "3.0.0", "Raises the epoch of the configuration."),
    sub("count-failure-reports", 3, ADMIN, "3.0.0", "Counts the nodes that hold a node for failed."),
    sub("countkeysinslot", 3, flag::STALE, "3.0.0", "Counts the keys of a slot."),
    sub("delslots", -3, CHANGING, "3.0.0", "Takes slots from this node."),
    sub("delslotsrange", -4, CHANGING, "7.0.0", "Takes ranges of slots from this node."),
    sub("failover", -2, CHANGING, "3.0.0", "Makes a replica take over from its master."),
    sub("flushslots", 2, CHANGING, "3.0.0", "Takes all slots from this node."),
    sub("forget", 3, CHANGING, "3.0.0", "Takes a node off the list of those that are known."),
    sub("getkeysinslot", 4, flag::STALE, "3.0.0", "Lists keys of a slot."),
    sub("help", 2, flag::LOADING | flag::STALE, "5.0.0", "Tells the subcommands."),
    sub("info", 2, flag::STALE, "3.0.0", "Tells how this node sees the cluster."),
    sub("keyslot", 3, flag::STALE, "3.0.0", "Tells the slot of a key."),
    sub("links", 2, flag::STALE, "7.0.0", "Lists the connections to other nodes."),
    sub("meet", -4, CHANGING, "3.0.0", "Makes a node known to this one."),
    sub("myid", 2, flag::STALE, "3.0.0", "Tells the name of this node."),
    sub("myshardid", 2, flag::STALE, "7.2.0", "Tells the name of this node's shard."),
    sub("nodes", 2, flag::STALE, "3.0.0", "Lists the nodes as their file does."),
    sub("replicas", 3, ADMIN, "5.0.0", "Lists the replicas of a node."),
    sub("replicate", 3, CHANGING, "3.0.0", "Makes this node a replica of another."),
    sub("reset", -2, ADMIN | flag::NOSCRIPT, "3.0.0", "Makes this node forget the cluster."),
    sub("saveconfig", 2, CHANGING, "3.0.0", "Writes the file of nodes."),
    sub("set-config-epoch", 3, CHANGING, "3.0.0", "Sets the epoch of a node that is new."),
    sub("setslot", -4, CHANGING, "3.0.0", "Tells whose a slot is, or where it is going."),
    sub("shards", 2, flag::STALE, "7.0.0", "Lists the shards with their slots and nodes."),
    sub("slaves", 3, ADMIN, "3.0.0", "Lists the replicas of a node."),
    sub("slots", 2, flag::STALE, "3.0.0", "Lists the slots with their nodes."),
];

fn disabled(_server: &mut Server, _id: ClientId, _argv: Argv<'_>) -> Result<(), CommandError> {
    Err(CommandError::new("ERR This instance has cluster support disabled"))
}
