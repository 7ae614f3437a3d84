//! The fixed points of the format: opcodes, the table of value types, the length encoding. Ancestor: rdb.h.
//!
//! ```text
//! 00LLLLLL                       length in 6 bits
//! 01LLLLLL LLLLLLLL              length in 14 bits
//! 10000000 4 bytes, big endian   length in 32 bits
//! 10000001 8 bytes, big endian   length in 64 bits
//! 11KKKKKK                       not a length: a specially encoded string of kind K
//! ```

use super::error::ErrorKind;

/// The version written. The lowest that can say what most data sets hold, so that old servers can read it.
pub const VERSION_WRITTEN: u16 = 10;
/// The version written where fields of hashes expire, which older servers cannot read.
pub const VERSION_WITH_FIELD_EXPIRY: u16 = 12;
/// The newest version of the Redis family that is read, as far as what it holds is known. So far as 12 all is.
pub const VERSION_NEWEST_REDIS: u32 = 15;
/// The versions of the Valkey family that are read, likewise; all of the first is known. 12 to 79 are nobody's.
pub const VERSIONS_VALKEY: std::ops::RangeInclusive<u32> = 80..=81;
/// The first version with a checksum in the footer.
pub const VERSION_WITH_CHECKSUM: u32 = 5;

pub mod opcode {
    pub const SLOT_INFO: u8 = 244;
    pub const FUNCTION2: u8 = 245;
    pub const FUNCTION_PRE_GA: u8 = 246;
    pub const MODULE_AUX: u8 = 247;
    pub const IDLE: u8 = 248;
    pub const FREQ: u8 = 249;
    pub const AUX: u8 = 250;
    pub const RESIZEDB: u8 = 251;
    pub const EXPIRETIME_MS: u8 = 252;
    pub const EXPIRETIME: u8 = 253;
    pub const SELECTDB: u8 = 254;
    pub const EOF: u8 = 255;
    /// The lowest number that is an opcode in any family; below stand value types.
    pub const LOWEST: u8 = 242;
}

/// The numbers of the value types this build writes.
pub mod type_id {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    pub const ZSET: u8 = 3;
    pub const HASH: u8 = 4;
    pub const ZSET_2: u8 = 5;
    pub const SET_INTSET: u8 = 11;
    pub const ZSET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    pub const LIST_QUICKLIST: u8 = 14;
    pub const STREAM: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    pub const LIST_QUICKLIST_2: u8 = 18;
    pub const STREAM_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    pub const STREAM_3: u8 = 21;
    pub const HASH_FIELD_EXPIRY: u8 = 24;
    pub const HASH_LISTPACK_FIELD_EXPIRY: u8 = 25;
    pub const HASH_FIELD_EXPIRY_VALKEY: u8 = 22;
}

/// What stands before the bytes of a node in `LIST_QUICKLIST_2`.
pub mod container {
    pub const PLAIN: u64 = 1;
    pub const PACKED: u64 = 2;
}

/// Kinds of specially encoded strings.
pub mod special {
    pub const INT8: u8 = 0;
    pub const INT16: u8 = 1;
    pub const INT32: u8 = 2;
    pub const LZF: u8 = 3;
}

/// Who wrote the snapshot. From version 12 on the same numbers mean different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Redis,
    Valkey,
}

/// How the value of a type is laid out, if this build can hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    String,
    /// A count, then that many strings (or pairs, or members and scores).
    List,
    Set,
    Hash,
    ZsetTextScores,
    ZsetBinaryScores,
    /// A count, then that many nodes.
    QuicklistOfZiplists,
    Quicklist2,
    /// One string that is the whole collection.
    HashZipmap,
    ListZiplist,
    SetIntset,
    ZsetZiplist,
    HashZiplist,
    HashListpack,
    ZsetListpack,
    SetListpack,
    /// Nodes, counters and groups: without and with what is counted, and with when consumers were active.
    Stream,
    Stream2,
    Stream3,
    /// Hashes with fields that expire: before the first release, as Redis has them, and as Valkey
    /// has them.
    HashTimesPreGa,
    HashListpackTimesPreGa,
    HashTimes,
    HashListpackTimes,
    HashTimesValkey,
    /// Known by name only.
    Unsupported,
}

/// A part of a value in the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    String,
    Score,
    /// The kind of the quicklist node that follows.
    Container,
    /// A moment or its distance from another, as a length.
    Time,
    /// A moment in eight bytes.
    Moment,
}

impl Layout {
    /// What each element of a value is made of, where a count and so many elements are the value; `None` where one
    /// string is.
    pub fn element(self) -> Option<&'static [Part]> {
        match self {
            Layout::List | Layout::Set | Layout::QuicklistOfZiplists => Some(&[Part::String]),
            Layout::Hash => Some(&[Part::String, Part::String]),
            Layout::ZsetTextScores | Layout::ZsetBinaryScores => Some(&[Part::String, Part::Score]),
            Layout::Quicklist2 => Some(&[Part::Container, Part::String]),
            Layout::HashTimes | Layout::HashTimesPreGa => Some(&[Part::Time, Part::String, Part::String]),
            Layout::HashTimesValkey => Some(&[Part::String, Part::String, Part::Moment]),
            _ => None,
        }
    }

    /// Whether eight bytes stand before all else: the first moment at which a field expires.
    pub fn has_first_moment(self) -> bool {
        matches!(self, Layout::HashTimes | Layout::HashListpackTimes)
    }
}

/// A row of the table of value types.
pub struct TypeRow {
    pub id: u8,
    pub name: &'static str,
    /// `None`: the number means the same to all.
    pub family: Option<Family>,
    /// The first version that has it.
    pub since: u32,
    pub layout: Layout,
}

const fn row(id: u8, since: u32, name: &'static str, layout: Layout) -> TypeRow {
    TypeRow { id, name, family: None, since, layout }
}

const fn of(family: Family, id: u8, since: u32, name: &'static str, layout: Layout) -> TypeRow {
    TypeRow { id, name, family: Some(family), since, layout }
}

/// All types that are known at least by name.
#[rustfmt::skip]
pub const TYPES: &[TypeRow] = &[
    row( 0,  1, "string",                Layout::String),
    row( 1,  1, "list",                  Layout::List),
    row( 2,  1, "set",                   Layout::Set),
    row( 3,  1, "zset",                  Layout::ZsetTextScores),
    row( 4,  1, "hash",                  Layout::Hash),
    row( 5,  8, "zset2",                 Layout::ZsetBinaryScores),
    row( 6,  8, "module-value-pre-GA",   Layout::Unsupported),
    row( 7,  8, "module-value",          Layout::Unsupported),
    row( 9,  2, "hash-zipmap",           Layout::HashZipmap),
    row(10,  2, "list-ziplist",          Layout::ListZiplist),
    row(11,  2, "set-intset",            Layout::SetIntset),
    row(12,  2, "zset-ziplist",          Layout::ZsetZiplist),
    row(13,  4, "hash-ziplist",          Layout::HashZiplist),
    row(14,  7, "quicklist",             Layout::QuicklistOfZiplists),
    row(15,  9, "stream",                Layout::Stream),
    row(16, 10, "hash-listpack",         Layout::HashListpack),
    row(17, 10, "zset-listpack",         Layout::ZsetListpack),
    row(18, 10, "quicklist-v2",          Layout::Quicklist2),
    row(19, 10, "stream-v2",             Layout::Stream2),
    row(20, 11, "set-listpack",          Layout::SetListpack),
    row(21, 11, "stream-v3",             Layout::Stream3),
    of(Family::Redis,  22, 12, "hash-with-field-expiry-pre-GA",          Layout::HashTimesPreGa),
    of(Family::Redis,  23, 12, "hash-listpack-with-field-expiry-pre-GA", Layout::HashListpackTimesPreGa),
    of(Family::Redis,  24, 12, "hash-with-field-expiry",                 Layout::HashTimes),
    of(Family::Redis,  25, 12, "hash-listpack-with-field-expiry",        Layout::HashListpackTimes),
    of(Family::Redis,  26, 13, "stream-v4",                              Layout::Unsupported),
    of(Family::Redis,  27, 14, "stream-v5",                              Layout::Unsupported),
    of(Family::Redis,  28, 14, "array",                                  Layout::Unsupported),
    of(Family::Redis,  29, 15, "hash-template",                          Layout::Unsupported),
    of(Family::Redis,  30, 15, "hash-template",                          Layout::Unsupported),
    of(Family::Redis,  31, 15, "hash-template",                          Layout::Unsupported),
    of(Family::Redis,  32, 15, "hash-template",                          Layout::Unsupported),
    of(Family::Valkey, 22, 80, "hash-with-field-expiry",                 Layout::HashTimesValkey),
];

/// The row of a type number, as the family that wrote it means it.
pub fn type_row(id: u8, family: Family) -> Option<&'static TypeRow> {
    TYPES.iter().find(|row| row.id == id && row.family.is_none_or(|f| f == family))
}

/// The layout of a type number, or the error that names it.
pub fn layout_of(id: u8, family: Family) -> Result<Layout, ErrorKind> {
    match type_row(id, family) {
        Some(TypeRow { layout: Layout::Unsupported, name, .. }) => Err(ErrorKind::Type { id, name }),
        Some(row) => Ok(row.layout),
        None => Err(ErrorKind::Type { id, name: "unknown" }),
    }
}

/// What the length encoding can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Plain(u64),
    Special(u8),
}

/// Reads a length from the start of `bytes`: it and how many bytes it took; `None` when more are needed.
pub fn decode_length(bytes: &[u8]) -> Result<Option<(Length, usize)>, ErrorKind> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let low = first & 0x3f;
    let found = match (first >> 6, first) {
        (0, _) => Some((u64::from(low), 1)),
        (1, _) => bytes.get(1).map(|&next| (u64::from(low) << 8 | u64::from(next), 2)),
        (3, _) => return Ok(Some((Length::Special(low), 1))),
        (_, 0x80) => array_at::<4>(bytes, 1).map(|b| (u64::from(u32::from_be_bytes(b)), 5)),
        (_, 0x81) => array_at::<8>(bytes, 1).map(|b| (u64::from_be_bytes(b), 9)),
        _ => return Err(ErrorKind::Corrupt("unknown length encoding")),
    };
    Ok(found.map(|(length, used)| (Length::Plain(length), used)))
}

/// Appends a length in its shortest form.
pub fn encode_length(out: &mut Vec<u8>, length: u64) {
    if length < 1 << 6 {
        out.push(length as u8);
    } else if length < 1 << 14 {
        out.extend_from_slice(&[0x40 | (length >> 8) as u8, length as u8]);
    } else if let Ok(length) = u32::try_from(length) {
        out.push(0x80);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(0x81);
        out.extend_from_slice(&length.to_be_bytes());
    }
}

/// `N` bytes from `at`, if there are as many.
pub fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

/// The name of a module from its 64-bit id: nine letters of six bits above ten bits of version.
pub fn module_name(id: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).map(|i| char::from(LETTERS[(id >> (58 - 6 * i) & 63) as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_come_back() {
        for length in [0, 1, 63, 64, 16383, 16384, 65536, u64::from(u32::MAX), 1 << 32, u64::MAX] {
            let mut out = Vec::new();
            encode_length(&mut out, length);
            assert_eq!(decode_length(&out), Ok(Some((Length::Plain(length), out.len()))));
            for cut in 0..out.len() {
                assert_eq!(decode_length(&out[..cut]), Ok(None), "{length} cut at {cut}");
            }
        }
        assert_eq!(decode_length(&[0xc3]), Ok(Some((Length::Special(3), 1))));
        assert!(decode_length(&[0x82, 0, 0]).is_err());
    }

    #[test]
    fn numbers_that_two_families_share_are_told_apart() {
        assert_eq!(type_row(22, Family::Valkey).map(|row| row.since), Some(80));
        assert_eq!(type_row(22, Family::Redis).map(|row| row.since), Some(12));
        assert!(type_row(24, Family::Valkey).is_none());
        assert!(layout_of(8, Family::Redis).is_err());
    }

    #[test]
    fn module_ids_hold_names() {
        assert_eq!(module_name(0), "AAAAAAAAA");
        assert_eq!(module_name(0xb5eb_2dff_fadd_6c01), "test__rdb");
    }
}
