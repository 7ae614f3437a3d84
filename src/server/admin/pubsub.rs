//! The commands of Pub/Sub (= the commands of pubsub.c).

use crate::commands::CommandError;
use crate::commands::command::{KeySpec, Row, flag, key, range};
use crate::pubsub::Space;
use crate::resp::request::Argv;
use crate::server::table::HouseFn;
use crate::server::{ClientId, Server};

type Done = Result<(), CommandError>;

const HELP: &[&str] = &[
    "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANNELS [<pattern>]",
    "    Return the currently active channels matching a <pattern> (default: '*').",
    "NUMPAT",
    "    Return number of subscriptions to patterns.",
    "NUMSUB [<channel> ...]",
    "    Return the number of subscribers for the specified channels, excluding",
    "    pattern subscriptions(default: no channels).",
    "SHARDCHANNELS [<pattern>]",
    "    Return the currently active shard level channels matching a <pattern> (default: '*').",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    Return the number of subscribers for the specified shard level channel(s)",
    "HELP",
    "    Prints this help.",
];

const ANYTIME: u32 = flag::PUBSUB | flag::LOADING | flag::STALE;
const SENDING: u32 = ANYTIME | flag::FAST | flag::MAY_REPLICATE;

const fn row(name: &'static str, arity: i32, since: &'static str, summary: &'static str, run: HouseFn) -> Row<HouseFn> {
    Row {
        name,
        arity,
        flags: ANYTIME | flag::NOSCRIPT,
        categories: 0,
        keys: &[],
        group: "pubsub",
        since,
        summary,
        run: Some(run),
        subcommands: &[],
    }
}

const fn sub(name: &'static str, arity: i32, since: &'static str, summary: &'static str, run: HouseFn) -> Row<HouseFn> {
    Row { flags: ANYTIME, ..row(name, arity, since, summary, run) }
}

/// Shard channels are told where keys are, so that a cluster's client finds their node.
const SHARDS: &[KeySpec] = &[range(key::NOT_KEY, 1, -1, 1)];
const SHARD: &[KeySpec] = &[range(key::NOT_KEY, 1, 0, 1)];

/// The rows of this family.
pub const ROWS: &[Row<HouseFn>] = &[
    row("subscribe", -2, "2.0.0", "Listens to channels.", subscribe),
    row("unsubscribe", -1, "2.0.0", "Listens to channels no longer.", unsubscribe),
    row("psubscribe", -2, "2.0.0", "Listens to all channels whose names fit patterns.", psubscribe),
    row("punsubscribe", -1, "2.0.0", "Listens to patterns no longer.", punsubscribe),
    Row { keys: SHARDS, ..row("ssubscribe", -2, "7.0.0", "Listens to shard channels.", ssubscribe) },
    Row { keys: SHARDS, ..row("sunsubscribe", -1, "7.0.0", "Listens to shard channels no longer.", sunsubscribe) },
    Row { flags: SENDING, ..row("publish", 3, "2.0.0", "Sends a message to a channel.", publish) },
    Row { flags: SENDING, keys: SHARD, ..row("spublish", 3, "7.0.0", "Sends a message to a shard channel.", spublish) },
    Row {
        name: "pubsub",
        arity: -2,
        flags: 0,
        categories: 0,
        keys: &[],
        group: "pubsub",
        since: "2.8.0",
        summary: "Commands about channels and their subscribers.",
        run: None,
        subcommands: &[
            sub("channels", -2, "2.8.0", "Lists the channels that have subscribers.", channels),
            Row { flags: flag::LOADING | flag::STALE, ..sub("help", 2, "6.2.0", "Tells the subcommands.", help) },
            sub("numpat", 2, "2.8.0", "Counts the patterns that have subscribers.", numpat),
            sub("numsub", -2, "2.8.0", "Counts the subscribers of channels.", numsub),
            sub("shardchannels", -2, "7.0.0", "Lists the shard channels that have subscribers.", shardchannels),
            sub("shardnumsub", -2, "7.0.0", "Counts the subscribers of shard channels.", shardnumsub),
        ],
    },
];

fn subscribe_to(server: &mut Server, id: ClientId, argv: Argv<'_>, space: Space) -> Done {
    argv.iter().skip(1).for_each(|name| server.subscribe(id, space, name));
    Ok(())
}

fn unsubscribe_from(server: &mut Server, id: ClientId, argv: Argv<'_>, space: Space) -> Done {
    match argv.len() {
        1 => server.unsubscribe_space(id, space),
        _ => argv.iter().skip(1).for_each(|name| server.unsubscribe(id, space, name)),
    }
    Ok(())
}

fn subscribe(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    subscribe_to(server, id, argv, Space::Channel)
}

fn psubscribe(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    subscribe_to(server, id, argv, Space::Pattern)
}

fn ssubscribe(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    subscribe_to(server, id, argv, Space::Shard)
}

fn unsubscribe(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    unsubscribe_from(server, id, argv, Space::Channel)
}

fn punsubscribe(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    unsubscribe_from(server, id, argv, Space::Pattern)
}

fn sunsubscribe(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    unsubscribe_from(server, id, argv, Space::Shard)
}

/// A message travels to the replicas too, for their subscribers.
fn publish(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let count = server.publish(Some(id), argv.at(1), argv.at(2));
    server.effects.propagate_anyway();
    if let Some(reply) = server.reply(id) {
        reply.len(count);
    }
    Ok(())
}

fn spublish(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let count = server.publish_shard(Some(id), argv.at(1), argv.at(2));
    server.effects.propagate_anyway();
    if let Some(reply) = server.reply(id) {
        reply.len(count);
    }
    Ok(())
}

fn help(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    super::reply_help(server, id, HELP);
    Ok(())
}

fn list_topics(server: &mut Server, id: ClientId, argv: Argv<'_>, space: Space) -> Done {
    if argv.len() > 3 {
        return Err(CommandError::bad_subcommand(argv, "PUBSUB"));
    }
    let names = server.pubsub.topics(space, argv.get(2));
    if let Some(reply) = server.reply(id) {
        reply.array(names.len());
        names.iter().for_each(|name| reply.bulk(name));
    }
    Ok(())
}

fn count_listeners(server: &mut Server, id: ClientId, argv: Argv<'_>, space: Space) -> Done {
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    client.reply.array((argv.len() - 2) * 2);
    for name in argv.iter().skip(2) {
        client.reply.bulk(name);
        client.reply.len(server.pubsub.listeners(space, name));
    }
    Ok(())
}

fn channels(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    list_topics(server, id, argv, Space::Channel)
}

fn shardchannels(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    list_topics(server, id, argv, Space::Shard)
}

fn numsub(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    count_listeners(server, id, argv, Space::Channel)
}

fn shardnumsub(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    count_listeners(server, id, argv, Space::Shard)
}

fn numpat(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let count = server.pubsub.len(Space::Pattern);
    if let Some(reply) = server.reply(id) {
        reply.len(count);
    }
    Ok(())
}
