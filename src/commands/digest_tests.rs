//! Digests against the numbers that a stock 7.0.15 gave for the same data: `DEBUG DIGEST` and `DEBUG DIGEST-VALUE k`.

use super::{Digest, dataset_digest, value_digest};
use crate::base::rng::Rng;
use crate::keyspace::Keyspace;

const LATER: Option<i64> = Some(4_102_444_800_000);

fn hex(digest: Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check(name: &str, dataset: &str, value: &str, fill: impl FnOnce(&mut Keyspace)) {
    let mut keys = Keyspace::new(16, Rng::new(1));
    fill(&mut keys);
    assert_eq!(hex(dataset_digest(&keys)), dataset, "all of {name}");
    keys.select(0);
    let held = keys.peek(b"k").map(value_digest).unwrap_or_default();
    assert_eq!(hex(held), value, "the value of {name}");
}

fn list(keys: &mut Keyspace, key: &[u8], items: impl IntoIterator<Item = String>) {
    let (list, limits) = keys.list_or_new(key).unwrap();
    items.into_iter().for_each(|item| list.push_back(item.as_bytes(), limits));
}

fn set(keys: &mut Keyspace, items: impl IntoIterator<Item = String>) {
    let (set, limits) = keys.set_or_new(b"k").unwrap();
    items.into_iter().for_each(|item| assert!(set.add(item.as_bytes(), limits)));
}

fn hash(keys: &mut Keyspace, items: impl IntoIterator<Item = (String, String)>) {
    let (hash, limits) = keys.hash_or_new(b"k").unwrap();
    items.into_iter().for_each(|(field, value)| assert!(hash.set(field.as_bytes(), value.as_bytes(), limits)));
}

fn zset(keys: &mut Keyspace, scores: impl IntoIterator<Item = f64>) {
    let (zset, limits) = keys.zset_or_new(b"k").unwrap();
    for (number, score) in scores.into_iter().enumerate() {
        zset.insert(format!("m{number}").as_bytes(), score, limits);
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn strings_and_their_expiry() {
    let zeros = "0000000000000000000000000000000000000000";
    check("nothing", zeros, zeros, |_| {});
    let hello = "36b23a1456b2dce2c3ed252c456761301dba8060";
    check("a string", "d101db227d1e3b31616b18b0b8700f84c3ffa5e9", hello, |keys| keys.set_str(b"k", b"hello", None));
    let number = "e5a1931bf1607b9a0eab41d693dd6051cb4dc591";
    check("a number", "1ea2896497082fb07ba3261c3d802210108db2aa", number, |keys| keys.set_str(b"k", b"-123", None));
    let long = "e89a55262642bff99285a1e3f178ccdbef1d0651";
    check("a long string", "f151d97ff76939e0a5c2feada8b15b45c71eeea8", long, |keys| {
        keys.set_str(b"k", &[b'x'; 5000], None)
    });
    let volatile = "d037c4eb8a8b36b602fbced4000daeab0714c1e3";
    check("an expiry", "95d5f52bc5471efa1f0fdce29d0364c17b210e0c", volatile, |keys| {
        keys.set_str(b"k", b"hello", LATER)
    });
}

#[test]
fn lists_and_sets_in_each_encoding() {
    let short = "d5f44352f6226abea9252dad248ef5de0d964396";
    check("a list", "98c5dd45dea32def72884b352c4d573eac1a53dd", short, |keys| list(keys, b"k", words("a 1 b")));
    let long = "a039bced2102ecd3a1e0e88dd22183710bd28a4e";
    check("a long list", "6884d251a4feafbb8c6229d839dc9ec906d78e02", long, |keys| {
        list(keys, b"k", (0..2000).map(|n| n.to_string()))
    });
    let ints = "07c30c95c39bd2d2539bb20fa0e7cc1c879c8621";
    check("an intset", "14e4fd32ad58573fe328c57f8d514c44dd168931", ints, |keys| set(keys, words("1 -5 70000")));
    let packed = "a6afcc473373536adb071da403abcb70a693d104";
    check("a set", "27cd07b34a6d62620a69d8208058c5e5b9e2b1d3", packed, |keys| set(keys, words("x y 7")));
    let big = "c56d3f42794a2c10083dc404b113e5e0eac3277b";
    check("a big set", "e7d87b3451149c8a56c9eb258f9147d7f0a55e11", big, |keys| {
        set(keys, (0..600).map(|n| format!("m{n}")))
    });
}

#[test]
fn hashes_and_sorted_sets_in_each_encoding() {
    let packed = "8530acc75d5274eb0fc0da86f28ed5533274a6d4";
    check("a hash", "9a0763ebc25c42ef4a686b9801b17507c678f12d", packed, |keys| {
        hash(keys, [("f".into(), "v".into()), ("g".into(), "12".into())])
    });
    let big = "1905108a639d28e90e7c8476c6dd6dcdf7a15271";
    check("a big hash", "e6acd6e0cdcf7f878e9fef85f5dd24d54afe6fda", big, |keys| {
        hash(keys, (0..600).map(|n| (format!("f{n}"), n.to_string())))
    });
    let odd = [
        1.1,
        3.0,
        -0.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e20,
        1e-7,
        12345678901234567.0,
        0.1,
        1e17,
        123456789012345678.0,
        1e16,
        -2.5e-5,
        f64::MAX,
        5e-324,
        100000000000000000000.0,
        0.0001,
        0.00001,
    ];
    let scores = "51f3ad316a74a8a2947c75c7d611928cefbcd4a0";
    check("odd scores", "c70aa9bdb7d030e38984f556dd5cdacad5084db7", scores, |keys| zset(keys, odd));
    let sevenths = "6eb623a08fb10ff9e291bba66b27b5a924eeece9";
    check("a big sorted set", "a90dab12cc30bcba7beb31f91ea5d8434db69daa", sevenths, |keys| {
        zset(keys, (0..600).map(|n| f64::from(n) / 7.0))
    });
}

#[test]
fn several_databases() {
    let zeros = "0000000000000000000000000000000000000000";
    check("three databases", "524f738d90dd712f8786c16bccf4aa63eb98b718", zeros, |keys| {
        keys.set_str(b"a", b"1", None);
        keys.set_str(b"b", b"2", None);
        keys.select(3);
        keys.set_str(b"a", b"1", None);
        keys.select(15);
        list(keys, b"l", words("1 pxat"));
        keys.set_expire(b"l", LATER);
    });
}
