//! The room's tests. What rules are written down as was observed on servers of the 7.2 line and later.

use super::log::{AclLog, Context, Denial, Reason};
use super::*;
use crate::commands::command::{Begin, Find, KeySpec, category, flag, key, one, range};
use crate::commands::keys_of::Described;
use crate::resp::request::OwnedArgv;

/// A few commands of each kind.
struct Some10;

const NAMES: [&str; 10] =
    ["get", "set", "select", "config", "config|get", "config|set", "auth", "publish", "psubscribe", "sort"];
const KEYS: [&[KeySpec]; 10] = [
    &[one(key::RO | key::ACCESS, 1)],
    &[one(key::OW | key::UPDATE, 1)],
    &[],
    &[],
    &[],
    &[],
    &[],
    &[],
    &[],
    &[range(key::RO | key::ACCESS, 1, 0, 1), KeySpec { flags: key::RO, begin: Begin::Unknown, find: Find::Unknown }],
];

fn flags(index: usize) -> u32 {
    match NAMES[index] {
        "auth" => flag::NO_AUTH,
        "publish" | "psubscribe" => flag::PUBSUB,
        _ => 0,
    }
}

impl Catalogue for Some10 {
    fn count(&self) -> usize {
        NAMES.len()
    }

    fn find(&self, full_name: &[u8]) -> Option<usize> {
        NAMES.iter().position(|name| name.as_bytes().eq_ignore_ascii_case(full_name))
    }

    fn categories(&self, index: usize) -> u32 {
        match NAMES[index] {
            "get" => category::READ,
            "set" | "sort" => category::WRITE,
            "select" | "auth" => category::CONNECTION,
            "config" => category::SLOW,
            "config|get" | "config|set" => category::ADMIN,
            _ => category::PUBSUB,
        }
    }

    fn subcommands(&self, index: usize) -> &[usize] {
        if NAMES[index] == "config" { &[4, 5] } else { &[] }
    }

    fn is_subcommand(&self, index: usize) -> bool {
        NAMES[index].contains('|')
    }
}

/// A user of these rules, which are parted by blanks except within selectors.
fn user(rules: &str) -> Result<User, String> {
    let words: Vec<&[u8]> = rules.split(' ').map(str::as_bytes).collect();
    let rules = merge_selectors(&words).map_err(|place| format!("unmatched at {place}"))?;
    let mut user = User::new(b"u", false);
    for rule in rules {
        user.apply(&rule, &Some10, false).map_err(|error| error.to_string())?;
    }
    Ok(user)
}

#[test]
fn words_within_a_selector_end_at_a_zero_byte() {
    let words: [&[u8]; 3] = [b"(+get", b">\x00\xfe", b"(+select ~*)"];
    assert_eq!(merge_selectors(&words).unwrap(), [b"(+get > (+select ~*)"]);
}

fn described(rules: &str) -> String {
    match user(rules) {
        Ok(user) => String::from_utf8(user.describe()).unwrap().replacen("off sanitize-payload ", "", 1),
        Err(error) => error,
    }
}

fn check(user: &User, line: &str) -> Result<(), Denied> {
    let full = line.split(' ').take(2).collect::<Vec<_>>().join("|");
    let index = Some10.find(full.as_bytes()).or_else(|| Some10.find(line.split(' ').next().unwrap().as_bytes()));
    let index = index.unwrap();
    let owned = OwnedArgv::new(line.split(' ').map(str::as_bytes));
    let command = Described { name: NAMES[index], flags: flags(index), keys: KEYS[index] };
    user.check(&Asked { index, command, is_subcommand: Some10.is_subcommand(index), argv: owned.argv() })
}

#[test]
fn rules_are_written_down_in_order_without_those_made_void() {
    for (rules, expected) in [
        ("", "resetchannels -@all"),
        ("+config|get -config", "resetchannels -@all -config"),
        ("-config +config|get", "resetchannels -@all -config +config|get"),
        ("+@read -@read", "resetchannels -@all -@read"),
        ("+@read +get +@all -@all", "resetchannels -@all"),
        ("+GET +CONFIG|GET +@READ", "resetchannels -@all +get +config|get +@read"),
        ("allcommands", "resetchannels +@all"),
        ("+@all -get +get", "resetchannels +@all +get"),
        ("+select|0 -select", "resetchannels -@all -select"),
        ("+select +select|0", "resetchannels -@all +select +select|0"),
        ("+select|0 +select|1 +select|0", "resetchannels -@all +select|1 +select|0"),
        ("+SELECT|Ab", "resetchannels -@all +select|ab"),
        ("+set +get -set", "resetchannels -@all +get -set"),
        ("~a ~a ~b %R~a", "~a ~b resetchannels -@all"),
        ("%RW~a %R~b %WR~c %r~d", "~a %R~b ~c %R~d resetchannels -@all"),
        ("%R~a %W~a", "~a resetchannels -@all"),
        ("(+get ~a (+set ~b)", "resetchannels -@all (~b resetchannels -@all +set)"),
        ("&a &a &b", "resetchannels &a &b -@all"),
        ("&a &*", "&* -@all"),
        ("~a ~* resetkeys ~c", "~c resetchannels -@all"),
        ("%R~* ~x %W~*", "%RW~* ~x resetchannels -@all"),
        ("%RW~*", "~* resetchannels -@all"),
        (
            "(+get ~x) ( +set  %W~y )",
            "resetchannels -@all (~x resetchannels -@all +get) (%W~y resetchannels -@all +set)",
        ),
        ("(~a) clearselectors (~c)", "resetchannels -@all (~c resetchannels -@all)"),
        ("+@all ~* &* (~c) reset", "resetchannels -@all"),
        ("(+get ~x)(+set)", "resetchannels -@all (~x)(+set resetchannels -@all +get)"),
    ] {
        assert_eq!(described(rules), expected, "{rules}");
        if !rules.contains(")(") {
            assert_eq!(described(expected), expected, "what is written down reads back the same");
        }
    }
}

#[test]
fn selectors_that_do_not_end_are_named_by_the_last_that_begins() {
    for (rules, expected) in
        [("(+get", "unmatched at 0"), ("(+get (+set", "unmatched at 1"), ("(+get ~x) (+set (+get", "unmatched at 3")]
    {
        assert_eq!(described(rules), expected, "{rules}");
    }
}

#[test]
fn bad_rules_are_refused() {
    let (syntax, unknown) = ("Syntax error", "Unknown command or category name in ACL");
    for (rule, error) in [
        ("foo", syntax),
        ("%~a", syntax),
        ("%R", syntax),
        ("%RR~a", syntax),
        ("%RX~a", syntax),
        ("~a\tb", syntax),
        ("+get|", syntax),
        ("+get|a\tb", syntax),
        ("(on)", syntax),
        ("(+get (~x))", syntax),
        ("+config|", syntax),
        ("+", unknown),
        ("+@", unknown),
        ("+@foo", unknown),
        ("-foo", unknown),
        ("+|get", unknown),
        ("+config|foo", unknown),
        ("-get|foo", unknown),
        ("+get|x|y", unknown),
        ("+config|get|x", "Allowing first-arg of a subcommand is not supported"),
        ("<nope", "The password you are trying to remove from the user does not exist"),
        ("#abcd", "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"),
        ("+get ~a (+get ~x", "unmatched at 2"),
    ] {
        assert_eq!(described(rule), error, "{rule}");
    }
    assert!(described("~* ~a").starts_with("Adding a pattern after the * pattern (or the 'allkeys' flag)"));
    assert!(described("&* &a").starts_with("Adding a pattern after the * pattern (or the 'allchannels' flag)"));
}

#[test]
fn passwords_are_kept_as_hashes() {
    let foo = "#2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    let text = |rules: &str| String::from_utf8(user(rules).unwrap().describe()).unwrap();
    assert_eq!(text("on >foo >foo"), format!("on sanitize-payload {foo} resetchannels -@all"));
    assert_eq!(text(&format!("on {foo} >bar <bar")), text("on >foo"));
    assert_eq!(text("on >foo nopass"), "on nopass sanitize-payload resetchannels -@all");
    assert_eq!(text("nopass >foo <foo skip-sanitize-payload"), "off skip-sanitize-payload resetchannels -@all");
    for (rules, password, fits) in [
        ("on >foo", "foo", true),
        ("on >foo", "fo", false),
        ("on >foo >bar", "foo", true),
        ("off >foo", "foo", false),
        ("on nopass", "x", true),
        ("off nopass", "x", false),
        ("on", "", false),
    ] {
        assert_eq!(user(rules).unwrap().accepts(password.as_bytes()), fits, "{rules} {password}");
    }
}

#[test]
fn a_command_needs_one_selector_that_allows_all_of_it() {
    let (ok, no) = (Ok(()), Err(Denied::Command));
    let bad_key = Err(Denied::Key(1));
    for (rules, line, verdict) in [
        ("", "get a", no),
        ("", "auth x", ok),
        ("+@all", "get a", bad_key),
        ("+@all ~a*", "get ab", ok),
        ("+@all %W~a", "get a", bad_key),
        ("+@all %W~a", "set a b", ok),
        ("+@all %R~a", "set a b", bad_key),
        ("+@all %R~a %W~*", "set a b", ok),
        ("+@all ~* -config|get", "config get x", no),
        ("+@all ~* -config|get", "config set x", ok),
        ("+config", "config set x", ok),
        ("+@slow", "config set x", ok),
        ("+select|0", "select 0", ok),
        ("+select|0", "select 1", no),
        ("+select|0", "select", no),
        ("+select|A", "select a", ok),
        ("+select|0 -@connection", "select 0", no),
        ("+@all -select +select|1", "select 1", ok),
        ("+get (~x) (+get ~y) (+set ~y)", "get y", ok),
        ("+get (~x) (+get ~y) (+set ~y)", "get x", bad_key),
        ("+publish &a*", "publish ab x", ok),
        ("+publish &a*", "publish b x", Err(Denied::Channel(1))),
        ("+psubscribe &a*", "psubscribe a* ab", Err(Denied::Channel(2))),
        ("+psubscribe (+psubscribe &a*)", "psubscribe a* b", Err(Denied::Channel(2))),
        ("+get ~a (+publish)", "get b", bad_key),
    ] {
        assert_eq!(check(&user(rules).unwrap(), line), verdict, "{rules}: {line}");
    }
    for (rules, all) in [
        ("+@all ~* &*", true),
        ("+@all ~*", false),
        ("+get (+@all allkeys allchannels)", true),
        ("+@all ~* &* -get", false),
        ("+@all ~* &* -get +get", true),
    ] {
        assert_eq!(user(rules).unwrap().is_unrestricted(), all, "{rules}");
    }
}

#[test]
fn who_reads_keys_that_nobody_names_must_be_allowed_to_read_all() {
    let owned = OwnedArgv::new([b"sort".as_slice(), b"k"]);
    let command = Described { name: "sort", flags: 0, keys: KEYS[9] };
    let asked = Asked { index: 9, command, is_subcommand: false, argv: owned.argv() };
    for (rules, any) in [
        ("+sort ~*", true),
        ("+sort %R~*", true),
        ("+sort %W~* ~k", false),
        ("+sort ~k (+get ~*)", false),
        ("+sort ~k (+sort ~*)", true),
    ] {
        assert_eq!(user(rules).unwrap().reads_any_key(&asked), any, "{rules}");
    }
}

#[test]
fn a_file_makes_users_or_complains_of_every_line() {
    let good = b"\r\nuser a on ( +get ~x )  (~y)\r\n\nuser default on >x ~* +@all";
    let users = Users::parse(good, "f", &Some10, false).unwrap();
    let lines: Vec<String> = users.lines().into_iter().map(|line| String::from_utf8(line).unwrap()).collect();
    assert_eq!(
        lines[0],
        "user a on sanitize-payload resetchannels -@all (~x resetchannels -@all +get) (~y resetchannels -@all)"
    );
    let again = Users::parse(&users.lines().join(&b'\n'), "f", &Some10, false).unwrap();
    assert_eq!(again.lines(), users.lines());
    assert!(!users.default_user().needs_no_password() && !users.default_user().is_unrestricted());
    assert!(Users::parse(b"", "f", &Some10, false).unwrap().default_user().is_unrestricted());
    let bad = b"foo a on\nuser a on +foo +bar x y\nuser a off\nuser\nuser c (+get\nuser  d";
    let expected = "f:1 should start with user keyword followed by the username. f:2: Error in applying operation \
                    '+foo': Unknown command or category name in ACL. f:2: Error in applying operation '+bar': Unknown \
                    command or category name in ACL. f:2: Syntax error. WARNING: Duplicate user 'a' found on line 3. \
                    f:4 should start with user keyword followed by the username. f:5: Unmatched parenthesis in \
                    selector definition.f:6: Syntax error. WARNING: ACL errors detected, no change to the previously \
                    active ACL rules was performed";
    assert_eq!(Users::parse(bad, "f", &Some10, false).unwrap_err(), expected);
}

#[test]
fn users_come_and_go_and_the_default_one_stays() {
    let mut users = Users::new(&Some10);
    let a = users.put(User::new(b"a", false));
    let b = users.put(User::new(b"b", false));
    assert_eq!(users.remove(b"a"), Some(a));
    assert_eq!(users.remove(b"a"), None);
    assert_eq!(users.remove(b"default"), None);
    assert!(users.get(a).is_none() && users.by_name(b"b") == Some(b));
    let c = users.put(User::new(b"c", false));
    assert_eq!(users.get(c).unwrap().name(), b"c");
    let names: Vec<&[u8]> = users.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [b"b".as_slice(), b"c", b"default"]);
}

#[test]
fn what_is_denied_again_within_a_minute_is_counted() {
    let mut log = AclLog::default();
    let mut note = |reason, object: &str, now_ms, max_len| {
        let client = format!("at {now_ms}");
        let object = object.as_bytes();
        log.note(Denial { reason, context: Context::TopLevel, object, user: b"u", client, now_ms }, max_len);
        log.entries().map(|one| (one.id, one.count, one.created_ms, one.updated_ms)).collect::<Vec<_>>()
    };
    assert_eq!(note(Reason::Key, "a", 1000, 3), [(0, 1, 1000, 1000)]);
    note(Reason::Command, "a", 2000, 3);
    assert_eq!(note(Reason::Key, "a", 61_000, 3), [(0, 2, 1000, 61_000), (1, 1, 2000, 2000)]);
    assert_eq!(note(Reason::Key, "a", 121_001, 3)[0], (2, 1, 121_001, 121_001));
    assert_eq!(note(Reason::Channel, "a", 121_001, 3).len(), 3);
    assert_eq!(note(Reason::Auth, "a", 121_001, 0).len(), 0);
    assert_eq!((log.denied.keys, log.denied.commands, log.denied.channels, log.denied.logins), (3, 1, 1, 1));
}
