//! Places in sorted sets: adding them, telling where they are and how far apart. Searching stands in `geo/search.rs`.
//!
//! Ancestor: `geo.c`. A member's score is its place (`base::geohash`); so what adds places is ZADD, and travels as that.

mod rows;
mod search;
#[cfg(test)]
mod tests;

pub use rows::ROWS;

use super::ctx::{Ctx, float, is_option};
use super::error::{self, CommandError};
use super::zset::zadd;
use crate::base::geohash::Point;
use crate::resp::reply::Reply;
use crate::resp::request::{Argv, OwnedArgv};

type Done = Result<(), CommandError>;

/// The place that two arguments tell.
fn point(argv: Argv<'_>, at: usize) -> Result<Point, CommandError> {
    let (longitude, latitude) = (float(argv.at(at))?, float(argv.at(at + 1))?);
    Point::new(longitude, latitude)
        .ok_or_else(|| CommandError::new(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}")))
}

/// How many metres a unit has.
fn unit_m(word: &[u8]) -> Result<f64, CommandError> {
    [("M", 1.0), ("KM", 1000.0), ("FT", 0.3048), ("MI", 1609.34)]
        .into_iter()
        .find_map(|(unit, metres)| is_option(word, unit).then_some(metres))
        .ok_or_else(|| CommandError::new("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

fn reply_distance(reply: &mut Reply, distance: f64) {
    reply.bulk(format!("{distance:.4}").as_bytes());
}

/// A place as two doubles with up to 17 places after the point, which is how 7.2 prints these.
fn reply_point(reply: &mut Reply, point: Point) {
    reply.array(2);
    for degrees in [point.longitude, point.latitude] {
        let text = format!("{degrees:.17}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        let text = if text == "-0" { "0" } else { text };
        reply.double_text(text.as_bytes());
    }
}

/// GEOADD key \[NX|XX\] \[CH\] longitude latitude member ...
fn geoadd(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let is_word = |word: &&&[u8]| ["NX", "XX", "CH"].iter().any(|option| is_option(word, option));
    let words: Vec<&[u8]> = argv.from(2).iter().collect();
    let options = words.iter().take_while(is_word).count();
    let has = |option: &str| words[..options].iter().any(|word| is_option(word, option));
    if !(words.len() - options).is_multiple_of(3) || (has("NX") && has("XX")) {
        return Err(error::SYNTAX);
    }
    let first = 2 + options;
    let scores: Vec<String> = (first..argv.len())
        .step_by(3)
        .map(|at| Ok(point(argv, at)?.score().to_string()))
        .collect::<Result<_, CommandError>>()?;
    let mut args: Vec<&[u8]> = vec![b"zadd", argv.at(1)];
    args.extend_from_slice(&words[..options]);
    for (index, score) in scores.iter().enumerate() {
        args.extend([score.as_bytes(), argv.at(first + index * 3 + 2)]);
    }
    let dirty = ctx.keys.dirty;
    zadd(ctx, OwnedArgv::new(args.iter().copied()).argv())?;
    if ctx.keys.dirty != dirty {
        ctx.effects.propagate_as(&args);
    }
    Ok(())
}

/// GEODIST key member member \[M|KM|FT|MI\]
fn geodist(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    let unit = match argv.len() {
        4 => 1.0,
        5 => unit_m(argv.at(4))?,
        _ => return Err(error::SYNTAX),
    };
    let places = ctx.keys.zset(argv.at(1))?.and_then(|zset| {
        let place = |member: &[u8]| zset.score(member).map(Point::of_score);
        Some((place(argv.at(2))?, place(argv.at(3))?))
    });
    match places {
        Some((from, to)) => reply_distance(ctx.reply, from.distance_m(to) / unit),
        None => ctx.reply.null(),
    }
    Ok(())
}

/// Replies for each member with its place, or without one.
fn each_place(ctx: &mut Ctx<'_>, argv: Argv<'_>, reply: impl Fn(&mut Reply, Option<Point>)) -> Done {
    let zset = ctx.keys.zset(argv.at(1))?;
    ctx.reply.array(argv.len() - 2);
    for member in argv.from(2).iter() {
        reply(ctx.reply, zset.and_then(|zset| zset.score(member)).map(Point::of_score));
    }
    Ok(())
}

/// GEOHASH key \[member ...\]
fn geohash(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    each_place(ctx, argv, |reply, place| match place {
        Some(place) => reply.bulk(&place.geohash()),
        None => reply.null(),
    })
}

/// GEOPOS key \[member ...\]
fn geopos(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Done {
    each_place(ctx, argv, |reply, place| match place {
        Some(place) => reply_point(reply, place),
        None => reply.null_array(),
    })
}
