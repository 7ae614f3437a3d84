//! The whole data set out and in again, and what goes wrong on the way.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use super::load::{LoadError, LoadOptions, Staged, StagingOptions, StagingSink, load_file};
use super::rdb::{ErrorKind, Loader, RdbError, Sink};
use super::snapshot::{
    Accesses, SnapshotOptions, SnapshotSummary, save_to_file, standard_aux, temp_file, write_snapshot,
};
use crate::base::disk;
use crate::base::rng::Rng;
use crate::keyspace::{Db, Keyspace};
use crate::types::stream::NewId;
use crate::types::table::TableEntry;
use crate::types::{CollectionLimits, FieldTime, Value, ValueRef};

/// A directory of one test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("understudy-persist-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("temporary directory");
        Folder(path)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("there");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("entry").file_name().into_string().expect("ASCII")).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Keys of every type in several databases, some of which expire.
fn data_set(seed: u64, keys: usize) -> Keyspace {
    let mut rng = Rng::new(seed);
    let mut keyspace = Keyspace::new(16, Rng::new(1));
    let limits = CollectionLimits::default();
    for n in 0..keys {
        keyspace.select([0, 1, 15][rng.index(3)]);
        let key = if n % 4 == 0 { n.to_string() } else { format!("key:{n}") }.into_bytes();
        let expire_ms = (rng.below(3) == 0).then(|| rng.below(1 << 42) as i64);
        let size = rng.index(40).max(1) * [1, 20][rng.index(2)];
        let texts: Vec<Vec<u8>> = (0..size).map(|i| format!("{i}{}", "x".repeat(rng.index(90))).into_bytes()).collect();
        let mut value = match rng.below(9) {
            0 => return_str(&mut keyspace, &key, &texts.concat(), expire_ms),
            1 => return_str(&mut keyspace, &key, rng.next_u64().to_string().as_bytes(), expire_ms),
            2 => return_str(&mut keyspace, &key, &texts[0], expire_ms),
            3 => Some(Value::List(Default::default())),
            4 => Some(Value::Set(Default::default())),
            5 => Some(Value::Hash(Default::default())),
            8 => Some(Value::Fading(Default::default())),
            6 => Some(Value::Stream(Default::default())),
            _ => Some(Value::ZSet(Default::default())),
        };
        for text in &texts {
            match &mut value {
                Some(Value::List(list)) => list.push_back(text, &limits),
                Some(Value::Set(set)) => assert!(set.add(text, &limits)),
                Some(Value::Hash(hash)) => assert!(hash.set(text, b"value", &limits)),
                Some(Value::Fading(fading)) => {
                    let time = FieldTime::Set((rng.below(2) == 0).then(|| 1 + rng.below(1 << 42) as i64));
                    assert!(fading.set(text, b"value", time, &limits));
                }
                Some(Value::ZSet(zset)) => assert!(zset.insert(text, rng.below(9) as f64 / 4.0, &limits).is_none()),
                Some(Value::Stream(stream)) => {
                    let field = [(&b"field"[..], &text[..])];
                    assert!(stream.append(NewId::Auto, 5, field.into_iter(), &limits).is_ok());
                }
                Some(Value::Str(_)) | None => {}
            }
        }
        if let Some(value) = value {
            keyspace.insert(&key, value, expire_ms);
        }
    }
    keyspace
}

fn return_str(keyspace: &mut Keyspace, key: &[u8], text: &[u8], expire_ms: Option<i64>) -> Option<Value> {
    keyspace.set_str(key, text, expire_ms);
    None
}

/// A key's type, encoding, contents and expiry.
type Told = (&'static str, &'static str, Vec<Vec<u8>>, Option<i64>);

/// What stands in a database, without the order in which tables keep it.
fn told(db: &Db) -> BTreeMap<Vec<u8>, Told> {
    let tell = |entry: &crate::types::entry::Entry| {
        let value = entry.value();
        // Where no field expires after all, the file does not tell it from another hash.
        let encoding = match value {
            ValueRef::Fading(fading) if !fading.expires() && fading.encoding() == "listpackex" => "listpack",
            _ => entry.encoding(),
        };
        let mut texts: Vec<Vec<u8>> = match value {
            ValueRef::Str(string) => vec![string.element().to_vec()],
            ValueRef::List(list) => list.iter().map(|element| element.to_vec()).collect(),
            ValueRef::Set(set) => set.iter().map(|member| member.to_vec()).collect(),
            ValueRef::Hash(hash) => hash.iter().map(|(f, v)| [f.to_vec(), v.to_vec()].join(&b'=')).collect(),
            ValueRef::Fading(fading) => fading
                .iter()
                .map(|(f, v, time)| {
                    [
                        &f.to_vec()[..],
                        b"=",
                        &v.to_vec(),
                        time.map(|time| format!(" {time}")).unwrap_or_default().as_bytes(),
                    ]
                    .concat()
                })
                .collect(),
            ValueRef::ZSet(zset) => {
                zset.iter().map(|(m, score)| [&m.to_vec()[..], &score.to_le_bytes()].concat()).collect()
            }
            ValueRef::Stream(stream) => stream.nodes().map(|(_, node)| node.as_bytes().to_vec()).collect(),
        };
        if matches!(value, ValueRef::Set(_) | ValueRef::Hash(_) | ValueRef::Fading(_)) {
            texts.sort();
        }
        (value.type_name(), encoding, texts, entry.expire_ms())
    };
    let told: BTreeMap<_, _> = db.iter().map(|entry| (entry.key().to_vec(), tell(entry))).collect();
    assert_eq!(told.len(), db.len());
    assert_eq!(told.values().filter(|(.., expire_ms)| expire_ms.is_some()).count(), db.volatile());
    told
}

fn bytes_of(keyspace: &Keyspace, options: &SnapshotOptions) -> (Vec<u8>, SnapshotSummary) {
    let mut bytes = Vec::new();
    let summary = write_snapshot(keyspace, &mut bytes, options).expect("memory");
    assert_eq!(summary, SnapshotSummary { keys: keyspace.total_keys() as u64, bytes: bytes.len() as u64 });
    (bytes, summary)
}

fn stage(bytes: &[u8], step: usize, options: StagingOptions) -> Result<Staged, RdbError> {
    let mut sink = StagingSink::new(options);
    let mut loader = Loader::new(CollectionLimits::default());
    for slice in bytes.chunks(step) {
        loader.feed(slice, &mut sink)?;
    }
    loader.finish()?;
    sink.finish()
}

#[test]
fn what_is_saved_is_loaded() {
    for seed in 0..4 {
        let keyspace = data_set(seed, 150);
        let options = SnapshotOptions { compress: seed % 2 == 0, ..SnapshotOptions::default() };
        let (bytes, _) = bytes_of(&keyspace, &options);
        for step in [1, 1000, bytes.len()] {
            let staged = stage(&bytes, step, StagingOptions::new(16)).expect("sound");
            assert_eq!((staged.keys, staged.expired), (150, 0));
            assert_eq!(staged.dbs.len(), 16);
            for (here, there) in keyspace.dbs().iter().zip(&staged.dbs) {
                assert_eq!(told(here), told(there), "seed {seed} step {step}");
            }
        }
    }
    let (bytes, summary) = bytes_of(&Keyspace::new(4, Rng::new(1)), &SnapshotOptions::default());
    assert_eq!((bytes.len(), summary.keys), (18, 0));
    assert_eq!(stage(&bytes, 1, StagingOptions::new(1)).expect("sound").keys, 0);
}

#[test]
fn keys_expired_before_a_time_are_left_out() {
    let mut keyspace = Keyspace::new(1, Rng::new(1));
    for at in 0..100 {
        keyspace.set_str(format!("key{at}").as_bytes(), b"value", Some(at));
        keyspace.set_str(format!("lasting{at}").as_bytes(), b"value", None);
    }
    let (bytes, _) = bytes_of(&keyspace, &SnapshotOptions::default());
    let options = StagingOptions { discard_expired_before: Some(40), ..StagingOptions::new(1) };
    let staged = stage(&bytes, 100, options).expect("sound");
    assert_eq!((staged.keys, staged.expired, staged.dbs[0].volatile()), (160, 40, 60));
    assert!(staged.dbs[0].get(b"key39").is_none() && staged.dbs[0].get(b"key40").is_some());
    assert_eq!(stage(&bytes, 100, StagingOptions::new(1)).expect("sound").keys, 200);
}

/// A snapshot with the key "twin" at the start and after `distance - 1` other keys.
fn twins(distance: usize) -> Vec<u8> {
    let mut bytes = b"REDIS0004\xfe\x02\0\x04twin\x03one".to_vec();
    for n in 1..distance {
        bytes.extend_from_slice(format!("\0\x06key{n:03}\x01x").as_bytes());
    }
    bytes.extend_from_slice(b"\0\x04twin\x03two\xff");
    bytes
}

#[test]
fn a_key_that_comes_twice_is_an_error_or_replaces_the_first() {
    for distance in [1, 2, 15, 16, 17, 18, 33, 500] {
        let bytes = twins(distance);
        let error = stage(&bytes, 64, StagingOptions::new(3)).err().expect("a duplicate");
        assert!(error.to_string().contains("RDB has duplicated key 'twin' in DB 2"), "{error}");
        assert_eq!(error.key.as_deref(), Some(&b"twin"[..]));
        let options = StagingOptions { replace_duplicates: true, ..StagingOptions::new(3) };
        let staged = stage(&bytes, 64, options).expect("replaced");
        let told = told(&staged.dbs[2]);
        assert_eq!(told.len(), distance);
        assert_eq!(told[&b"twin"[..]].2, [b"two"], "{distance}");
    }
}

#[test]
fn databases_that_are_not_there_are_named() {
    let error = stage(&twins(1), 10, StagingOptions::new(2)).err().expect("refused");
    assert!(error.to_string().contains("more than 2 databases (it has keys in DB 2)"), "{error}");
    assert!(stage(b"REDIS0004\xfe\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff", 100, StagingOptions::new(2)).is_err());
}

#[test]
fn claims_of_size_are_believed_as_far_as_the_bytes_can_bear_them_out() {
    let bytes = b"REDIS0007\xfe\x00\xfb\x81\xff\xff\xff\xff\xff\xff\xff\xff\x00\
        \xfe\x01\xfb\x80\0\x10\0\0\0\xff\0\0\0\0\0\0\0\0";
    let options = StagingOptions { snapshot_bytes: Some(bytes.len() as u64), ..StagingOptions::new(2) };
    let staged = stage(bytes, 100, options).expect("sound");
    assert!(staged.dbs.iter().map(Db::table_bytes).sum::<usize>() < 4096);
    let staged = stage(bytes, 100, StagingOptions::new(2)).expect("sound");
    assert!(staged.dbs.iter().map(Db::table_bytes).sum::<usize>() < 32 << 20);
}

#[test]
fn what_stands_beside_the_keys_comes_back() {
    let keyspace = Keyspace::new(1, Rng::new(1));
    let id = "5e3a0b7c2f1d4e6a8b9c0d1e2f3a4b5c6d7e8f90";
    let functions = vec![b"#!lua name=one".to_vec(), b"#!lua name=two".to_vec()];
    let aux = standard_aux(Some((3, id, 1 << 40)), 1_700_000_000, 987_654_321, false);
    let options = SnapshotOptions { aux, functions: functions.clone(), ..SnapshotOptions::default() };
    let staged = stage(&bytes_of(&keyspace, &options).0, 10, StagingOptions::new(1)).expect("sound");
    assert_eq!(staged.functions, functions);
    let info = staged.info;
    assert_eq!((info.repl_stream_db, info.repl_id.as_deref(), info.repl_offset), (Some(3), Some(id), Some(1 << 40)));
    assert_eq!((info.created, info.used_memory), (Some(1_700_000_000), Some(987_654_321)));
    assert_eq!((info.writer_version.as_deref(), info.aof_base), (Some("7.2.4"), false));
    let names: Vec<_> = standard_aux(None, 1, 1, true).into_iter().map(|(name, _)| String::from_utf8(name)).collect();
    assert_eq!(
        names.into_iter().flatten().collect::<Vec<_>>().join(" "),
        "redis-ver redis-bits ctime used-mem aof-base"
    );
}

#[test]
fn idle_times_go_into_the_access_clock() {
    let bytes = b"REDIS0009\xf8\x05\0\x01a\x01x\0\x01b\x01x\xff\0\0\0\0\0\0\0\0";
    let staged = stage(bytes, 100, StagingOptions { access_clock: 3, ..StagingOptions::new(1) }).expect("sound");
    let access = |key: &[u8]| staged.dbs[0].get(key).map(|entry| entry.access());
    assert_eq!((access(b"a"), access(b"b")), (Some(0xff_fffe), Some(3)));
}

#[test]
fn what_is_known_of_accesses_is_saved_and_comes_back() {
    let mut keys = Keyspace::new(1, Rng::new(1));
    for lfu in [false, true] {
        keys.access.lfu = lfu;
        keys.set_time(600_000);
        keys.set_str(b"k", b"v", Some(1 << 42));
        keys.set_access(b"k", if lfu { 10 << 8 | 200 } else { 570 });
        keys.set_time(660_000);
        let accesses = if lfu { Accesses::Frequency } else { Accesses::Idle };
        let mut bytes = Vec::new();
        write_snapshot(&keys, &mut bytes, &SnapshotOptions { accesses, ..SnapshotOptions::default() }).expect("memory");
        let stage_at = |lfu, access_clock| {
            let staged =
                stage(&bytes, 7, StagingOptions { access_clock, lfu, ..StagingOptions::new(1) }).expect("sound");
            staged.dbs[0].get(b"k").map(|entry| entry.access()).expect("it was saved")
        };
        let (counted, timed) = (stage_at(true, 1 << 24 | 50 << 8 | 5), stage_at(false, 1000));
        let expected = if lfu { (50 << 8 | 199, 1000) } else { (50 << 8 | 5, 910) };
        assert_eq!((counted, timed), expected, "lfu {lfu}");
    }
}

/// Takes so many bytes and no more.
struct Disk {
    room: usize,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = bytes.len().min(self.room);
        self.room -= written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_is_full_at_any_byte_is_an_error() {
    let keyspace = data_set(7, 20);
    let options = SnapshotOptions::default();
    let (bytes, summary) = bytes_of(&keyspace, &options);
    for room in 0..bytes.len() {
        let error = write_snapshot(&keyspace, Disk { room }, &options).expect_err("full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "at {room}");
    }
    assert_eq!(write_snapshot(&keyspace, Disk { room: bytes.len() }, &options).expect("room"), summary);
}

#[test]
fn delays_change_nothing_but_the_time() {
    let keyspace = data_set(8, 10);
    let plain = bytes_of(&keyspace, &SnapshotOptions::default()).0;
    for key_delay_us in [1, -1, -3, i32::MIN] {
        assert!(bytes_of(&keyspace, &SnapshotOptions { key_delay_us, ..SnapshotOptions::default() }).0 == plain);
    }
}

#[test]
fn a_file_is_there_whole_or_not_at_all() {
    let folder = Folder::new("whole");
    let keyspace = data_set(9, 60);
    for incremental_fsync in [true, false] {
        let options = SnapshotOptions { incremental_fsync, ..SnapshotOptions::default() };
        let (bytes, summary) = bytes_of(&keyspace, &options);
        assert_eq!(
            save_to_file(&mut disk::Disk::System, &keyspace, &folder.0, "dump.rdb", &options).expect("saved"),
            summary
        );
        assert!(fs::read(folder.0.join("dump.rdb")).expect("there") == bytes);
        assert_eq!(folder.names(), ["dump.rdb"]);
    }
    fs::create_dir(folder.0.join("taken")).expect("made");
    assert!(save_to_file(&mut disk::Disk::System, &keyspace, &folder.0, "taken", &SnapshotOptions::default()).is_err());
    assert!(
        save_to_file(&mut disk::Disk::System, &keyspace, &folder.0, "no/such/place", &SnapshotOptions::default())
            .is_err()
    );
    assert_eq!(folder.names(), ["dump.rdb", "taken"], "no temporary file is left");
    assert!(
        save_to_file(
            &mut disk::Disk::System,
            &keyspace,
            &folder.0.join("nowhere"),
            "dump.rdb",
            &SnapshotOptions::default()
        )
        .is_err()
    );
    let temp = temp_file(&folder.0, &std::process::id().to_string());
    fs::create_dir(&temp).expect("made");
    assert!(
        save_to_file(&mut disk::Disk::System, &keyspace, &folder.0, "dump.rdb", &SnapshotOptions::default()).is_err()
    );
    assert_eq!(folder.names()[0], "dump.rdb", "the old one stays");
}

#[test]
fn a_file_larger_than_a_sync_step_is_written_whole() {
    let folder = Folder::new("large");
    let mut keyspace = Keyspace::new(1, Rng::new(1));
    let mut rng = Rng::new(3);
    for n in 0..3 {
        let text: Vec<u8> = (0..5_000_000).map(|_| rng.next_u64() as u8).collect();
        keyspace.set_str(format!("key{n}").as_bytes(), &text, None);
    }
    save_to_file(&mut disk::Disk::System, &keyspace, &folder.0, "dump.rdb", &SnapshotOptions::default())
        .expect("saved");
    let mut sink = StagingSink::new(StagingOptions::new(1));
    let options = LoadOptions { limits: CollectionLimits::default(), checksum: true };
    load_file(&disk::Disk::System, &folder.0.join("dump.rdb"), &options, &mut sink).expect("loaded");
    assert!(told(&sink.finish().expect("sound").dbs[0]) == told(&keyspace.dbs()[0]));
}

#[test]
fn files_that_are_not_whole_are_not_loaded() {
    let folder = Folder::new("damaged");
    let path = folder.0.join("dump.rdb");
    let (mut bytes, _) = bytes_of(&data_set(10, 10), &SnapshotOptions::default());
    let load = |bytes: &[u8], checksum| {
        fs::write(&path, bytes).expect("written");
        let options = LoadOptions { limits: CollectionLimits::default(), checksum };
        load_file(&disk::Disk::System, &path, &options, &mut StagingSink::new(StagingOptions::new(16)))
            .map(|loader| loader.keys_loaded())
    };
    let kind = |error| match error {
        LoadError::Rdb(error) => error.kind,
        LoadError::Io(error) => panic!("{error}"),
    };
    for cut in (0..bytes.len()).step_by(50) {
        assert_eq!(load(&bytes[..cut], true).map_err(kind), Err(ErrorKind::Truncated), "cut at {cut}");
    }
    assert_eq!(load(&[&bytes[..], b"more"].concat(), true).map_err(kind), Ok(10));
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(matches!(load(&bytes, true).map_err(kind), Err(ErrorKind::Checksum { .. })));
    assert_eq!(load(&bytes, false).map_err(kind), Ok(10));
    fs::remove_file(&path).expect("there");
    let options = LoadOptions { limits: CollectionLimits::default(), checksum: true };
    let error = load_file(&disk::Disk::System, &path, &options, &mut StagingSink::new(StagingOptions::new(1))).err();
    assert!(matches!(error, Some(LoadError::Io(error)) if error.kind() == io::ErrorKind::NotFound));
}

#[test]
fn a_string_is_the_same_key_told_either_way() {
    /// Sees strings only as values.
    struct Plain(StagingSink);
    impl Sink for Plain {
        fn select_db(&mut self, id: u64) -> Result<(), RdbError> {
            self.0.select_db(id)
        }
        fn function(&mut self, code: &[u8]) -> Result<(), RdbError> {
            self.0.function(code)
        }
        fn key(&mut self, db: u64, key: &[u8], value: Value, meta: super::rdb::KeyMeta) -> Result<(), RdbError> {
            self.0.key(db, key, value, meta)
        }
    }
    let (bytes, _) = bytes_of(&data_set(11, 200), &SnapshotOptions::default());
    let mut plain = Plain(StagingSink::new(StagingOptions::new(16)));
    let mut loader = Loader::new(CollectionLimits::default());
    assert_eq!(loader.feed(&bytes, &mut plain), Ok(bytes.len()));
    let plain = plain.0.finish().expect("sound");
    let staged = stage(&bytes, 100, StagingOptions::new(16)).expect("sound");
    for (here, there) in plain.dbs.iter().zip(&staged.dbs) {
        assert_eq!(told(here), told(there));
    }
}
