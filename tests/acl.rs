//! Users and what they may do, beside stock Redis: the same rules on both, then the same questions.
//!
//! Stock 7.0 writes the rules about commands down in another way than 7.2 does, and words some refusals differently;
//! there, what is compared is what the rules mean.

mod support;

use std::fs;
use std::time::Duration;

use support::{Client, Dice, Kind, Server, Value, free_port, fresh_dir, wait_until};

const BOUND: Duration = Duration::from_secs(30);

/// The words of a line; those in quotes may hold blanks.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (place, part) in line.split('"').enumerate() {
        match place % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_string)),
            _ => words.push(part.to_string()),
        }
    }
    words
}

fn run(client: &mut Client, line: &str) -> Value {
    client.cmd(&words(line))
}

fn both() -> (Server, Server) {
    (Server::start(Kind::Ours, &[]), Server::start(Kind::Stock, &[]))
}

/// A reply with what 7.0 says in other words put into 7.2's. `user` is whom it is about.
fn in_words_of_7_2(reply: Value, user: &str) -> Value {
    let reword = |text: String| {
        text.replace("NOPERM this user has", &format!("NOPERM User {user} has"))
            .replace("This user has", &format!("User {user} has"))
            .replace(
                &format!("NOPERM User {user} has no permissions to access one of the keys used as arguments"),
                "NOPERM No permissions to access a key",
            )
            .replace(
                &format!("NOPERM User {user} has no permissions to access one of the channels used as arguments"),
                "NOPERM No permissions to access a channel",
            )
    };
    match reply {
        Value::Error(text) => Value::Error(reword(text)),
        Value::Bulk(bytes) => Value::bulk(reword(String::from_utf8_lossy(&bytes).into_owned())),
        Value::Array(items) => Value::Array(items.into_iter().map(|item| in_words_of_7_2(item, user)).collect()),
        other => other,
    }
}

#[track_caller]
fn same(us: &mut Client, them: &mut Client, user: &str, line: &str) {
    assert_eq!(run(us, line), in_words_of_7_2(run(them, line), user), "{line}");
}

/// What GETUSER tells, without the switch that 7.0 shows only after it was set and without the rules about commands.
fn told_of(client: &mut Client, user: &str) -> Vec<Value> {
    let reply = client.cmd(&["ACL", "GETUSER", user]);
    let without_commands = |items: &[Value]| {
        let pairs =
            items.chunks(2).filter(|pair| pair[0] != Value::bulk("commands") && pair[0] != Value::bulk("flags"));
        pairs.flatten().cloned().collect::<Vec<_>>()
    };
    let items = reply.items();
    let flags = items[1].items().iter().filter(|flag| **flag != Value::bulk("sanitize-payload")).cloned().collect();
    let mut told = vec![Value::Array(flags)];
    for item in without_commands(items) {
        match item {
            Value::Array(selectors) if selectors.iter().all(|one| matches!(one, Value::Array(_))) => {
                told.extend(selectors.iter().map(|one| Value::Array(without_commands(one.items()))));
            }
            // Where patterns follow it, stock writes `~*`, which nothing may follow.
            Value::Bulk(text) => told.push(Value::bulk(String::from_utf8_lossy(&text).replace("%RW~*", "~*"))),
            other => told.push(other),
        }
    }
    told
}

/// The rules about commands, of the root and of the selectors.
fn command_rules(client: &mut Client, user: &str) -> Vec<String> {
    let reply = client.cmd(&["ACL", "GETUSER", user]);
    let rules = |items: &[Value]| {
        let place = items.iter().position(|item| *item == Value::bulk("commands")).unwrap();
        items[place + 1].text()
    };
    let mut all = vec![rules(reply.items())];
    all.extend(reply.items().last().unwrap().items().iter().map(|selector| rules(selector.items())));
    all
}

/// The commands that both know, with the number of arguments that they need, subcommands after their containers.
fn common_commands(us: &mut Client, them: &mut Client) -> Vec<(Vec<String>, usize)> {
    let mut common = Vec::new();
    let flat = |client: &mut Client| {
        let mut found = Vec::new();
        for info in client.cmd(&["COMMAND"]).items() {
            let subs = info.items()[9].items();
            let leaves = if subs.is_empty() { std::slice::from_ref(info) } else { subs };
            for leaf in leaves {
                found.push((leaf.items()[0].text(), leaf.items()[1].int()));
            }
        }
        found
    };
    let theirs = flat(them);
    for (name, arity) in flat(us) {
        // WAIT blocks since 7.2, and says so by its category.
        if name != "wait" && theirs.contains(&(name.clone(), arity)) {
            let words = name.split('|').map(str::to_string).collect();
            common.push((words, arity.unsigned_abs() as usize));
        }
    }
    common
}

/// Each command with arguments drawn from words that the rules of these tests speak of.
fn questions(commands: &[(Vec<String>, usize)], dice: &mut Dice) -> Vec<Vec<String>> {
    const WORDS: [&str; 16] =
        ["a1", "b1", "c1", "ab", "x", "1", "2", "0", "STORE", "GET", "KEYS", "STREAMS", "a*", "w1", "r1", "rw"];
    let mut asked = Vec::new();
    for (name, arity) in commands {
        for more in 0..3 {
            let mut line = name.clone();
            while line.len() < arity + more {
                line.push(WORDS[dice.below(WORDS.len() as u64) as usize].to_string());
            }
            asked.push(line);
        }
    }
    asked
}

/// Whether a question was put as it can be: with a number of arguments that the command takes.
fn verdicts(client: &mut Client, user: &str, questions: &[Vec<String>]) -> Vec<Value> {
    let lines: Vec<Vec<String>> = questions
        .iter()
        .map(|line| ["ACL", "DRYRUN", user].into_iter().map(str::to_string).chain(line.iter().cloned()).collect())
        .collect();
    client.pipeline(&lines)
}

#[track_caller]
fn assert_same_verdicts(us: &mut Client, them: &mut Client, user: &str, questions: &[Vec<String>], rules: &str) {
    let (ours, theirs) = (verdicts(us, user, questions), verdicts(them, user, questions));
    for ((question, ours), theirs) in questions.iter().zip(ours).zip(theirs) {
        assert_eq!(ours, in_words_of_7_2(theirs, user), "{rules}: {question:?}");
    }
}

const RULES: &[&str] = &[
    "on nopass",
    "on >p ~* &* +@all",
    "+@all ~a* %R~r* %W~w* %RW~rw &c* -set -config|get",
    "+get|a1 +select|0 -config +config|get ~a1 ~b1",
    "+@read +@write -@string allkeys",
    "+@all -@dangerous -@admin +debug ~* &*",
    "+@all -@all +@pubsub &a* &b1",
    "+@slow -@fast +@connection -auth resetchannels allchannels",
    "~a* +@hash (+@list ~b* &c1) (+@set %R~c*) (%W~w* +@sortedset)",
    "(~* +get) (+publish &*) clearselectors (+@all ~ab)",
    "+@keyspace +@transaction -multi %R~*",
    "+acl|whoami +acl|cat -acl|cat +client -client|kill +@blocking ~x",
    "skip-sanitize-payload off >a >b <a",
    "#9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 !9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "~a ~a %R~a &a &a resetkeys ~z",
    "+@nosuch",
    "+nosuch",
    "-config|nosuch",
    "+config|get|x",
    "+get|",
    "foo",
    "~* ~a",
    "&* &a",
    "\"~a b\"",
    "%Q~a",
    "<nope",
    "#abc",
    "(on)",
    "(+get",
    "\"(+get ~a) \"",
    "+@all reset ~k",
    "\"\"",
];

#[test]
fn rules_mean_what_they_mean_on_stock() {
    let (ours, stock) = both();
    let (mut us, mut them) = (ours.client(), stock.client());
    let commands = common_commands(&mut us, &mut them);
    assert!(commands.len() > 150, "{}", commands.len());
    let mut dice = Dice::new(7);
    for rules in RULES {
        let line = format!("ACL SETUSER u {rules}");
        let reply = run(&mut us, &line);
        assert_eq!(reply, run(&mut them, &line), "{rules}");
        if !reply.is_error() {
            assert_eq!(told_of(&mut us, "u"), told_of(&mut them, "u"), "{rules}");
            let questions = questions(&commands, &mut dice);
            assert_same_verdicts(&mut us, &mut them, "u", &questions, rules);
        }
        assert_eq!(run(&mut us, "ACL DELUSER u"), run(&mut them, "ACL DELUSER u"));
    }
}

/// One random rule.
fn random_rule(dice: &mut Dice, commands: &[(Vec<String>, usize)], categories: &[String]) -> String {
    const PATTERNS: [&str; 8] = ["a*", "b1", "*", "r?", "w[0-9]", "ab", "", "rw"];
    let pick = |dice: &mut Dice, count: usize| dice.below(count as u64) as usize;
    let pattern = PATTERNS[pick(dice, PATTERNS.len())];
    let name = commands[pick(dice, commands.len())].0.join("|");
    let container = name.split('|').next().unwrap().to_string();
    let category = &categories[pick(dice, categories.len())];
    match dice.below(22) {
        0 => "on".into(),
        1 => "reset".into(),
        2 => "+@all".into(),
        3 => "-@all".into(),
        4 | 5 => format!("+@{category}"),
        6 | 7 => format!("-@{category}"),
        8 => format!("+{name}").to_uppercase(),
        9 => format!("+{name}"),
        10 => format!("-{name}"),
        11 => format!("+{container}"),
        12 => format!("-{container}"),
        13 => format!("+{name}|{pattern}"),
        14 => format!("~{pattern}"),
        15 => format!("%R~{pattern}"),
        16 => format!("%W~{pattern}"),
        17 => format!("&{pattern}"),
        18 => ["resetkeys", "resetchannels", "clearselectors", "nopass"][pick(dice, 4)].into(),
        19 => format!(">{pattern}"),
        20 => format!("(+@{category} ~{pattern} -{name})"),
        _ => format!("(+{name} %R~{pattern} &{pattern})"),
    }
}

/// Random rules on both; then what our side wrote down, put to stock, must mean the same.
#[test]
fn random_rules_mean_the_same_on_stock_and_so_does_what_is_written_down() {
    let (ours, stock) = both();
    let (mut us, mut them) = (ours.client(), stock.client());
    let commands = common_commands(&mut us, &mut them);
    let categories: Vec<String> = us.cmd(&["ACL", "CAT"]).items().iter().map(Value::text).collect();
    let mut dice = Dice::new(20_260_725);
    for round in 0..60 {
        let mut history = String::new();
        for _ in 0..1 + dice.below(12) {
            let rule = random_rule(&mut dice, &commands, &categories);
            let line = format!("ACL SETUSER u {rule}");
            history += &format!("{rule} ");
            assert_eq!(run(&mut us, &line), run(&mut them, &line), "round {round}: {history}");
        }
        assert_eq!(told_of(&mut us, "u"), told_of(&mut them, "u"), "round {round}: {history}");
        let questions = questions(&commands, &mut dice);
        assert_same_verdicts(&mut us, &mut them, "u", &questions, &history);
        let line = us.cmd(&["ACL", "LIST"]).items().iter().map(Value::text).find(|line| line.starts_with("user u "));
        let rules = line.unwrap()["user u ".len()..].to_string();
        assert_eq!(run(&mut them, "ACL DELUSER u"), Value::Int(1));
        assert_eq!(run(&mut them, &format!("ACL SETUSER u {rules}")), Value::ok(), "{rules}");
        assert_same_verdicts(&mut us, &mut them, "u", &questions, &rules);
        let before = (told_of(&mut us, "u"), command_rules(&mut us, "u"));
        run(&mut us, "ACL DELUSER u");
        assert_eq!(run(&mut us, &format!("ACL SETUSER u {rules}")), Value::ok(), "{rules}");
        assert_eq!((told_of(&mut us, "u"), command_rules(&mut us, "u")), before, "{rules}");
        run(&mut us, "ACL DELUSER u");
        run(&mut them, "ACL DELUSER u");
    }
}

#[test]
fn the_commands_of_each_category_are_those_of_stock() {
    let (ours, stock) = both();
    let (mut us, mut them) = (ours.client(), stock.client());
    same(&mut us, &mut them, "default", "ACL CAT");
    let known = |client: &mut Client| -> Vec<String> {
        common_commands(client, &mut stock.client()).into_iter().map(|(name, _)| name.join("|")).collect()
    };
    let common = known(&mut us);
    for category in us.cmd(&["ACL", "CAT"]).items() {
        let listed = |client: &mut Client| {
            let all = client.cmd(&["ACL", "CAT", &category.text()]);
            let mut names: Vec<String> = all.items().iter().map(Value::text).collect();
            names.retain(|name| common.contains(name));
            names.sort();
            names
        };
        assert_eq!(listed(&mut us), listed(&mut them), "{category:?}");
    }
}

#[test]
fn the_commands_answer_as_stock_does() {
    let (ours, stock) = both();
    let (mut us, mut them) = (ours.client(), stock.client());
    for line in [
        "ACL",
        "ACL NOSUCH",
        "ACL HELP",
        "ACL HELP x",
        "ACL WHOAMI",
        "ACL WHOAMI x",
        "ACL USERS",
        "ACL GETUSER none",
        "ACL SETUSER",
        "ACL SETUSER \"a b\"",
        "ACL SETUSER b on >p ~k +@all",
        "ACL SETUSER a",
        "ACL USERS",
        "ACL DELUSER",
        "ACL DELUSER a nosuch a",
        "ACL DELUSER b default",
        "ACL USERS",
        "ACL CAT nosuch",
        "ACL CAT a b",
        "ACL GENPASS 0",
        "ACL GENPASS 4097",
        "ACL GENPASS x",
        "ACL GENPASS 1 2",
        "ACL LOG",
        "ACL LOG x",
        "ACL LOG -1",
        "ACL LOG RESET",
        "ACL LOG 1 2",
        "ACL LOAD",
        "ACL SAVE",
        "ACL DRYRUN x get",
        "ACL DRYRUN b get",
        "ACL DRYRUN b get k",
        "ACL DRYRUN b get x",
        "ACL DRYRUN b nosuch",
        "ACL DRYRUN b config",
        "ACL DRYRUN b config nosuch",
        "ACL DRYRUN b config get x",
        "AUTH x",
        "AUTH default",
        "AUTH default anything",
        "AUTH nosuch p",
        "AUTH b wrong",
        "AUTH a b c",
        "HELLO 2 AUTH b wrong",
        "HELLO 2 AUTH b",
        "AUTH b p",
        "ACL WHOAMI",
        "GET k",
        "GET x",
        "SORT k BY w*",
        "SORT k GET #",
        "SORT k BY nosort",
        "PUBLISH c m",
        "SUBSCRIBE c",
        "CLIENT KILL USER nosuch",
        "CLIENT KILL USER b",
        "RESET",
        "ACL WHOAMI",
    ] {
        same(&mut us, &mut them, "b", line);
    }
    for (bits, digits) in [("1", 1), ("5", 2), ("256", 64), ("4096", 1024)] {
        let (one, other) = (us.cmd(&["ACL", "GENPASS", bits]).text(), us.cmd(&["ACL", "GENPASS", bits]).text());
        assert_eq!(one.len(), digits);
        assert!(bits.len() == 1 || one != other);
    }
}

/// A field of an entry of the log.
fn field(entry: &Value, name: &str) -> Value {
    let items = entry.items();
    let place = items.iter().position(|item| *item == Value::bulk(name));
    items[place.unwrap_or_else(|| panic!("no {name} in {entry:?}")) + 1].clone()
}

#[test]
fn what_is_denied_is_logged_as_stock_logs_it() {
    let (ours, stock) = both();
    let lines = |server: &Server| {
        let (mut root, mut user) = (server.client(), server.client());
        root.good(&["ACL", "SETUSER", "u", "on", ">p", "+@all", "~k", "&c", "-incr", "-config|get"]);
        for line in [
            "AUTH u wrong",
            "AUTH nosuch p",
            "HELLO 3 AUTH u wrong",
            "AUTH u p",
            "GET x",
            "GET x",
            "MGET k y x",
            "INCR k",
            "CONFIG GET x",
            "PUBLISH d m",
            "SUBSCRIBE c d",
            "MULTI",
            "GET x",
            "DISCARD",
            "MULTI",
            "SET k 1",
        ] {
            run(&mut user, line);
        }
        root.good(&["ACL", "SETUSER", "u", "-set"]);
        run(&mut user, "EXEC");
        let log = root.cmd(&["ACL", "LOG", "99"]);
        let shown: Vec<Vec<Value>> = log
            .items()
            .iter()
            .map(|entry| ["count", "reason", "context", "object", "username"].map(|name| field(entry, name)).to_vec())
            .collect();
        let info = field(&log.items()[0], "client-info").text();
        assert!(info.contains(" cmd=exec user=u ") && !info.ends_with('\n'), "{info}");
        (shown, log)
    };
    let (shown, log) = lines(&ours);
    assert_eq!(shown, lines(&stock).0);
    let ids: Vec<i64> = log.items().iter().map(|entry| field(entry, "entry-id").int()).collect();
    assert!(ids.is_sorted_by(|a, b| a > b) || ids.len() > 8, "{ids:?}");
    for entry in log.items() {
        let (first, last) = (field(entry, "timestamp-created").int(), field(entry, "timestamp-last-updated").int());
        assert!(first > 1_600_000_000_000 && first <= last);
    }
    let counted = ["auth", "cmd", "key", "channel"].map(|what| ours.info(&format!("acl_access_denied_{what}")));
    assert_eq!(counted, ["3", "3", "4", "2"]);
    ours.cmd(&["CONFIG", "SET", "acllog-max-len", "2"]);
    run(&mut ours.client(), "AUTH u wrong");
    assert_eq!(ours.cmd(&["ACL", "LOG"]).items().len(), 2);
    ours.cmd(&["CONFIG", "RESETSTAT"]);
    assert_eq!(ours.info("acl_access_denied_auth"), "0");
}

#[test]
fn a_transaction_is_checked_again_when_it_runs() {
    let (ours, stock) = both();
    let mut replies = Vec::new();
    for server in [&ours, &stock] {
        let (mut root, mut user) = (server.client(), server.client());
        root.good(&["ACL", "SETUSER", "u", "on", "nopass", "+@all", "~*", "&*"]);
        for line in ["AUTH u x", "MULTI", "GET k", "PUBLISH c x", "CONFIG GET hz", "SET a b", "SET b c", "GET b"] {
            run(&mut user, line);
        }
        root.good(&["ACL", "SETUSER", "u", "resetkeys", "~b", "resetchannels", "-config|get"]);
        replies.push(run(&mut user, "EXEC"));
        // Who logs in within a transaction is somebody else for the rest of it.
        for line in ["MULTI", "AUTH default x", "GET k", "ACL WHOAMI", "EXEC"] {
            replies.push(in_words_of_7_2(run(&mut user, line), "u"));
        }
    }
    let (us, them) = replies.split_at(replies.len() / 2);
    assert_eq!(us, them);
}

/// 7.0 serves it even so.
#[test]
fn a_client_that_waits_for_a_key_is_asked_again_when_it_comes() {
    let server = Server::start(Kind::Ours, &[]);
    let (mut root, mut user) = (server.client(), server.client());
    root.good(&["ACL", "SETUSER", "u", "on", "nopass", "+@all", "~*"]);
    user.good(&["AUTH", "u", "x"]);
    user.write_raw(&support::encode(&["BLPOP", "k", "0"])).unwrap();
    wait_until(BOUND, "the client waits", || server.info("blocked_clients") == "1");
    root.good(&["ACL", "SETUSER", "u", "resetkeys"]);
    root.good(&["RPUSH", "k", "v"]);
    assert_eq!(user.read().unwrap(), Value::Error("NOPERM No permissions to access a key".into()));
    assert_eq!(root.cmd(&["LLEN", "k"]), Value::Int(1));
}

#[track_caller]
fn is_closed(client: &mut Client) {
    assert!(client.read_to_end().is_ok_and(|rest| rest.is_empty()), "the connection is not closed");
}

#[test]
fn connections_end_when_their_user_goes_or_may_listen_no_more() {
    for kind in [Kind::Ours, Kind::Stock] {
        let server = Server::start(kind, &[]);
        let mut root = server.client();
        let login = || {
            let mut client = server.client();
            client.good(&["AUTH", "u", "p"]);
            client
        };
        root.good(&["ACL", "SETUSER", "u", "on", ">p", "+@all", "~*", "&c*", "&d"]);
        let (mut plain, mut by_name, mut by_pattern, mut by_shard) = (login(), login(), login(), login());
        by_name.cmd(&["SUBSCRIBE", "d"]);
        by_pattern.cmd(&["PSUBSCRIBE", "c*"]);
        by_shard.cmd(&["SSUBSCRIBE", "c1"]);
        root.good(&["ACL", "SETUSER", "u", "resetchannels", "&c*", "&c1"]);
        is_closed(&mut by_name);
        assert!(!by_pattern.cmd(&["PING"]).is_error() && !by_shard.cmd(&["PING"]).is_error());
        root.good(&["ACL", "SETUSER", "u", "resetchannels", "&c1", "&c**"]);
        is_closed(&mut by_pattern);
        assert!(!by_shard.cmd(&["PING"]).is_error());
        root.good(&["ACL", "SETUSER", "u", "resetchannels"]);
        is_closed(&mut by_shard);
        assert_eq!(plain.cmd(&["ACL", "DELUSER", "u"]), Value::Int(1), "who deletes itself is still answered");
        is_closed(&mut plain);
        root.good(&["ACL", "SETUSER", "u", "on", ">p", "+@all"]);
        let mut other = login();
        assert_eq!(root.cmd(&["CLIENT", "KILL", "USER", "u"]), Value::Int(1));
        is_closed(&mut other);
    }
}

#[test]
fn requirepass_and_the_default_user_are_one_matter() {
    let (ours, stock) = both();
    let (mut us, mut them) = (ours.client(), stock.client());
    let (mut out_us, mut out_them) = (ours.client(), stock.client());
    for line in [
        "ACL SETUSER default off",
        "?PING",
        "?HELLO 3 AUTH default x",
        "?AUTH default x",
        "ACL SETUSER default on",
        "?PING",
        "ACL SETUSER default >x",
        "?PING",
        "?GET",
        "?NOSUCH",
        "?AUTH y",
        "?AUTH x",
        "?RESET",
        "CONFIG GET requirepass",
        "CONFIG SET requirepass foo",
        "?AUTH x",
        "?AUTH foo",
        "?PING",
        "?RESET",
        "?PING",
        "ACL SETUSER default >bar",
        "?AUTH bar",
        "CONFIG GET requirepass",
        "CONFIG SET requirepass \"\"",
        "?RESET",
        "?PING",
        "CONFIG SET requirepass foo",
        "ACL SETUSER default resetpass",
        "?AUTH foo",
        "CONFIG GET requirepass",
        "ACL SETUSER default nopass",
        "?AUTH foo",
        "?AUTH default foo",
        "ACL SETUSER default -get ~k",
        "?GET k",
        "?SET x 1",
    ] {
        match line.strip_prefix('?') {
            Some(line) => same(&mut out_us, &mut out_them, "default", line),
            None => same(&mut us, &mut them, "default", line),
        }
        assert_eq!(told_of(&mut us, "default"), told_of(&mut them, "default"), "{line}");
    }
}

/// Here stock forgets the passwords that ACL SETUSER gave.
#[test]
fn a_refused_change_of_settings_leaves_the_passwords_of_the_default_user() {
    let server = Server::start(Kind::Ours, &[]);
    let mut root = server.client();
    root.good(&["ACL", "SETUSER", "default", ">first"]);
    assert!(root.cmd(&["CONFIG", "SET", "requirepass", "x", "bind", "300.1.1.1"]).is_error());
    let mut stranger = server.client();
    assert!(stranger.cmd(&["PING"]).is_error() && stranger.cmd(&["AUTH", "x"]).is_error());
    stranger.good(&["AUTH", "first"]);
}

#[test]
fn users_live_in_a_file() {
    for kind in [Kind::Ours, Kind::Stock] {
        let dir = fresh_dir();
        let file = dir.join("users.acl");
        fs::write(&file, "user a on >p ~* &* +@all\n\nuser default on nopass ~* &* +@all\n").unwrap();
        let mut server = Server::start_in(kind, &dir, &["--aclfile", file.to_str().unwrap()]);
        let mut root = server.client();
        let mut user = server.client();
        user.good(&["AUTH", "a", "p"]);
        root.good(&["ACL", "SETUSER", "b", "on", ">q", "+get", "~b*"]);
        let listed = root.cmd(&["ACL", "LIST"]);
        root.good(&["ACL", "SAVE"]);
        let lines: Vec<String> = listed.items().iter().map(|line| line.text() + "\n").collect();
        assert_eq!(fs::read_to_string(&file).unwrap(), lines.concat());
        root.good(&["ACL", "SETUSER", "lost"]);
        root.good(&["ACL", "LOAD"]);
        assert_eq!(root.cmd(&["ACL", "LIST"]), listed);
        is_closed(&mut user);
        fs::write(&file, "user a on +nosuch foo\nuser b on\n").unwrap();
        let refused = root.cmd(&["ACL", "LOAD"]);
        let expected = format!(
            "ERR {0}:1: Error in applying operation '+nosuch': Unknown command or category name in ACL. {0}:1: Syntax \
             error. WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
            file.display()
        );
        assert_eq!(refused, Value::Error(expected));
        assert_eq!(root.cmd(&["ACL", "LIST"]), listed, "a bad file changes nothing");
        root.good(&["ACL", "SAVE"]);
        server.restart();
        assert_eq!(server.cmd(&["ACL", "LIST"]), listed);
        let names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!names.iter().any(|name| name.to_string_lossy().contains("tmp")), "{names:?}");
    }
}

#[test]
fn users_live_in_the_configuration() {
    let dir = fresh_dir();
    let file = dir.join("server.conf");
    fs::write(&file, "# users\nuser b on >q +get ~b* (+set %W~c)\nuser a on nopass +@all -@dangerous ~*\n").unwrap();
    let mut server = Server::start_in(Kind::Ours, &dir, &[]);
    let mut root = server.client();
    root.good(&["ACL", "SETUSER", "c", "on", "&c*", "+select|0"]);
    root.good(&["ACL", "SETUSER", "default", "-debug"]);
    root.good(&["ACL", "DELUSER", "b"]);
    let listed = root.cmd(&["ACL", "LIST"]);
    root.good(&["CONFIG", "REWRITE"]);
    let text = fs::read_to_string(&file).unwrap();
    let written: Vec<&str> = text.lines().filter(|line| line.starts_with("user ")).collect();
    let lines: Vec<String> = listed.items().iter().map(Value::text).collect();
    assert_eq!(written, lines, "{text}");
    assert!(text.starts_with(&format!("# users\n{}\n{}\n", lines[0], lines[1])), "{text}");
    server.restart();
    assert_eq!(server.cmd(&["ACL", "LIST"]), listed);
    // What 7.2 writes, 7.0 can read.
    drop(server);
    fs::create_dir_all(&dir).unwrap();
    fs::write(&file, text).unwrap();
    let stock = Server::start_in(Kind::Stock, &dir, &[]);
    assert_eq!(stock.cmd(&["ACL", "USERS"]).items().len(), 3);
}

/// What the server says when it does not start with such files.
fn refusal(kind: Kind, conf: &str, users: Option<&str>) -> Vec<String> {
    let dir = fresh_dir();
    let at = dir.display().to_string();
    fs::write(dir.join("x.conf"), conf.replace("$D", &at)).unwrap();
    users.inspect(|users| fs::write(dir.join("users.acl"), users).unwrap());
    let output = std::process::Command::new(kind.program())
        .arg(dir.join("x.conf"))
        .args(["--port", &free_port().to_string(), "--bind", "127.0.0.1", "--dir", &at])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{conf}");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).replace(&format!(" of {at}/x.conf"), "").replace(&at, "$D");
    fs::remove_dir_all(&dir).unwrap();
    let said = |line: &str| {
        let line = line.split_once(" # ").filter(|(head, _)| head.contains(" 20")).map_or(line, |(_, rest)| rest);
        line.to_string()
    };
    let lines: Vec<String> = text.lines().map(said).collect();
    lines.into_iter().filter(|line| line.contains("ACL") || line.contains("user") || line.contains(">>>")).collect()
}

#[test]
fn bad_users_keep_the_server_from_starting_with_the_words_of_stock() {
    let aclfile = "aclfile $D/users.acl\n";
    for (conf, users) in [
        ("user a on +nosuch\n", None),
        ("user a on nopass nosuch ~x\n", None),
        ("user a on #12 ~x\n", None),
        ("user \"a b\" on\n", None),
        ("user a on\nuser a off\n", None),
        ("rename-command flushall foo\nuser a on +foo\n", None),
        ("aclfile $D/none.acl\n", None),
        (aclfile, Some("user a on +nosuch\nfoo\nuser b x y\nuser a\nuser\nuser c (+get\n")),
        ("aclfile $D/users.acl\nuser c on\n", Some("user a on\n")),
    ] {
        let (ours, theirs) = (refusal(Kind::Ours, conf, users), refusal(Kind::Stock, conf, users));
        assert!(!ours.is_empty(), "{conf}");
        assert_eq!(ours, theirs, "{conf} {users:?}");
    }
}

#[test]
fn replication_works_for_users_on_both_sides() {
    for (master_kind, replica_kind) in [(Kind::Ours, Kind::Stock), (Kind::Stock, Kind::Ours), (Kind::Ours, Kind::Ours)]
    {
        let users = ["user default off", "user repl on >secret +psync +replconf +ping", "user app on >p ~* &* +@all"];
        let dir = fresh_dir();
        fs::write(dir.join("server.conf"), users.join("\n") + "\n").unwrap();
        let master = Server::start_in(master_kind, &dir, &[]);
        let replica = Server::start(replica_kind, &[]);
        let mut app = master.client();
        app.good(&["AUTH", "app", "p"]);
        app.good(&["SET", "k", "v"]);
        replica.cmd(&["CONFIG", "SET", "masteruser", "repl", "masterauth", "wrong"]);
        replica.cmd(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
        replica.wait_for_log("Unable to AUTH to MASTER: -WRONGPASS");
        replica.cmd(&["CONFIG", "SET", "masterauth", "secret"]);
        let holds = |value: &str| replica.cmd(&["GET", "k"]) == Value::bulk(value);
        wait_until(BOUND, "the replica has the key", || holds("v"));
        // A replica obeys its master whatever its own users may do.
        replica.cmd(&["ACL", "SETUSER", "default", "-set"]);
        app.good(&["SET", "k", "w"]);
        wait_until(BOUND, "the stream flows", || holds("w"));
        assert!(replica.cmd(&["SET", "k", "x"]).text().contains("NOPERM"));
        if replica_kind == Kind::Ours {
            let list = replica.cmd(&["CLIENT", "LIST", "TYPE", "master"]).text();
            assert!(list.contains(" user=(superuser) "), "{list}");
        }
        let list = app.cmd(&["CLIENT", "LIST", "TYPE", "replica"]).text();
        assert!(list.contains(" user=repl "), "{list}");
    }
}
