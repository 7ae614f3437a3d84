//! The stream beside a map of its entries, and the bytes of its nodes.

use super::*;
use crate::base::rng::Rng;
use crate::types::Element;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;
type Twin = BTreeMap<StreamId, Fields>;

fn id(ms: u64, seq: u64) -> StreamId {
    StreamId::new(ms, seq)
}

fn pairs(fields: &Fields) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
    fields.iter().map(|(field, value)| (&field[..], &value[..]))
}

fn read(entry: Entry<'_>) -> (StreamId, Fields) {
    let fields: Fields = entry.fields().map(|(field, value)| (field.to_vec(), value.to_vec())).collect();
    assert_eq!(fields.len(), entry.len());
    (entry.id, fields)
}

fn random_fields(rng: &mut Rng) -> Fields {
    let word = |rng: &mut Rng| match rng.below(5) {
        0 => rng.below(300).to_string().into_bytes(),
        1 => vec![b'v'; rng.index(80)],
        2 => (rng.next_u64() as i64).to_string().into_bytes(),
        _ => format!("w{}", rng.below(50)).into_bytes(),
    };
    let shape = rng.below(4);
    let count = if shape < 3 { 1 + shape as usize } else { 1 + rng.index(4) };
    let fields = (0..count).map(|at| {
        let name = if shape < 3 { format!("f{at}").into_bytes() } else { word(rng) };
        (name, word(rng))
    });
    fields.collect()
}

fn assert_same(stream: &Stream, twin: &Twin) {
    assert_eq!(stream.len(), twin.len() as u64);
    let whole: Vec<_> = stream.range(StreamId::MIN, StreamId::MAX).map(read).collect();
    assert!(whole.iter().map(|(id, fields)| (id, fields)).eq(twin.iter()));
    let backwards: Vec<_> = stream.range_rev(StreamId::MIN, StreamId::MAX).map(read).collect();
    assert!(backwards.iter().eq(whole.iter().rev()));
    assert_eq!(stream.first_id(), twin.keys().next().copied());
    assert_eq!(stream.last_entry_id(), twin.keys().next_back().copied());
    let mut loaded = Stream::new();
    for (master, pack) in stream.nodes() {
        assert!(loaded.push_node(master, pack.clone()).is_some(), "{pack:?}");
    }
    assert_eq!(loaded.len(), stream.len());
}

fn assert_ranges(stream: &Stream, twin: &Twin, rng: &mut Rng) {
    let any = |rng: &mut Rng| id(rng.below(60), rng.below(4));
    for _ in 0..20 {
        let (start, end) = (any(rng), any(rng));
        let expected: Vec<_> =
            if start > end { Vec::new() } else { twin.range(start..=end).map(|(id, _)| *id).collect() };
        let found: Vec<_> = stream.range(start, end).map(|entry| entry.id).collect();
        assert_eq!(found, expected);
        let mut found: Vec<_> = stream.range_rev(start, end).map(|entry| entry.id).collect();
        found.reverse();
        assert_eq!(found, expected);
        assert_eq!(stream.get(start).is_some(), twin.contains_key(&start));
    }
}

/// Trims the twin; with `approx` the stream says how far it went.
fn trim_twin(twin: &mut Twin, to: Trim, most: u64) -> u64 {
    let mut trimmed = 0;
    while trimmed < most {
        let Some(&first) = twin.keys().next() else { break };
        let goes = match to {
            Trim::MaxLen(len) => twin.len() as u64 > len,
            Trim::MinId(least) => first < least,
        };
        if !goes {
            break;
        }
        twin.remove(&first);
        trimmed += 1;
    }
    trimmed
}

#[test]
fn a_stream_is_what_a_map_is() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let limits = CollectionLimits {
            stream_node_max_entries: [0, 1, 5, 100][rng.index(4)],
            stream_node_max_bytes: [0, 1, 100, 4096][rng.index(4)],
            ..CollectionLimits::default()
        };
        let (mut stream, mut twin) = (Stream::new(), Twin::new());
        let mut last = StreamId::MIN;
        for _ in 0..400 {
            match rng.below(10) {
                0..6 => {
                    let fields = random_fields(&mut rng);
                    let new = if rng.below(2) == 0 {
                        last.next().unwrap_or(last)
                    } else {
                        id(last.ms + rng.below(3), rng.below(4))
                    };
                    let added = stream.append(NewId::Exact(new), 0, pairs(&fields), &limits);
                    assert_eq!(added.is_ok(), new > last);
                    if added.is_ok() {
                        last = new;
                        twin.insert(new, fields);
                    }
                }
                6 | 7 => {
                    let any = id(rng.below(last.ms + 2), rng.below(4));
                    assert_eq!(stream.delete(any), twin.remove(&any).is_some());
                }
                8 => {
                    let to = match rng.below(2) {
                        0 => Trim::MaxLen(rng.below(twin.len() as u64 + 3)),
                        _ => Trim::MinId(id(rng.below(last.ms + 2), rng.below(4))),
                    };
                    let (approx, limit) = (rng.below(2) == 0, rng.below(3) * 7);
                    let trimmed = stream.trim(to, approx, if approx { limit } else { 0 });
                    let most = if approx { trimmed } else { u64::MAX };
                    assert_eq!(trim_twin(&mut twin, to, most), trimmed);
                    assert!(!approx || limit == 0 || trimmed <= limit);
                }
                _ => assert_ranges(&stream, &twin, &mut rng),
            }
            assert_eq!(stream.last_id(), last);
        }
        assert_same(&stream, &twin);
        assert_same(&stream.clone(), &twin);
    }
}

#[test]
fn nodes_hold_the_bytes_of_the_format() {
    let limits = CollectionLimits::default();
    let mut stream = Stream::new();
    let mut add = |ms, fields: &[(&[u8], &[u8])]| {
        let fields = fields.iter().map(|(field, value)| (&field[..], &value[..]));
        stream.append(NewId::Exact(id(ms, 1)), 0, fields, &limits).expect("above");
    };
    add(1000, &[(b"a", b"1"), (b"b", b"x")]);
    add(1007, &[(b"a", b"2"), (b"b", b"y")]);
    add(1008, &[(b"a", b"3")]);
    assert!(stream.delete(id(1007, 1)));
    let (_, pack) = stream.nodes().next().expect("a node");
    let elements: Vec<String> = pack.iter().map(|element| element.to_vec().escape_ascii().to_string()).collect();
    assert_eq!(elements.join(" "), "2 1 2 a b 0 2 0 0 1 x 5 3 7 0 2 y 5 0 8 0 1 a 3 6");
    assert_eq!((stream.max_deleted_id(), stream.entries_added(), stream.len()), (id(1007, 1), 3, 2));
}

#[test]
fn a_node_that_contradicts_itself_is_refused() {
    let build = |numbers: &[&str]| {
        let mut pack = Listpack::new();
        numbers.iter().for_each(|text| pack.push(text.as_bytes()));
        Stream::new().push_node(id(5, 5), pack).is_some()
    };
    assert!(build(&["1", "0", "1", "f", "0", "2", "0", "0", "v", "4"]));
    assert!(build(&["0", "1", "1", "f", "0", "3", "0", "0", "v", "4"]));
    assert!(build(&["1", "0", "0", "0", "0", "0", "0", "1", "f", "v", "6"]));
    for unsound in [
        &[][..],
        &["0", "0", "1", "f", "0"],
        &["1", "0", "1", "f", "0"],
        &["2", "0", "1", "f", "0", "2", "0", "0", "v", "4"],
        &["1", "1", "1", "f", "0", "2", "0", "0", "v", "4"],
        &["1", "0", "1", "f", "1", "2", "0", "0", "v", "4"],
        &["1", "0", "1", "f", "0", "4", "0", "0", "v", "4"],
        &["1", "0", "1", "f", "0", "2", "1", "0", "v", "4"],
        &["1", "0", "1", "f", "0", "2", "0", "0", "v", "5"],
        &["1", "0", "1", "f", "0", "2", "0", "0", "v"],
        &["1", "0", "-1", "0", "2", "0", "0", "4"],
        &["1", "0", "9000000000000000000", "f", "0"],
        &["1", "0", "1", "f", "0", "0", "0", "0", "9000000000000000000", "v", "4"],
        &["1", "0", "1", "f", "0", "0", "0", "0", "-1", "3"],
        &["2", "0", "1", "f", "0", "2", "0", "0", "v", "4", "2", "0", "0", "v", "4"],
    ] {
        assert!(!build(unsound), "{unsound:?}");
    }
}

#[test]
fn ids_go_up() {
    let stream = |last| {
        let mut stream = Stream::new();
        stream.set_last_id(last);
        stream
    };
    let max = u64::MAX;
    for (last, wanted, now, expected) in [
        (id(5, 5), NewId::Auto, 9, Some(id(9, 0))),
        (id(5, 5), NewId::Auto, 5, Some(id(5, 6))),
        (id(5, 5), NewId::Auto, 1, Some(id(5, 6))),
        (id(5, max), NewId::Auto, 1, Some(id(6, 0))),
        (StreamId::MAX, NewId::Auto, 1, None),
        (id(5, 5), NewId::AutoSeq(5), 1, Some(id(5, 6))),
        (id(5, max), NewId::AutoSeq(5), 1, None),
        (id(5, 5), NewId::AutoSeq(4), 1, None),
        (id(5, 5), NewId::AutoSeq(6), 1, Some(id(6, 0))),
        (StreamId::MIN, NewId::AutoSeq(0), 1, Some(id(0, 1))),
        (id(5, 5), NewId::Exact(id(5, 5)), 1, None),
        (id(5, 5), NewId::Exact(id(5, 6)), 1, Some(id(5, 6))),
    ] {
        assert_eq!(stream(last).next_id(wanted, now), expected, "{last:?} {wanted:?}");
    }
    assert_eq!(id(1, max).next().and_then(StreamId::prev), Some(id(1, max)));
    assert_eq!((StreamId::MAX.next(), StreamId::MIN.prev()), (None, None));
    assert_eq!(id(max, 0).text().bytes(), b"18446744073709551615-0");
    assert_eq!(StreamId::from_bytes(id(3, 9).to_bytes()), id(3, 9));
}

/// Nodes of a radix tree, built as one: each node has the bytes that lead on from it.
fn naive_radix_nodes(keys: &[[u8; 16]], depth: usize) -> usize {
    match keys {
        [] => 1,
        // The end of a key, and the run of bytes before it.
        [_] => 1 + usize::from(depth < 16),
        _ => {
            let parts = (depth..16).find(|&at| keys.iter().any(|key| key[at] != keys[0][at])).expect("keys differ");
            let below: usize =
                keys.chunk_by(|a, b| a[parts] == b[parts]).map(|part| naive_radix_nodes(part, parts + 1)).sum();
            below + 1 + usize::from(parts > depth)
        }
    }
}

#[test]
fn the_nodes_of_the_radix_tree_are_counted_right() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let limits = CollectionLimits { stream_node_max_entries: 1, ..CollectionLimits::default() };
        let (mut stream, mut ids) = (Stream::new(), Vec::new());
        for _ in 0..rng.index(60) {
            let magnitude = [8, 16, 40, 63][rng.index(4)];
            let number = rng.index(3);
            ids.push(id(rng.below(1 << magnitude), 1 + rng.below(1 << [1, 9, 17][number])));
        }
        ids.sort();
        ids.dedup();
        for &new in &ids {
            stream.append(NewId::Exact(new), 0, [(&b"f"[..], &b"v"[..])].into_iter(), &limits).expect("above");
        }
        let keys: Vec<_> = ids.iter().map(|id| id.to_bytes()).collect();
        assert_eq!(stream.radix_tree_nodes(), naive_radix_nodes(&keys, 0), "seed {seed}");
    }
}

#[test]
fn what_is_pending_stands_with_the_group_and_with_one_consumer() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut group = Group::new(StreamId::MIN, Some(0));
        let mut twin: BTreeMap<StreamId, (Vec<u8>, i64, u64)> = BTreeMap::new();
        for step in 0..500 {
            let name = format!("c{}", rng.below(5)).into_bytes();
            let some = id(rng.below(9), rng.below(9));
            match rng.below(8) {
                0 => {
                    let had = group.consumer_named(&name).map(|_| twin.values().filter(|held| held.0 == name).count());
                    assert_eq!(group.remove_consumer(&name), had);
                    twin.retain(|_, held| held.0 != name);
                }
                1 => assert_eq!(group.acknowledge(some), twin.remove(&some).is_some()),
                2 => {
                    group.deliver_again(some, step);
                    twin.entry(some).and_modify(|held| (held.1, held.2) = (step, held.2 + 1));
                }
                _ => {
                    let consumer = group.consumer_named(&name);
                    let added = group.add_consumer(&name, step);
                    assert_eq!(added.is_none(), consumer.is_some());
                    let consumer = consumer.or(added).expect("it was or is");
                    group.assign(some, Nack { delivered_ms: step, deliveries: 1, consumer });
                    twin.insert(some, (name, step, 1));
                }
            }
        }
        let told = |(id, nack): (StreamId, &Nack)| {
            (id, (group.consumer(nack.consumer).name().to_vec(), nack.delivered_ms, nack.deliveries))
        };
        assert!(group.pending_from(StreamId::MIN).map(told).eq(twin.clone()));
        assert_eq!(group.pending_len(), twin.len());
        for (number, consumer) in group.consumers() {
            let held = twin.clone().into_iter().filter(|(_, held)| held.0 == consumer.name());
            let own: Vec<_> = held.collect();
            assert_eq!(consumer.pending_len(), own.len());
            assert!(group.pending_of(number, StreamId::MIN).map(told).eq(own));
        }
    }
}

#[test]
fn numbers_are_kept_as_numbers() {
    let mut stream = Stream::new();
    let fields = [(&b"12"[..], &b"-7"[..]), (b"f", b"007")];
    stream.append(NewId::Auto, 5, fields.into_iter(), &CollectionLimits::default()).expect("above");
    let entry = stream.get(id(5, 0)).expect("there");
    let values: Vec<_> = entry.fields().collect();
    assert!(matches!(values[0], (Element::Int(12), Element::Int(-7))));
    assert!(matches!(values[1], (Element::Bytes(b"f"), Element::Bytes(b"007"))));
}
