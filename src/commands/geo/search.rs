//! Members near a place: GEOSEARCH and its old names.
//!
//! The cells of a grid that cover the searched shape are ranges of scores; what lies in them is looked at one by one.

use super::{Done, point, reply_distance, reply_point, unit_m};
use crate::base::geohash::{Point, Shape, midpoint};
use crate::commands::ctx::{Ctx, float, integer, is_option};
use crate::commands::effects::class;
use crate::commands::error::{self, CommandError};
use crate::resp::request::Argv;
use crate::types::{Value, ZSet};
use std::cmp::Ordering;

/// What the forms of the command have of their own.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// GEORADIUS and GEORADIUSBYMEMBER.
    Radius,
    /// The same without STORE.
    RadiusReadOnly,
    Search,
    SearchStore,
}

impl Form {
    fn is_search(self) -> bool {
        matches!(self, Form::Search | Form::SearchStore)
    }
}

#[derive(Default)]
struct Query<'a> {
    middle: Option<Point>,
    /// A middle was asked for, though there may be no key to find it in.
    from_member: bool,
    from_place: bool,
    shape: Option<Shape>,
    /// Metres that the unit has.
    unit_m: f64,
    with_distance: bool,
    with_hash: bool,
    with_place: bool,
    /// Members to return at most; 0 for all.
    count: usize,
    any: bool,
    /// Whether to sort, and which end is first.
    descending: Option<bool>,
    store: Option<&'a [u8]>,
    store_distance: bool,
}

/// A member that was found.
struct Found {
    member: Vec<u8>,
    score: f64,
    distance: f64,
}

fn distance(word: &[u8], what: &str) -> Result<f64, CommandError> {
    float(word).map_err(|_| CommandError::new(format!("ERR need numeric {what}")))
}

impl<'a> Query<'a> {
    /// The member is looked up at once: without it there is nothing to search around.
    fn take_member(&mut self, zset: Option<&ZSet>, member: &[u8]) -> Done {
        if let Some(zset) = zset {
            let score = zset.score(member);
            let unknown = || CommandError::new("ERR could not decode requested zset member");
            self.middle = Some(Point::of_score(score.ok_or_else(unknown)?));
        }
        self.from_member = true;
        Ok(())
    }

    fn take_circle(&mut self, argv: Argv<'_>, at: usize) -> Done {
        let radius = distance(argv.at(at), "radius")?;
        if radius < 0.0 {
            return Err(CommandError::new("ERR radius cannot be negative"));
        }
        self.unit_m = unit_m(argv.at(at + 1))?;
        self.shape = Some(Shape::Circle { radius_m: radius * self.unit_m });
        Ok(())
    }

    fn take_rectangle(&mut self, argv: Argv<'_>, at: usize) -> Done {
        let (width, height) = (distance(argv.at(at), "width")?, distance(argv.at(at + 1), "height")?);
        if width < 0.0 || height < 0.0 {
            return Err(CommandError::new("ERR height or width cannot be negative"));
        }
        self.unit_m = unit_m(argv.at(at + 2))?;
        self.shape = Some(Shape::Rectangle { width_m: width * self.unit_m, height_m: height * self.unit_m });
        Ok(())
    }

    /// Returns how many words belong to it. As Valkey since 9.0; its middle is that of its vertices.
    fn take_polygon(&mut self, argv: Argv<'_>, at: usize) -> Result<usize, CommandError> {
        let count = integer(argv.at(at)).ok().and_then(|count| i32::try_from(count).ok());
        let count = count.ok_or_else(|| CommandError::new("ERR invalid number of vertices"))?;
        let present = (argv.len() - at - 1) / 2;
        let count = usize::try_from(count).ok().filter(|count| (3..=present).contains(count));
        let too_few = || CommandError::new("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices");
        let count = count.ok_or_else(too_few)?;
        let vertices: Vec<Point> =
            (0..count).map(|vertex| point(argv, at + 1 + 2 * vertex)).collect::<Result<_, _>>()?;
        self.middle = Some(midpoint(&vertices));
        self.shape = Some(Shape::Polygon { vertices });
        Ok(1 + 2 * count)
    }

    /// Reads the options from argument `at` on.
    fn take_options(&mut self, form: Form, zset: Option<&ZSet>, argv: Argv<'a>, mut at: usize) -> Done {
        while at < argv.len() {
            let (word, after) = (argv.at(at), argv.len() - at - 1);
            at += 1;
            if self.take_word(word) {
            } else if is_option(word, "COUNT") && after >= 1 {
                let count = integer(argv.at(at))?;
                let positive = usize::try_from(count).ok().filter(|count| *count > 0);
                self.count = positive.ok_or_else(|| CommandError::new("ERR COUNT must be > 0"))?;
                at += 1;
            } else if form.is_search() {
                at += self.take_search_option(form, zset, argv, at - 1)?;
            } else if form == Form::Radius && after >= 1 && (is_option(word, "STORE") || is_option(word, "STOREDIST")) {
                self.store = Some(argv.at(at));
                self.store_distance = is_option(word, "STOREDIST");
                at += 1;
            } else {
                return Err(error::SYNTAX);
            }
        }
        Ok(())
    }

    /// Takes an option that stands alone.
    fn take_word(&mut self, word: &[u8]) -> bool {
        match word {
            _ if is_option(word, "WITHDIST") => self.with_distance = true,
            _ if is_option(word, "WITHHASH") => self.with_hash = true,
            _ if is_option(word, "WITHCOORD") => self.with_place = true,
            _ if is_option(word, "ANY") => self.any = true,
            _ if is_option(word, "ASC") => self.descending = Some(false),
            _ if is_option(word, "DESC") => self.descending = Some(true),
            _ => return false,
        }
        true
    }

    /// Takes an option that only GEOSEARCH and GEOSEARCHSTORE have; returns how many words belong to it.
    fn take_search_option(
        &mut self,
        form: Form,
        zset: Option<&ZSet>,
        argv: Argv<'_>,
        at: usize,
    ) -> Result<usize, CommandError> {
        let (word, after) = (argv.at(at), argv.len() - at - 1);
        let circle = matches!(self.shape, Some(Shape::Circle { .. }));
        let rectangle = matches!(self.shape, Some(Shape::Rectangle { .. }));
        let polygon = matches!(self.shape, Some(Shape::Polygon { .. }));
        match word {
            _ if is_option(word, "BYPOLYGON")
                && after >= 2
                && !(circle || rectangle || self.from_place || self.from_member) =>
            {
                self.take_polygon(argv, at + 1)
            }
            _ if polygon && !is_option(word, "STOREDIST") => Err(error::SYNTAX),
            _ if is_option(word, "FROMMEMBER") && after >= 1 && !self.from_place => {
                self.take_member(zset, argv.at(at + 1))?;
                Ok(1)
            }
            _ if is_option(word, "FROMLONLAT") && after >= 2 && !self.from_member => {
                self.middle = Some(point(argv, at + 1)?);
                self.from_place = true;
                Ok(2)
            }
            _ if is_option(word, "BYRADIUS") && after >= 2 && !rectangle => {
                self.take_circle(argv, at + 1)?;
                Ok(2)
            }
            _ if is_option(word, "BYBOX") && after >= 3 && !circle => {
                self.take_rectangle(argv, at + 1)?;
                Ok(3)
            }
            _ if is_option(word, "STOREDIST") && form == Form::SearchStore => {
                self.store_distance = true;
                Ok(0)
            }
            _ => Err(error::SYNTAX),
        }
    }

    /// Refuses options that make no sense together.
    fn check(&mut self, form: Form, command: &[u8]) -> Done {
        if self.store.is_some() && (self.with_distance || self.with_hash || self.with_place) {
            let what = if form.is_search() { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            let text = format!("ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options");
            return Err(CommandError::new(text));
        }
        let lacking = |what: &str| {
            CommandError::quoting(&format!("ERR exactly one of {what} can be specified for "), command, "")
        };
        let polygon = matches!(self.shape, Some(Shape::Polygon { .. }));
        if form.is_search() && !self.from_member && !self.from_place && !polygon {
            return Err(lacking("FROMMEMBER or FROMLONLAT"));
        }
        if form.is_search() && self.shape.is_none() {
            return Err(lacking("BYRADIUS and BYBOX"));
        }
        if self.any && self.count == 0 {
            return Err(CommandError::new("ERR the ANY argument requires COUNT argument"));
        }
        // The nearest of all are not known before all are.
        if self.count > 0 && !self.any && self.descending.is_none() {
            self.descending = Some(false);
        }
        Ok(())
    }

    /// What lies within the shape, in the order that was asked for.
    fn search(&self, zset: &ZSet) -> Vec<Found> {
        let (Some(middle), Some(shape)) = (self.middle, &self.shape) else { return Vec::new() };
        let limit = if self.any { self.count } else { usize::MAX };
        let mut found = Vec::new();
        let mut previous = None;
        for (index, cell) in shape.cells(middle).into_iter().enumerate() {
            // Where the world has few cells, the neighbours on both sides may be one.
            if index > 1 && previous == Some(cell) {
                continue;
            }
            previous = Some(cell);
            let (first, end) = cell.scores();
            let start = zset.first_at_least(first);
            let count = zset.first_at_least(end).saturating_sub(start);
            for (member, score) in zset.range(start, count, false) {
                if found.len() >= limit {
                    break;
                }
                if let Some(distance) = shape.distance_m(middle, Point::of_score(score)) {
                    found.push(Found { member: member.to_vec(), score, distance });
                }
            }
        }
        if let Some(descending) = self.descending {
            found.sort_by(|a, b| {
                let order = a.distance.partial_cmp(&b.distance).unwrap_or(Ordering::Equal);
                if descending { order.reverse() } else { order }
            });
        }
        if self.count > 0 {
            found.truncate(self.count);
        }
        found.iter_mut().for_each(|found| found.distance /= self.unit_m);
        found
    }

    fn reply(&self, ctx: &mut Ctx<'_>, found: &[Found]) {
        let details = [self.with_distance, self.with_hash, self.with_place].iter().filter(|with| **with).count();
        ctx.reply.array(found.len());
        for found in found {
            if details > 0 {
                ctx.reply.array(details + 1);
            }
            ctx.reply.bulk(&found.member);
            if self.with_distance {
                reply_distance(ctx.reply, found.distance);
            }
            if self.with_hash {
                ctx.reply.int(found.score as i64);
            }
            if self.with_place {
                reply_point(ctx.reply, Point::of_score(found.score));
            }
        }
    }

    fn store(&self, ctx: &mut Ctx<'_>, key: &[u8], found: &[Found], event: &'static str) {
        if found.is_empty() {
            if ctx.keys.delete(key) {
                ctx.changed(class::GENERIC, "del", key);
            }
        } else {
            let mut zset = ZSet::new();
            let longest = found.iter().map(|found| found.member.len()).max().unwrap_or(0);
            zset.expect(found.len(), longest, &ctx.keys.limits);
            for found in found {
                let score = if self.store_distance { found.distance } else { found.score };
                zset.insert(&found.member, score, &ctx.keys.limits);
            }
            ctx.keys.insert(key, Value::ZSet(zset), None);
            ctx.changed_times(found.len(), class::ZSET, event, key);
        }
        ctx.reply.len(found.len());
    }
}

/// Runs a search. `read` takes the arguments that stand before the options, and tells where those begin.
fn run<'a>(
    ctx: &mut Ctx<'_>,
    argv: Argv<'a>,
    form: Form,
    read: impl FnOnce(&mut Query<'a>, Option<&ZSet>) -> Result<usize, CommandError>,
) -> Done {
    let mut query = Query { unit_m: 1.0, ..Query::default() };
    let key = if form == Form::SearchStore { 2 } else { 1 };
    let zset = ctx.keys.zset(argv.at(key))?;
    let options = read(&mut query, zset)?;
    query.take_options(form, zset, argv, options)?;
    if form == Form::SearchStore {
        query.store = Some(argv.at(1));
    }
    query.check(form, argv.at(0))?;
    let found = zset.map(|zset| query.search(zset)).unwrap_or_default();
    match query.store {
        Some(key) => {
            query.store(ctx, key, &found, if form.is_search() { "geosearchstore" } else { "georadiusstore" });
        }
        None => query.reply(ctx, &found),
    }
    Ok(())
}

fn around_place(ctx: &mut Ctx<'_>, argv: Argv<'_>, form: Form) -> Done {
    run(ctx, argv, form, |query, _| {
        query.middle = Some(point(argv, 2)?);
        query.take_circle(argv, 4)?;
        Ok(6)
    })
}

/// Without a key, even a radius that is no number is as good as any.
fn around_member(ctx: &mut Ctx<'_>, argv: Argv<'_>, form: Form) -> Done {
    run(ctx, argv, form, |query, zset| {
        if zset.is_some() {
            query.take_member(zset, argv.at(2))?;
            query.take_circle(argv, 3)?;
        }
        Ok(5)
    })
}

/// GEORADIUS key longitude latitude radius unit \[options\]
pub(super) fn georadius(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    around_place(ctx, argv, Form::Radius)
}

/// GEORADIUS_RO key longitude latitude radius unit \[options\]
pub(super) fn georadius_ro(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    around_place(ctx, argv, Form::RadiusReadOnly)
}

/// GEORADIUSBYMEMBER key member radius unit \[options\]
pub(super) fn georadiusbymember(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    around_member(ctx, argv, Form::Radius)
}

/// GEORADIUSBYMEMBER_RO key member radius unit \[options\]
pub(super) fn georadiusbymember_ro(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    around_member(ctx, argv, Form::RadiusReadOnly)
}

/// GEOSEARCH key FROMMEMBER member|FROMLONLAT longitude latitude BYRADIUS radius unit|BYBOX width height unit
/// \[options\], or BYPOLYGON count longitude latitude ... without a FROM
pub(super) fn geosearch(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    run(ctx, argv, Form::Search, |_, _| Ok(2))
}

/// GEOSEARCHSTORE destination key, then as GEOSEARCH, \[STOREDIST\]
pub(super) fn geosearchstore(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    run(ctx, argv, Form::SearchStore, |_, _| Ok(3))
}
