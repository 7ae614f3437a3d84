//! LOLWUT: a picture, and which version of Redis this is compatible with (= lolwut.c).
//!
//! The picture is our own: a stage with its curtains, a light, and somebody who stands in it. It is drawn by dots, eight
//! of them in each Braille sign; chance has its part in the folds, in the light, and in where it falls. The size may be
//! given as in stock: `LOLWUT VERSION 5 columns rows`; other versions have other pictures there, and one here.

use super::ctx::{Ctx, integer, is_option};
use super::error::CommandError;
use super::{DataFn, Row};
use crate::base::rng::Rng;
use crate::commands::command::flag;
use crate::config::COMPATIBLE_VERSION;
use crate::resp::request::Argv;

/// LOLWUT.
pub const ROWS: &[Row<DataFn>] = &[Row {
    name: "lolwut",
    arity: -1,
    flags: flag::READONLY | flag::FAST,
    categories: 0,
    keys: &[],
    group: "server",
    since: "5.0.0",
    summary: "Draws a picture and tells the version.",
    run: Some(lolwut),
    subcommands: &[],
}];

/// Columns and rows of Braille signs, and the most of them.
const SIZE: (i64, i64) = (66, 14);
const SIZE_MAX: (i64, i64) = (1000, 200);
/// Versions that had pictures whose size could be told, where what is no number is an error.
const VERSIONS_WITH_SIZE: [i64; 2] = [5, 6];

fn lolwut(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    let mut size = argv.from(1);
    let mut is_strict = false;
    if let (Some(word), Some(version)) = (argv.get(1), argv.get(2))
        && is_option(word, "VERSION")
    {
        is_strict = VERSIONS_WITH_SIZE.contains(&integer(version)?);
        size = argv.from(3);
    }
    let mut numbers = Vec::new();
    for word in size.iter().take(3) {
        match integer(word) {
            Ok(number) => numbers.push(number),
            Err(error) if is_strict => return Err(error),
            Err(_) => break,
        }
    }
    let columns = numbers.first().copied().unwrap_or(SIZE.0).clamp(1, SIZE_MAX.0) as usize;
    let rows = numbers.get(1).copied().unwrap_or(SIZE.1).clamp(1, SIZE_MAX.1) as usize;
    let mut text = draw(columns, rows, &mut ctx.keys.rng);
    text.push_str("\nSomebody waits in the light. Redis ver. ");
    text.push_str(COMPATIBLE_VERSION);
    text.push('\n');
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// A number from 0 to 1.
fn chance(rng: &mut Rng) -> f64 {
    rng.below(1 << 20) as f64 / f64::from(1 << 20)
}

/// What chance has decided of the scene. Lengths are parts of the width or the height.
struct Scene {
    fold: f64,
    phase: f64,
    sway: f64,
    opening: f64,
    lamp: f64,
    spot: f64,
}

impl Scene {
    fn new(columns: usize, rng: &mut Rng) -> Scene {
        Scene {
            fold: columns as f64 * (0.7 + 0.5 * chance(rng)),
            phase: chance(rng) * 6.0,
            sway: 0.02 + 0.03 * chance(rng),
            opening: 0.26 + 0.08 * chance(rng),
            lamp: 0.35 + 0.3 * chance(rng),
            spot: 0.42 + 0.16 * chance(rng),
        }
    }

    /// How likely a dot is at a place.
    fn density(&self, x: f64, y: f64) -> f64 {
        let edge = self.opening - 0.1 * y * y + self.sway * (y * 5.0 + self.phase).sin();
        let from_side = x.min(1.0 - x);
        if from_side < edge {
            let fold = (x * self.fold + self.phase + 1.5 * y).sin();
            return if fold > 0.2 { 0.95 } else { 0.12 };
        }
        if self.is_figure(x, y) {
            return 1.0;
        }
        let pool = ((x - self.spot) / 0.13).powi(2) + ((y - 0.9) / 0.08).powi(2);
        if pool < 1.0 {
            return 0.45;
        }
        let beam = self.lamp + (self.spot - self.lamp) * y / 0.9;
        match (x - beam).abs() < 0.015 + 0.12 * y && y < 0.9 {
            true => 0.10,
            false => 0.0,
        }
    }

    fn is_figure(&self, x: f64, y: f64) -> bool {
        let across = (x - self.spot).abs();
        let head = (across / 0.018).powi(2) + ((y - 0.5) / 0.06).powi(2) < 1.0;
        let body = (0.57..0.76).contains(&y) && across < 0.012 + 0.12 * (y - 0.57);
        let legs = (0.76..0.92).contains(&y) && (0.005..0.02).contains(&across);
        head || body || legs
    }
}

/// The bits of a Braille sign, by row and column of its dots.
const DOTS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

fn draw(columns: usize, rows: usize, rng: &mut Rng) -> String {
    let scene = Scene::new(columns, rng);
    let mut text = String::with_capacity(rows * (columns * 3 + 1));
    for row in 0..rows {
        for column in 0..columns {
            let mut sign = 0x2800;
            for (down, line) in DOTS.iter().enumerate() {
                for (right, bit) in line.iter().enumerate() {
                    let x = (column * 2 + right) as f64 / (columns * 2) as f64;
                    let y = (row * 4 + down) as f64 / (rows * 4) as f64;
                    if chance(rng) < scene.density(x, y) {
                        sign |= bit;
                    }
                }
            }
            text.extend(char::from_u32(sign));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;

    #[test]
    fn a_picture_has_the_size_that_is_asked_for_and_the_version_below() {
        let mut bench = Bench::new(ROWS);
        for (line, columns, rows) in [
            ("lolwut", 66, 14),
            ("lolwut version 5 40 3", 40, 3),
            ("lolwut version 6 0 -1", 1, 1),
            ("lolwut version 99 x", 66, 14),
            ("lolwut version 5 9223372036854775807 9223372036854775807 1 2 x", 1000, 200),
        ] {
            let reply = bench.run(&line.split(' ').collect::<Vec<_>>());
            let picture: Vec<&str> = reply.lines().skip(1).take(rows).collect();
            assert!(picture.iter().all(|line| line.chars().count() == columns), "{line}: {reply}");
            assert!(reply.ends_with("Redis ver. 7.2.4\n\r\n"), "{line}");
            assert_eq!(reply.lines().count(), 1 + rows + 3, "{line}");
        }
        for line in ["lolwut version x", "lolwut version 5 x", "lolwut version 6 1 x"] {
            let reply = bench.run(&line.split(' ').collect::<Vec<_>>());
            assert_eq!(reply, "-ERR value is not an integer or out of range\r\n", "{line}");
        }
    }
}
