//! Listpacks: bytes of a peer that pass the check can be read from both ends and changed, as a list of strings can.

use super::Choices;
use understudy::types::listpack::{EncodedEntries, Listpack, Pos};

/// The first byte is the length of what is taken for a listpack, in units of four; its header is mended with the
/// second byte's leave. The rest chooses changes.
pub fn listpack(data: &[u8]) {
    let mut choices = Choices(data);
    let (len, mends) = (usize::from(choices.byte()) * 4, choices.byte() & 1 == 0);
    let mut bytes = choices.take(len.max(7)).to_vec();
    if mends && bytes.len() >= 7 {
        let total = bytes.len() as u32;
        bytes[..4].copy_from_slice(&total.to_le_bytes());
        bytes[4..6].copy_from_slice(&[0xff, 0xff]);
        *bytes.last_mut().unwrap() = 0xff;
    }
    let Some(mut pack) = Listpack::from_bytes_validated(&bytes, true) else { return };
    assert_eq!(pack.as_bytes(), bytes);
    let mut twin = contents(&pack);
    check(&pack, &twin);
    while !choices.is_empty() && twin.len() < 1000 {
        change(&mut pack, &mut twin, &mut choices);
        let again = Listpack::from_bytes_validated(pack.as_bytes(), true);
        assert!(again.is_some(), "{:?} after a change", pack.as_bytes());
        check(&pack, &twin);
    }
}

fn contents(pack: &Listpack) -> Vec<Vec<u8>> {
    pack.iter().map(|element| element.to_vec()).collect()
}

/// All ways to read come to the same.
fn check(pack: &Listpack, twin: &[Vec<u8>]) {
    assert_eq!(pack.len(), twin.len());
    assert_eq!(pack.is_empty(), twin.is_empty());
    assert_eq!(contents(pack), twin);
    assert!(pack.iter_rev().map(|element| element.to_vec()).eq(twin.iter().rev().cloned()));
    let mut at = pack.last();
    for expected in twin.iter().rev() {
        let pos = at.expect("as many as there are");
        assert_eq!(pack.at(pos).to_vec(), *expected);
        at = pack.prev(pos);
    }
    assert_eq!(at, None);
    if let Some(needle) = twin.get(twin.len() / 2) {
        let first = twin.iter().position(|element| element == needle).unwrap();
        assert_eq!(pack.find(needle, 0), pack.seek(first));
    }
    assert!(pack.get(twin.len()).is_none());
}

fn change(pack: &mut Listpack, twin: &mut Vec<Vec<u8>>, choices: &mut Choices<'_>) {
    let op = choices.byte();
    let index = choices.index(twin.len());
    let pos: Option<Pos> = pack.seek(index);
    let value = if op & 0x40 != 0 {
        vec![b'x'; choices.index(256) * 20]
    } else {
        let len = choices.index(24);
        choices.take(len).to_vec()
    };
    match (op % 10, pos) {
        (0, _) => {
            pack.push(&value);
            twin.push(value);
        }
        (1, _) => {
            pack.push_front(&value);
            twin.insert(0, value);
        }
        (2, Some(pos)) => {
            pack.insert_before(pos, &value);
            twin.insert(index, value);
        }
        (3, Some(pos)) => {
            pack.replace(pos, &value);
            twin[index] = value;
        }
        (4, Some(pos)) => {
            pack.remove(pos);
            twin.remove(index);
        }
        (5, _) => {
            let count = choices.index(4);
            pack.remove_range(index, count);
            let end = (index + count).min(twin.len());
            twin.drain(index.min(end)..end);
        }
        (6, _) => {
            let number = value.iter().take(8).fold(0, |number: i64, &byte| number << 8 | i64::from(byte));
            pack.push_int(number);
            twin.push(number.to_string().into_bytes());
        }
        (7, Some(pos)) => {
            let number = value.iter().take(8).fold(-1, |number: i64, &byte| number << 8 | i64::from(byte));
            pack.replace_int(pos, number);
            twin[index] = number.to_string().into_bytes();
        }
        (8, Some(_)) => {
            let tail = pack.split_off(index);
            assert_eq!(contents(&tail), twin[index..]);
            let mut joined = tail;
            joined.append(pack);
            twin.rotate_left(index);
            *pack = joined;
        }
        _ => {
            let mut entries = EncodedEntries::default();
            entries.push(&value);
            entries.push_int(i64::from(op) - 100);
            pack.append_encoded(&entries);
            twin.push(value);
            twin.push((i64::from(op) - 100).to_string().into_bytes());
        }
    }
}
