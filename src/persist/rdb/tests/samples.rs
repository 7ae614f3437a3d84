//! Real dumps of many servers (`../shared/rdb-samples`, not part of this repository): those whose types are known load
//! to the contents told beside them, the others are refused by number and name. Skipped where the folder is absent.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::ErrorKind;
use super::{Content, Told, load, load_slices};

fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/rdb-samples"));
    if !folder.is_dir() {
        eprintln!("skipped: no {}", folder.display());
        return None;
    }
    Some(folder)
}

/// What the texts beside the dumps are made of.
#[derive(Debug, PartialEq)]
enum Json {
    Text(Vec<u8>),
    Array(Vec<Json>),
    Object(Vec<(Vec<u8>, Json)>),
}

struct Parser<'a> {
    text: &'a [u8],
}

impl Parser<'_> {
    fn peek(&mut self) -> Option<u8> {
        self.text = self.text.trim_ascii_start();
        self.text.first().copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.text = &self.text[usize::from(found)..];
        found
    }

    fn value(&mut self) -> Json {
        match self.peek() {
            Some(b'"') => Json::Text(self.string()),
            Some(b'[') => {
                self.eat(b'[');
                let mut items = Vec::new();
                while !self.eat(b']') {
                    items.push(self.value());
                    self.eat(b',');
                }
                Json::Array(items)
            }
            Some(b'{') => {
                self.eat(b'{');
                let members = self.members();
                assert!(self.eat(b'}'));
                Json::Object(members)
            }
            _ => {
                let end = self.text.iter().position(|b| b",]} \n".contains(b)).unwrap_or(self.text.len());
                let (word, rest) = self.text.split_at(end);
                self.text = rest;
                Json::Text(word.to_vec())
            }
        }
    }

    /// `"name": value, ...` up to a brace or the end.
    fn members(&mut self) -> Vec<(Vec<u8>, Json)> {
        let mut members = Vec::new();
        while self.peek() == Some(b'"') {
            let name = self.string();
            assert!(self.eat(b':'));
            members.push((name, self.value()));
            self.eat(b',');
        }
        members
    }

    fn string(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut at = 1;
        while self.text[at] != b'"' {
            let byte = self.text[at];
            at += 1;
            if byte != b'\\' {
                out.push(byte);
                continue;
            }
            out.push(match self.text[at] {
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                other => other,
            });
            at += 1;
        }
        self.text = &self.text[at + 1..];
        out
    }
}

/// The databases of a text: a list of objects, or the inside of one.
fn databases(text: &[u8]) -> Vec<Vec<(Vec<u8>, Json)>> {
    let mut parser = Parser { text };
    let databases = match parser.peek() {
        Some(b'[') => match parser.value() {
            Json::Array(items) => items
                .into_iter()
                .map(|item| match item {
                    Json::Object(members) => members,
                    other => panic!("not a database: {other:?}"),
                })
                .collect(),
            other => panic!("not a list: {other:?}"),
        },
        _ => vec![parser.members()],
    };
    assert_eq!(parser.peek(), None, "text left: {:?}", parser.text.escape_ascii().to_string());
    databases
}

/// Whether a loaded value is what the text says.
fn same(content: &Content, json: &Json) -> bool {
    let texts = |items: &[Json]| -> Vec<Vec<u8>> {
        items.iter().map(|item| if let Json::Text(text) = item { text.clone() } else { panic!("{item:?}") }).collect()
    };
    match (content, json) {
        (Content::Str(string), Json::Text(text)) => string == text,
        (Content::List(list), Json::Array(items)) => *list == texts(items),
        (Content::Set(set), Json::Array(items)) => {
            let mut items = texts(items);
            items.sort();
            set.iter().eq(items.iter())
        }
        (Content::Hash(map) | Content::ZSet(map), Json::Object(members)) => {
            let told: BTreeMap<_, _> = members.iter().map(|(name, value)| (name, value)).collect();
            told.len() == map.len()
                && map.iter().all(|(name, value)| told.get(name) == Some(&&Json::Text(value.clone())))
        }
        _ => false,
    }
}

/// Compares all that was loaded with the text; `__aux__` and the like are about other things than keys.
fn check(name: &str, told: &Told, text: &[u8]) {
    let mut keys = told.keys.clone();
    let mut databases_told = told.databases.iter();
    for database in databases(text) {
        let db = databases_told.next().copied().unwrap_or(0);
        for (key, json) in database {
            if key == b"__aux__" {
                let Json::Object(fields) = json else { panic!("{name}: {json:?}") };
                let aux = told.aux.iter().map(|(name, value)| (name.clone(), Json::Text(value.clone())));
                assert_eq!(aux.collect::<Vec<_>>(), fields, "{name}");
            } else if key == b"__func__" {
                let Json::Object(libraries) = json else { panic!("{name}: {json:?}") };
                let codes = told.functions.iter().map(|code| Json::Text(code.clone()));
                assert!(codes.eq(libraries.into_iter().map(|(_, code)| code)), "{name}");
            } else if !key.starts_with(b"__") {
                let key_text = key.escape_ascii().to_string();
                let (content, ..) = keys.remove(&(db, key)).unwrap_or_else(|| panic!("{name}: no key {key_text}"));
                assert!(same(&content, &json), "{name}: {key_text} is {content:?}, not {json:?}");
            }
        }
    }
    assert!(keys.is_empty(), "{name}: keys that should not be: {keys:?}");
}

#[test]
fn librdb_samples_load_to_what_is_told_beside_them() {
    let Some(folder) = folder() else { return };
    let pairs = [
        ("cluster_slot_info", "cluster_slot_info"),
        ("function2", "function2"),
        ("hash_lp_v11", "hash_lp_v11_data"),
        ("hash_v3", "hash_data"),
        ("hash_v3", "plain_hash_data"),
        ("hash_zl_v6", "hash_zl_v6_data"),
        ("hash_zm_v2", "hash_zm_v2_data"),
        ("mem_policy_lfu", "mem_policy_lfu"),
        ("mem_policy_lru", "mem_policy_lru"),
        ("module_aux", "module_aux_data"),
        ("multiple_dbs", "multiple_dbs_data"),
        ("multiple_lists_strings", "multiple_lists_strings_data"),
        ("plain_list_v6", "plain_list_v6_data"),
        ("plain_set_v6", "plain_set_v6_data"),
        ("plain_zset_2_v11", "plain_zset_2_v11_data"),
        ("plain_zset_v6", "plain_zset_v6_data"),
        ("quicklist", "quicklist_data"),
        ("set_is_v11", "set_is_v11_data"),
        ("set_lp_v11", "set_lp_v11_data"),
        ("set_not_expired_v11", "set_not_expired"),
        ("single_key", "single_key_data"),
        ("string_int_encoded", "string_int_encoded"),
        ("ziplist_v3", "ziplist_data"),
        ("zset_lp_v11", "zset_lp_v11_data"),
        ("zset_zl_v6", "zset_zl_v6_data"),
    ];
    for (rdb, json) in pairs {
        let bytes = std::fs::read(folder.join(format!("librdb/{rdb}.rdb"))).expect(rdb);
        let text = std::fs::read(folder.join(format!("librdb/{json}.json"))).expect(json);
        let told = load(&bytes).unwrap_or_else(|error| panic!("{rdb}: {error}"));
        check(rdb, &told, &text);
        assert!(load_slices(bytes.chunks(1)).expect(rdb) == told, "{rdb} one by one");
    }
}

#[test]
fn other_samples_hold_what_stock_finds_in_them() {
    let Some(folder) = folder() else { return };
    let counts = [
        ("librdb/100_lists", 100),
        ("librdb/empty", 0),
        ("librdb/function", 0),
        ("librdb/quicklist2_v11", 1),
        ("librdb/script", 0),
        ("librdb/script_legacy", 0),
        ("librdb/set_expired_v11", 1),
        ("librdb/stream_v11", 1),
        ("librdb/string_lzf", 2),
        ("rdb-tools/dictionary", 1),
        ("rdb-tools/easily_compressible_string_key", 1),
        ("rdb-tools/empty_database", 0),
        ("rdb-tools/hash_as_ziplist", 1),
        ("rdb-tools/integer_keys", 6),
        ("rdb-tools/intset_16", 1),
        ("rdb-tools/intset_32", 1),
        ("rdb-tools/intset_64", 1),
        ("rdb-tools/keys_with_expiry", 1),
        ("rdb-tools/linkedlist", 1),
        ("rdb-tools/multiple_databases", 2),
        ("rdb-tools/non_ascii_values", 6),
        ("rdb-tools/parser_filters", 43),
        ("rdb-tools/rdb_version_5_with_checksum", 6),
        ("rdb-tools/rdb_version_8_with_64b_length_and_scores", 2),
        ("rdb-tools/redis_50_with_streams", 14),
        ("rdb-tools/regular_set", 1),
        ("rdb-tools/regular_sorted_set", 1),
        ("rdb-tools/sorted_set_as_ziplist", 1),
        ("rdb-tools/uncompressible_string_keys", 3),
        ("rdb-tools/ziplist_that_compresses_easily", 1),
        ("rdb-tools/ziplist_that_doesnt_compress", 1),
        ("rdb-tools/ziplist_with_integers", 1),
        ("rdb-tools/zipmap_that_compresses_easily", 1),
        ("rdb-tools/zipmap_that_doesnt_compress", 1),
        ("rdb-tools/zipmap_with_big_values", 1),
    ];
    for (name, count) in counts {
        let bytes = std::fs::read(folder.join(format!("{name}.rdb"))).expect(name);
        let told = load(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(told.keys.len(), count, "{name}");
    }
}

#[test]
fn a_stream_of_7_2_has_its_groups_and_what_is_pending() {
    let Some(folder) = folder() else { return };
    let bytes = std::fs::read(folder.join("librdb/stream_v11.rdb")).expect("there");
    let told = load(&bytes).expect("sound");
    let Some(Content::Stream(text)) = told.content(0, "mystream") else { panic!("{told:?}") };
    for fact in [
        "length 6 last 1695893015933-0 deleted 0-0 added 6\n1695649068107-0 message=Message1\n",
        "1695893015933-0 field1=value1 field2=value2 field3=value3\ngroup groupA 1695649446276-0 Some(4)\n",
        "  1695649446276-0 consumerA2 1695649446276 1\n  consumer consumerA1 1696679585023 0\n",
        "group groupB 1695649069139-0 Some(3)\n  1695649069139-0 consumerB1 1695649069139 1\n",
        "  consumer consumerB1 1696679585026 1\n",
    ] {
        assert!(text.contains(fact), "{fact} is not in {text}");
    }
    assert!(load_slices(bytes.chunks(1)).expect("sound") == told);
}

#[test]
fn fields_that_expire_are_read_in_the_forms_before_their_release() {
    let Some(folder) = folder() else { return };
    let times: [(&str, [Option<i64>; 3]); 2] = [
        ("hash_lp_with_hexpire_v12", [Some(70_368_744_177_663), Some(70_368_744_107_663), None]),
        ("hash_with_expire_v12", [Some(0x3fff_ffff_e4a7), Some(0x3fff_ffff_e24f), None]),
    ];
    for (name, times) in times {
        let told = load(&std::fs::read(folder.join(format!("librdb/{name}.rdb"))).expect(name)).expect(name);
        let fields = (1..)
            .zip(times)
            .map(|(n, time)| (format!("field{n}").into_bytes(), (format!("value{n}").into_bytes(), time)));
        assert_eq!(told.keys[&(0, b"myhash".to_vec())].0, Content::Fading(fields.collect()), "{name}");
    }
}

#[test]
fn samples_of_what_cannot_be_held_are_refused_by_name() {
    let Some(folder) = folder() else { return };
    let cases = [
        ("librdb/future_v19", ErrorKind::Version(99), ""),
        ("librdb/module", ErrorKind::ModuleType("test__rdb".into()), "key1"),
        ("librdb/module_aux_empty", ErrorKind::ModuleAux("graphdata".into()), ""),
        ("rdb-tools/redis_40_with_module", ErrorKind::ModuleType("ReJSON-RL".into()), "foo"),
        ("rdb-tools/redis_60_with_module_aux", ErrorKind::ModuleAux("test__rdb".into()), ""),
    ];
    for (name, kind, key) in cases {
        let bytes = std::fs::read(folder.join(format!("{name}.rdb"))).expect(name);
        let error = load(&bytes).expect_err(name);
        assert_eq!(error.kind, kind, "{name}");
        assert_eq!(error.key.unwrap_or_default(), key.as_bytes(), "{name}");
    }
    let bytes = std::fs::read(folder.join("librdb/invalid_chksum_v8.rdb")).expect("there");
    assert!(matches!(load(&bytes).expect_err("wrong").kind, ErrorKind::Checksum { .. }));
}

#[test]
fn damaged_samples_give_errors_or_data_and_samples_cut_are_not_whole() {
    let Some(folder) = folder() else { return };
    let mut seen = 0;
    for entry in ["librdb", "rdb-tools"].iter().flat_map(|part| std::fs::read_dir(folder.join(part)).expect(part)) {
        let path = entry.expect("entry").path();
        let bytes = std::fs::read(&path).expect("readable");
        if path.extension().is_none_or(|extension| extension != "rdb") || bytes.len() > 2500 {
            continue;
        }
        seen += 1;
        for at in 0..bytes.len() {
            assert!(load(&bytes[..at]).is_err(), "{} cut at {at}", path.display());
            for mask in [0x01, 0x40, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= mask;
                let _ = load(&changed);
            }
        }
    }
    assert!(seen > 40, "{seen}");
}
