//! Reading one value, element by element, from buffers that may end anywhere. Ancestor: rdbLoadObject of rdb.c.
//!
//! Every encoding becomes what this server would hold itself: old encodings are unfolded, packed ones are
//! validated deeply and kept. A collection without elements is no value: stock servers skip such keys.

use crate::base::numbers::parse_f64;
use crate::types::intset::IntSet;
use crate::types::listpack::Listpack;
use crate::types::{CollectionLimits, Element, Fading, FieldTime, Hash, List, Set, Str, Value, ZSet};

use super::error::ErrorKind;
use super::format::{Layout, container};
use super::stream::StreamReader;
use super::strings::{Input, RdbString, StringReader};
use super::{ziplist, zipmap};

const DUPLICATE: ErrorKind = ErrorKind::Corrupt("duplicate elements detected");

/// No room is made ahead for more elements than these, whatever is claimed.
const BELIEVED_MAX: usize = 1 << 16;

/// What came of a step.
pub enum Progress {
    /// All bytes that could be used were; more are needed.
    NeedMore,
    /// The value, or `None` for a collection without elements.
    Done(Option<Value>),
}

/// The value as far as it is read.
enum Build {
    Whole,
    List(List),
    Set(Set),
    Hash(Hash),
    Fading(Box<Fading>),
    ZSet(ZSet),
    Stream(Box<StreamReader>),
}

/// Reads one value.
pub struct ObjectReader {
    layout: Layout,
    build: Build,
    strings: StringReader,
    /// Elements or nodes still to come, once their count is known.
    left: Option<u64>,
    /// A field or member whose other half has not come.
    half: Option<Vec<u8>>,
    /// The kind of the quicklist node whose bytes have not come.
    container: Option<u64>,
    /// The first moment at which a field expires, where the layout tells it.
    first_moment: Option<i64>,
    /// Of a field that expires what has come: its time as it stands there, its value.
    time: Option<u64>,
    value: Option<Vec<u8>>,
}

impl ObjectReader {
    pub fn new(layout: Layout) -> Self {
        let build = match layout {
            Layout::List | Layout::QuicklistOfZiplists | Layout::Quicklist2 => Build::List(List::new()),
            Layout::Set => Build::Set(Set::new()),
            Layout::Hash => Build::Hash(Hash::new()),
            Layout::HashTimes | Layout::HashTimesPreGa | Layout::HashTimesValkey => Build::Fading(Box::default()),
            Layout::ZsetTextScores | Layout::ZsetBinaryScores => Build::ZSet(ZSet::new()),
            Layout::Stream | Layout::Stream2 | Layout::Stream3 => Build::Stream(Box::new(StreamReader::new(layout))),
            _ => Build::Whole,
        };
        let strings = StringReader::default();
        ObjectReader {
            layout,
            build,
            strings,
            left: None,
            half: None,
            container: None,
            first_moment: None,
            time: None,
            value: None,
        }
    }

    /// Takes what `input` has of the value.
    pub fn step(&mut self, input: &mut Input<'_>, limits: &CollectionLimits) -> Result<Progress, ErrorKind> {
        if let Build::Stream(reader) = &mut self.build {
            return reader.step(input);
        }
        if self.layout.has_first_moment() && self.first_moment.is_none() {
            match input.array().map(i64::from_le_bytes) {
                Some(moment) => self.first_moment = Some(moment),
                None => return Ok(Progress::NeedMore),
            }
        }
        if let Build::Whole = self.build {
            return match self.strings.read(input)? {
                Some(string) => whole(self.layout, string, limits).map(Progress::Done),
                None => Ok(Progress::NeedMore),
            };
        }
        let mut left = match self.left {
            Some(left) => left,
            None => match input.length()? {
                Some(count) => {
                    self.expect(count, limits);
                    count
                }
                None => return Ok(Progress::NeedMore),
            },
        };
        while left > 0 {
            if !self.element(input, limits)? {
                self.left = Some(left);
                return Ok(Progress::NeedMore);
            }
            left -= 1;
        }
        Ok(Progress::Done(self.finish(limits)))
    }

    /// Makes room ahead for as many elements as are believed to come.
    fn expect(&mut self, count: u64, limits: &CollectionLimits) {
        let believed = usize::try_from(count).unwrap_or(usize::MAX).min(BELIEVED_MAX);
        match &mut self.build {
            Build::Set(set) => set.expect(believed, limits),
            Build::Hash(hash) => hash.expect(believed, limits),
            // Never a listpack at first, whatever it may fit in: a listpack takes the sign from a score of -0, and a
            // member that is too long for one may come last.
            Build::ZSet(zset) => zset.expect(believed, usize::MAX, limits),
            Build::List(_) | Build::Fading(_) | Build::Stream(_) | Build::Whole => {}
        }
    }

    /// Reads one element or node; false when its bytes have not all come.
    fn element(&mut self, input: &mut Input<'_>, limits: &CollectionLimits) -> Result<bool, ErrorKind> {
        let mut scratch = itoa::Buffer::new();
        match &mut self.build {
            Build::Whole | Build::Stream(_) => Ok(true),
            Build::List(_) if self.layout == Layout::Quicklist2 => self.quicklist_node(input),
            Build::List(list) => {
                let Some(string) = self.strings.read(input)? else { return Ok(false) };
                if self.layout == Layout::List {
                    list.push_back(string.bytes(&mut scratch), limits);
                } else {
                    push_ziplist(list, string.bytes(&mut scratch), limits)?;
                }
                Ok(true)
            }
            Build::Set(set) => {
                let Some(member) = self.strings.read(input)? else { return Ok(false) };
                if set.add(member.bytes(&mut scratch), limits) { Ok(true) } else { Err(DUPLICATE) }
            }
            Build::Hash(_) | Build::ZSet(_) => self.pair(input, limits),
            Build::Fading(_) => self.timed_field(input, limits),
        }
    }

    /// A field, its value and its time.
    fn timed_field(&mut self, input: &mut Input<'_>, limits: &CollectionLimits) -> Result<bool, ErrorKind> {
        let trails = self.layout == Layout::HashTimesValkey;
        if !trails && self.time.is_none() {
            self.time = input.length()?;
            if self.time.is_none() {
                return Ok(false);
            }
        }
        for part in [&mut self.half, &mut self.value] {
            if part.is_none() {
                let Some(string) = self.strings.read(input)? else { return Ok(false) };
                *part = Some(string.into_vec());
            }
        }
        let moment = if trails {
            match input.array().map(i64::from_le_bytes) {
                None => return Ok(false),
                Some(-1) => None,
                Some(moment) => Some(moment),
            }
        } else {
            moment_of(self.time.take().unwrap_or(0), self.first_moment)?
        };
        if moment.is_some_and(|moment| moment < 0) {
            return Err(ErrorKind::Corrupt("a field expires before 1970"));
        }
        // In the other layouts 0 means that a field has no time; whoever expires at 0 is as due a moment later.
        let moment = moment.map(|moment| moment.max(1));
        let (field, value) = (self.half.take().unwrap_or_default(), self.value.take().unwrap_or_default());
        let Build::Fading(fading) = &mut self.build else { return Ok(true) };
        if fading.set(&field, &value, FieldTime::Set(moment), limits) { Ok(true) } else { Err(DUPLICATE) }
    }

    /// A field and its value, or a member and its score.
    fn pair(&mut self, input: &mut Input<'_>, limits: &CollectionLimits) -> Result<bool, ErrorKind> {
        let first = match self.half.take() {
            Some(half) => RdbString::Owned(half),
            None => match self.strings.read(input)? {
                Some(first) => first,
                None => return Ok(false),
            },
        };
        let mut scratch = itoa::Buffer::new();
        let fresh = match &mut self.build {
            Build::Hash(hash) => self
                .strings
                .read(input)?
                .map(|value| hash.set(first.bytes(&mut scratch), value.bytes(&mut itoa::Buffer::new()), limits)),
            Build::ZSet(zset) => {
                score(self.layout, input)?.map(|score| zset.insert(first.bytes(&mut scratch), score, limits).is_none())
            }
            _ => None,
        };
        match fresh {
            Some(true) => Ok(true),
            Some(false) => Err(DUPLICATE),
            None => {
                self.half = Some(first.into_vec());
                Ok(false)
            }
        }
    }

    fn quicklist_node(&mut self, input: &mut Input<'_>) -> Result<bool, ErrorKind> {
        let Build::List(list) = &mut self.build else { return Ok(true) };
        let kind = match self.container {
            Some(kind) => kind,
            None => match container_kind(input)? {
                Some(kind) => kind,
                None => return Ok(false),
            },
        };
        self.container = Some(kind);
        let Some(bytes) = self.strings.read(input)? else { return Ok(false) };
        self.container = None;
        if kind == container::PLAIN {
            list.push_plain_node(bytes.into_vec());
        } else {
            let node = listpack(bytes)?;
            if !node.is_empty() {
                list.push_listpack_node(node);
            }
        }
        Ok(true)
    }

    fn finish(&mut self, limits: &CollectionLimits) -> Option<Value> {
        match std::mem::replace(&mut self.build, Build::Whole) {
            Build::Whole | Build::Stream(_) => None,
            Build::List(mut list) => {
                list.retighten(limits);
                (!list.is_empty()).then_some(Value::List(list))
            }
            Build::Set(set) => (!set.is_empty()).then_some(Value::Set(set)),
            Build::Hash(hash) => (!hash.is_empty()).then_some(Value::Hash(hash)),
            Build::Fading(fading) => (!fading.is_empty()).then(|| fading.into_value()),
            Build::ZSet(mut zset) => {
                zset.tighten(limits);
                (!zset.is_empty()).then_some(Value::ZSet(zset))
            }
        }
    }
}

/// The moment that stands for a field's time: 0 means that it has none; where a first moment stands before all, the time
/// is one more than the distance from it.
fn moment_of(time: u64, first: Option<i64>) -> Result<Option<i64>, ErrorKind> {
    const TOO_LATE: ErrorKind = ErrorKind::Corrupt("a field expires past the end of time");
    if time == 0 {
        return Ok(None);
    }
    let distance = i64::try_from(time).map_err(|_| TOO_LATE)?;
    let moment = match first {
        None => Some(distance),
        Some(first) => first.checked_add(distance - 1),
    };
    moment.map(Some).ok_or(TOO_LATE)
}

/// A value that is one string in the snapshot.
fn whole(layout: Layout, string: RdbString<'_>, limits: &CollectionLimits) -> Result<Option<Value>, ErrorKind> {
    if layout == Layout::String {
        return Ok(Some(Value::Str(match string {
            RdbString::Int(number) => Str::Int(number),
            RdbString::Borrowed(bytes) => Str::from(bytes.to_vec()),
            RdbString::Owned(bytes) => Str::from(bytes),
        })));
    }
    let mut scratch = itoa::Buffer::new();
    let bytes = string.bytes(&mut scratch);
    match layout {
        Layout::HashZipmap => {
            let pairs = zipmap::decode(bytes).ok_or(ErrorKind::Corrupt("zipmap integrity check failed"))?;
            hash_of(pairs.into_iter().map(|(field, value)| (Element::Bytes(field), Element::Bytes(value))), limits)
        }
        Layout::HashZiplist => hash_of(pairs(&ziplist_of(bytes)?)?, limits),
        Layout::ListZiplist => {
            let mut list = List::new();
            push_ziplist(&mut list, bytes, limits)?;
            list.retighten(limits);
            Ok((!list.is_empty()).then_some(Value::List(list)))
        }
        Layout::ZsetZiplist => zset_of(pairs(&ziplist_of(bytes)?)?, limits),
        Layout::SetIntset => intset(bytes, limits),
        Layout::HashListpackTimes | Layout::HashListpackTimesPreGa => {
            let fading = Fading::from_listpack(&listpack(string)?, limits);
            let fading = fading.ok_or(ErrorKind::Corrupt("listpack integrity check failed"))?;
            Ok((!fading.is_empty()).then(|| fading.into_value()))
        }
        _ => packed(layout, listpack(string)?, limits),
    }
}

/// A value that is one listpack, kept as it is where that is sound.
fn packed(layout: Layout, listpack: Listpack, limits: &CollectionLimits) -> Result<Option<Value>, ErrorKind> {
    if listpack.is_empty() {
        return Ok(None);
    }
    let odd = listpack.len() % 2 == 1;
    let value = match layout {
        Layout::SetListpack => Set::from_listpack(listpack, limits).map(Value::Set),
        Layout::HashListpack if !odd => Hash::from_listpack(listpack, limits).map(Value::Hash),
        Layout::ZsetListpack if !odd => ZSet::from_listpack(listpack, limits).map(Value::ZSet),
        _ => None,
    };
    value.map(Some).ok_or(ErrorKind::Corrupt("listpack integrity check failed"))
}

fn intset(bytes: &[u8], limits: &CollectionLimits) -> Result<Option<Value>, ErrorKind> {
    let intset = IntSet::from_bytes_validated(bytes).ok_or(ErrorKind::Corrupt("intset integrity check failed"))?;
    Ok((!intset.is_empty()).then(|| Value::Set(Set::from_intset(intset, limits))))
}

fn listpack(string: RdbString<'_>) -> Result<Listpack, ErrorKind> {
    Listpack::from_bytes_validated(string.bytes(&mut itoa::Buffer::new()), true)
        .ok_or(ErrorKind::Corrupt("listpack integrity check failed"))
}

fn ziplist_of(bytes: &[u8]) -> Result<Vec<Element<'_>>, ErrorKind> {
    ziplist::decode(bytes).ok_or(ErrorKind::Corrupt("ziplist integrity check failed"))
}

fn push_ziplist(list: &mut List, bytes: &[u8], limits: &CollectionLimits) -> Result<(), ErrorKind> {
    for element in ziplist_of(bytes)? {
        list.push_back(element.as_bytes(&mut [0; 20]), limits);
    }
    Ok(())
}

/// Elements two by two.
fn pairs<'e, 'a>(
    elements: &'e [Element<'a>],
) -> Result<impl Iterator<Item = (Element<'a>, Element<'a>)> + use<'e, 'a>, ErrorKind> {
    let (pairs, []) = elements.as_chunks::<2>() else {
        return Err(ErrorKind::Corrupt("an element without its other half"));
    };
    Ok(pairs.iter().map(|&[first, second]| (first, second)))
}

fn hash_of<'a>(
    pairs: impl Iterator<Item = (Element<'a>, Element<'a>)>,
    limits: &CollectionLimits,
) -> Result<Option<Value>, ErrorKind> {
    let mut hash = Hash::new();
    for (field, value) in pairs {
        if !hash.set(field.as_bytes(&mut [0; 20]), value.as_bytes(&mut [0; 20]), limits) {
            return Err(DUPLICATE);
        }
    }
    Ok((!hash.is_empty()).then_some(Value::Hash(hash)))
}

fn zset_of<'a>(
    pairs: impl Iterator<Item = (Element<'a>, Element<'a>)>,
    limits: &CollectionLimits,
) -> Result<Option<Value>, ErrorKind> {
    let mut zset = ZSet::new();
    for (member, score) in pairs {
        let score = match score {
            Element::Int(number) => number as f64,
            Element::Bytes(text) => parse_f64(text).ok_or(ErrorKind::Corrupt("a score is not a number"))?,
        };
        if zset.insert(member.as_bytes(&mut [0; 20]), score, limits).is_some() {
            return Err(DUPLICATE);
        }
    }
    Ok((!zset.is_empty()).then_some(Value::ZSet(zset)))
}

/// The kind of the quicklist node that follows; `None` when it has not all come.
pub fn container_kind(input: &mut Input<'_>) -> Result<Option<u64>, ErrorKind> {
    match input.length()? {
        kind @ (None | Some(container::PLAIN | container::PACKED)) => Ok(kind),
        Some(_) => Err(ErrorKind::Corrupt("unknown quicklist node container")),
    }
}

/// A score in the form of its layout; `None` when it has not all come.
pub fn score(layout: Layout, input: &mut Input<'_>) -> Result<Option<f64>, ErrorKind> {
    if layout == Layout::ZsetBinaryScores {
        return match input.array().map(f64::from_le_bytes) {
            Some(score) if score.is_nan() => Err(ErrorKind::Corrupt("Zset with NAN score detected")),
            score => Ok(score),
        };
    }
    let start = input.at();
    match input.byte() {
        None => Ok(None),
        Some(253) => Err(ErrorKind::Corrupt("Zset with NAN score detected")),
        Some(254) => Ok(Some(f64::INFINITY)),
        Some(255) => Ok(Some(f64::NEG_INFINITY)),
        Some(count) => match input.take(usize::from(count)) {
            Some(text) => parse_f64(text).map(Some).ok_or(ErrorKind::Corrupt("a score is not a number")),
            None => {
                input.rewind(start);
                Ok(None)
            }
        },
    }
}
