//! CLIENT TRACKING, CACHING, TRACKINGINFO, GETREDIR: what a client says about the copies that it keeps.

use crate::commands::ctx::{integer, is_option};
use crate::commands::error::c_string;
use crate::commands::{CommandError, error};
use crate::resp::request::Argv;
use crate::server::tracking::{Choice, ClientTracking};
use crate::server::{ClientId, Server};

type Done = Result<(), CommandError>;

/// What CLIENT TRACKING was asked for.
#[derive(Default)]
struct Options<'a> {
    redirect: Option<ClientId>,
    broadcast: bool,
    opt_in: bool,
    opt_out: bool,
    no_loop: bool,
    prefixes: Vec<&'a [u8]>,
}

fn parse<'a>(server: &Server, argv: Argv<'a>) -> Result<Options<'a>, CommandError> {
    let mut options = Options::default();
    let mut at = 3;
    while at < argv.len() {
        let (option, value) = (argv.at(at), argv.get(at + 1));
        match value {
            Some(number) if is_option(option, "REDIRECT") => {
                if options.redirect.is_some() {
                    return Err(CommandError::new("ERR A client can only redirect to a single other client"));
                }
                let found = u64::try_from(integer(number)?).ok().and_then(|number| server.clients.by_number(number));
                let missing = || CommandError::new("ERR The client ID you want redirect to does not exist");
                options.redirect = Some(found.ok_or_else(missing)?);
                at += 1;
            }
            Some(prefix) if is_option(option, "PREFIX") => {
                options.prefixes.push(prefix);
                at += 1;
            }
            _ if is_option(option, "BCAST") => options.broadcast = true,
            _ if is_option(option, "OPTIN") => options.opt_in = true,
            _ if is_option(option, "OPTOUT") => options.opt_out = true,
            _ if is_option(option, "NOLOOP") => options.no_loop = true,
            _ => return Err(error::SYNTAX),
        }
        at += 1;
    }
    Ok(options)
}

/// Refuses options that do not go together, or not with how the client tracks already.
fn check(options: &Options<'_>, present: Option<&ClientTracking>) -> Done {
    let refused = |text: &str| Err(CommandError::new(text));
    if !options.broadcast && !options.prefixes.is_empty() {
        return refused("ERR PREFIX option requires BCAST mode to be enabled");
    }
    if present.is_some_and(|present| present.is_broadcast != options.broadcast) {
        return refused(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it \
             with a different mode.",
        );
    }
    if options.broadcast && (options.opt_in || options.opt_out) {
        return refused("ERR OPTIN and OPTOUT are not compatible with BCAST");
    }
    if options.opt_in && options.opt_out {
        return refused("ERR You can't specify both OPTIN mode and OPTOUT mode");
    }
    let choice = present.map_or(Choice::All, |present| present.choice);
    if (options.opt_in && choice == Choice::OptOut) || (options.opt_out && choice == Choice::OptIn) {
        return refused(
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it \
             with a different mode.",
        );
    }
    check_prefixes(&options.prefixes, present)
}

/// No prefix of a client may be the beginning of another, or it would be told twice.
fn check_prefixes(prefixes: &[&[u8]], present: Option<&ClientTracking>) -> Done {
    let overlap = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
    let refused = |one: &[u8], whose: &str, other: &[u8]| {
        let text = [
            b"ERR Prefix '",
            c_string(one),
            b"' overlaps with ",
            whose.as_bytes(),
            b" prefix '",
            c_string(other),
            b"'. Prefixes for a single client must not overlap.",
        ];
        Err(CommandError::bytes(text.concat()))
    };
    for (number, prefix) in prefixes.iter().enumerate() {
        let mut held = present.into_iter().flat_map(|present| &present.prefixes);
        if let Some(other) = held.find(|other| overlap(prefix, other)) {
            return refused(prefix, "an existing", other);
        }
        if let Some(other) = prefixes[number + 1..].iter().find(|other| overlap(prefix, other)) {
            return refused(prefix, "another provided", other);
        }
    }
    Ok(())
}

/// CLIENT TRACKING ON | OFF [options]
pub fn tracking(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let options = parse(server, argv)?;
    if is_option(argv.at(2), "ON") {
        let present = server.clients.get(id).and_then(|client| client.tracking.as_deref());
        check(&options, present)?;
        let mut prefixes: Vec<Vec<u8>> = options.prefixes.iter().map(|prefix| prefix.to_vec()).collect();
        if options.broadcast && prefixes.is_empty() {
            prefixes.push(Vec::new());
        }
        let choice = match () {
            () if options.opt_in => Choice::OptIn,
            () if options.opt_out => Choice::OptOut,
            () => Choice::All,
        };
        let wanted = ClientTracking {
            is_broadcast: options.broadcast,
            choice,
            no_loop: options.no_loop,
            redirect: options.redirect,
            prefixes,
            ..ClientTracking::default()
        };
        server.enable_tracking(id, wanted);
    } else if is_option(argv.at(2), "OFF") {
        server.disable_tracking(id);
    } else {
        return Err(error::SYNTAX);
    }
    if let Some(reply) = server.reply(id) {
        reply.ok();
    }
    Ok(())
}

/// CLIENT CACHING YES | NO
pub fn caching(server: &mut Server, id: ClientId, argv: Argv<'_>) -> Done {
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    let Some(tracking) = client.tracking.as_deref_mut() else {
        return Err(CommandError::new(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ));
    };
    let (wanted, text) = if is_option(argv.at(2), "YES") {
        (Choice::OptIn, "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
    } else if is_option(argv.at(2), "NO") {
        (Choice::OptOut, "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
    } else {
        return Err(error::SYNTAX);
    };
    if tracking.choice != wanted {
        return Err(CommandError::new(text));
    }
    tracking.caching = true;
    client.reply.ok();
    Ok(())
}

/// The number of the client that is told of stale keys in place of this one: 0 for nobody, -1 where nothing is tracked.
pub fn redirect_of(tracking: Option<&ClientTracking>) -> i64 {
    tracking.map_or(-1, |tracking| tracking.redirect.map_or(0, |target| target.number as i64))
}

/// CLIENT GETREDIR
pub fn getredir(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    client.reply.int(redirect_of(client.tracking.as_deref()));
    Ok(())
}

/// CLIENT TRACKINGINFO
pub fn trackinginfo(server: &mut Server, id: ClientId, _argv: Argv<'_>) -> Done {
    let Some(client) = server.clients.get_mut(id) else { return Ok(()) };
    let (tracking, reply) = (client.tracking.as_deref(), &mut client.reply);
    let has = |test: fn(&ClientTracking) -> bool| tracking.is_some_and(test);
    let flags = [
        ("off", tracking.is_none()),
        ("on", tracking.is_some()),
        ("bcast", has(|tracking| tracking.is_broadcast)),
        ("optin", has(|tracking| tracking.choice == Choice::OptIn)),
        ("caching-yes", has(|tracking| tracking.choice == Choice::OptIn && tracking.caching)),
        ("optout", has(|tracking| tracking.choice == Choice::OptOut)),
        ("caching-no", has(|tracking| tracking.choice == Choice::OptOut && tracking.caching)),
        ("noloop", has(|tracking| tracking.no_loop)),
        ("broken_redirect", has(|tracking| tracking.is_redirect_broken)),
    ];
    let flags = flags.into_iter().filter(|(_, set)| *set);
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.clone().count());
    flags.for_each(|(name, _)| reply.bulk(name.as_bytes()));
    reply.bulk(b"redirect");
    reply.int(redirect_of(tracking));
    reply.bulk(b"prefixes");
    let prefixes = tracking.map_or(&[][..], |tracking| &tracking.prefixes);
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    Ok(())
}
