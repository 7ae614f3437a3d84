//! The listpack beside a vector, and the bytes of the format.

use super::*;

/// A small generator of its own, so that the tests of a format depend on nothing but the format.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }

    fn value(&mut self) -> Vec<u8> {
        let magnitude = 1i64 << self.roll(63);
        match self.roll(8) {
            0 => self.roll(200).to_string().into_bytes(),
            1 => (magnitude - self.roll(3) as i64).to_string().into_bytes(),
            2 => (self.roll(3) as i64 - magnitude).to_string().into_bytes(),
            3 => b"007"[..self.roll(4)].to_vec(),
            4 => vec![b'x'; 60 + self.roll(10)],
            5 => vec![b'y'; 4090 + self.roll(10)],
            6 => vec![b'z'; 120 + self.roll(10)],
            _ => (0..self.roll(12)).map(|_| self.roll(256) as u8).collect(),
        }
    }
}

fn texts(pack: &Listpack) -> Vec<Vec<u8>> {
    pack.iter().map(|element| element.to_vec()).collect()
}

fn assert_same(pack: &Listpack, twin: &[Vec<u8>]) {
    assert_eq!(texts(pack), twin);
    assert_eq!(pack.len(), twin.len());
    let backwards: Vec<_> = pack.iter_rev().map(|element| element.to_vec()).collect();
    assert!(backwards.iter().eq(twin.iter().rev()));
    assert_eq!(pack.first().map(|pos| pack.at(pos).to_vec()), twin.first().cloned());
    assert_eq!(pack.last().map(|pos| pack.at(pos).to_vec()), twin.last().cloned());
    assert_eq!(Listpack::from_bytes_validated(pack.as_bytes(), true).as_ref(), Some(pack));
}

fn change(pack: &mut Listpack, twin: &mut Vec<Vec<u8>>, dice: &mut Dice) {
    let value = dice.value();
    let index = dice.roll(twin.len() + 1);
    let pos = pack.seek(index);
    assert_eq!(pos.is_some(), index < twin.len());
    match (dice.roll(9), pos) {
        (0 | 1, _) => {
            pack.push(&value);
            twin.push(value);
        }
        (2, _) => {
            pack.push_front(&value);
            twin.insert(0, value);
        }
        (3, _) => {
            let pos = pos.unwrap_or(pack.end());
            assert_eq!(pack.insert_before(pos, &value), pos);
            twin.insert(index, value);
        }
        (4, Some(pos)) => {
            pack.replace(pos, &value);
            twin[index] = value;
        }
        (5, Some(pos)) => {
            twin.remove(index);
            let after = pack.remove(pos).map(|pos| pack.at(pos).to_vec());
            assert_eq!(after.as_ref(), twin.get(index));
        }
        (6, Some(_)) => {
            let count = dice.roll(4);
            pack.remove_range(index, count);
            twin.drain(index..twin.len().min(index + count));
        }
        (7, _) => {
            let number = dice.0 as i64 >> dice.roll(64);
            pack.push_int(number);
            twin.push(number.to_string().into_bytes());
        }
        (8, _) => {
            let tail = pack.split_off(index);
            assert_same(&tail, &twin[index..]);
            assert_same(pack, &twin[..index]);
            pack.append(&tail);
        }
        _ => {}
    }
}

#[test]
fn changes_agree_with_a_vector() {
    for seed in 1..40 {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let (mut pack, mut twin) = (Listpack::new(), Vec::new());
        for _ in 0..150 {
            change(&mut pack, &mut twin, &mut dice);
            assert_same(&pack, &twin);
        }
    }
}

#[test]
fn cursors_find_what_a_vector_finds() {
    let mut dice = Dice(77);
    for _ in 0..200 {
        let twin: Vec<Vec<u8>> = (0..dice.roll(30)).map(|_| dice.value()).collect();
        let mut pack = Listpack::new();
        twin.iter().for_each(|value| pack.push(value));
        let needle = match dice.roll(2) {
            0 if !twin.is_empty() => twin[dice.roll(twin.len())].clone(),
            _ => dice.value(),
        };
        for skip in 0..3 {
            let expected = (0..twin.len()).step_by(skip + 1).find(|index| twin[*index] == needle);
            assert_eq!(pack.find(&needle, skip), expected.and_then(|index| pack.seek(index)));
        }
        let mut pos = pack.first();
        for (index, value) in twin.iter().enumerate() {
            let here = pos.expect("an entry");
            assert_eq!(&pack.at(here).to_vec(), value);
            assert_eq!(pack.get(index).map(|element| element.to_vec()).as_ref(), Some(value));
            pos = pack.next(here);
            assert_eq!(pos.and_then(|next| pack.prev(next)), pos.map(|_| here));
        }
        assert_eq!(pos, None);
        assert!(pack.get(twin.len()).is_none());
    }
}

/// Bytes that stock Redis writes for these entries.
#[test]
fn the_bytes_are_those_of_the_format() {
    let mut pack = Listpack::new();
    assert_eq!(pack.as_bytes(), [7, 0, 0, 0, 0, 0, 0xFF]);
    for value in ["a", "127", "-1", "4095", "4096", "-32769", "8388608", "2147483648", "01"] {
        pack.push(value.as_bytes());
    }
    let expected = [
        &[51u8, 0, 0, 0, 9, 0][..],
        &[0x81, b'a', 2],
        &[127, 1],
        &[0xDF, 0xFF, 2],
        &[0xCF, 0xFF, 2],
        &[0xF1, 0, 0x10, 3],
        &[0xF2, 0xFF, 0x7F, 0xFF, 4],
        &[0xF3, 0, 0, 0x80, 0, 5],
        &[0xF4, 0, 0, 0, 0x80, 0, 0, 0, 0, 9],
        &[0x82, b'0', b'1', 3],
        &[0xFF],
    ]
    .concat();
    assert_eq!(pack.as_bytes()[6..], expected[6..]);
    assert_eq!(pack.total_bytes(), expected.len());
}

#[test]
fn long_entries_have_long_backlens() {
    for len in [63, 64, 126, 127, 128, 4095, 4096, 16_377, 16_378, 16_379, 16_380, 2_097_145, 2_097_146] {
        let value = vec![b'v'; len];
        let mut pack = Listpack::new();
        pack.push(b"before");
        pack.push(&value);
        pack.push(b"after");
        assert_same(&pack, &[b"before".to_vec(), value, b"after".to_vec()]);
    }
    // An entry of 16383 bytes has a backlen of three, as in the C.
    assert_eq!((backlen_size(16_382), backlen_size(16_383)), (2, 3));
}

#[test]
fn more_entries_than_the_header_can_count() {
    let mut pack = Listpack::new();
    for number in 0..70_000 {
        pack.push_int(number);
        if number == 65_533 {
            assert_eq!(pack.count(), 65_534);
        }
    }
    assert_eq!(pack.count(), COUNT_UNKNOWN);
    assert_eq!(pack.len(), 70_000);
    assert_eq!(pack.get(69_999), Some(Element::Int(69_999)));
    pack.remove_range(10, 69_980);
    assert_eq!(pack.len(), 20);
}

/// Everything a reader may do with a listpack from outside.
fn walk(pack: &Listpack) {
    assert_eq!(pack.iter().count(), pack.len());
    assert_eq!(pack.iter_rev().count(), pack.len());
    assert!(pack.find(b"no such entry", 1).is_none());
    for index in 0..pack.len() {
        assert!(pack.get(index).is_some());
    }
}

#[test]
fn damaged_bytes_are_refused_or_readable() {
    let mut pack = Listpack::new();
    for len in [0, 1, 63, 64, 130] {
        pack.push(&vec![b'x'; len]);
        pack.push_int(-(1 << len.min(62)));
    }
    pack.push(&[b'y'; 4100]);
    let whole = pack.as_bytes();
    for cut in 0..whole.len() {
        assert!(Listpack::from_bytes_validated(&whole[..cut], true).is_none());
        let mut relabelled = whole[..cut].to_vec();
        if cut >= EMPTY_BYTES {
            relabelled[..4].copy_from_slice(&(cut as u32).to_le_bytes());
            relabelled[cut - 1] = TERMINATOR;
            if let Some(pack) = Listpack::from_bytes_validated(&relabelled, true) {
                walk(&pack);
            }
        }
    }
    for index in (0..whole.len()).filter(|index| *index < 400 || index + 20 > whole.len()) {
        for bits in 1..=255u8 {
            let mut damaged = whole.to_vec();
            damaged[index] ^= bits;
            if let Some(pack) = Listpack::from_bytes_validated(&damaged, true) {
                walk(&pack);
            }
        }
    }
}

#[test]
fn each_kind_of_damage_is_refused() {
    let good = [12u8, 0, 0, 0, 2, 0, 0x81, b'a', 2, 5, 1, 0xFF];
    assert!(Listpack::from_bytes_validated(&good, true).is_some());
    let damages: [(usize, u8); 8] = [(0, 13), (4, 3), (6, 0x82), (6, 0xFF), (6, 0xF5), (8, 3), (10, 0x81), (11, 0)];
    for (index, byte) in damages {
        let mut damaged = good;
        damaged[index] = byte;
        assert!(Listpack::from_bytes_validated(&damaged, true).is_none(), "byte {index} as {byte}");
    }
}

#[test]
fn with_room_in_front_it_holds_the_bytes_that_it_holds_without() {
    let mut dice = Dice(77);
    for _ in 0..40 {
        let mut twin = Listpack::new();
        (0..dice.roll(30)).for_each(|_| twin.push(&dice.value()));
        let mut gapped = Gapped::of(&twin);
        for _ in 0..400 {
            let value = dice.value();
            match dice.roll(9) {
                0..3 => (gapped.push_front(&value), twin.push_front(&value)).1,
                3..5 => (gapped.push_back(&value), twin.push(&value)).1,
                5..7 => (gapped.remove_front(), twin.remove_range(0, 1)).1,
                _ => {
                    gapped.remove_back();
                    twin.last().map(|last| twin.remove(last));
                }
            }
            assert_eq!(gapped.as_bytes(), twin.as_bytes());
        }
        assert!(gapped.to_listpack() == twin && gapped.memory_bytes() > twin.total_bytes());
    }
}

#[test]
fn with_room_in_front_it_counts_as_far_as_the_header_can() {
    let mut gapped = Gapped::of(&Listpack::new());
    for count in 1..=0x1_0002 {
        if count % 2 == 0 {
            gapped.push_front(b"7")
        } else {
            gapped.push_back(b"8")
        }
        let said = u16::from_le_bytes([gapped.as_bytes()[4], gapped.as_bytes()[5]]);
        assert_eq!(usize::from(said), count.min(0xFFFF));
    }
    gapped.remove_front();
    assert_eq!((gapped.len(), gapped.count()), (0x1_0001, COUNT_UNKNOWN));
    assert!(is_valid(gapped.as_bytes(), true));
}
