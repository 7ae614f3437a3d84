//! Places on the earth as numbers of 52 bits that are near each other where the places are (= geohash.c and
//! geohash_helper.c).
//!
//! Longitude and latitude are cut in half 26 times each, and the halves' bits stand in turn: latitude in the even ones,
//! longitude in the odd ones. Distances are those on a sphere. Every sum is done in stock's order, for its digits show.

/// The highest latitude that web maps show.
const LATITUDE_MAX: f64 = 85.05112878;
const LONGITUDE_MAX: f64 = 180.0;
const EARTH_RADIUS_M: f64 = 6372797.560856;
const MERCATOR_MAX_M: f64 = 20037726.37;
const RADIANS_PER_DEGREE: f64 = std::f64::consts::PI / 180.0;
/// Halvings of each axis in a score.
const STEPS: u32 = 26;
const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

fn radians(degrees: f64) -> f64 {
    degrees * RADIANS_PER_DEGREE
}

fn degrees(radians: f64) -> f64 {
    radians / RADIANS_PER_DEGREE
}

/// A place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// East is positive.
    pub longitude: f64,
    /// North is positive.
    pub latitude: f64,
}

impl Point {
    /// The place, if scores can tell it.
    pub fn new(longitude: f64, latitude: f64) -> Option<Point> {
        let known =
            (-LONGITUDE_MAX..=LONGITUDE_MAX).contains(&longitude) && (-LATITUDE_MAX..=LATITUDE_MAX).contains(&latitude);
        known.then_some(Point { longitude, latitude })
    }

    /// The number of 52 bits by which a sorted set keeps the place.
    pub fn score(self) -> u64 {
        Cell::around(self, STEPS).bits()
    }

    /// The middle of the cell that a score tells. Any number tells one.
    pub fn of_score(score: f64) -> Point {
        let area = Cell::of_bits(as_bits(score), STEPS).area();
        let middle = |low: f64, high: f64, max: f64| {
            let middle = (low + high) / 2.0;
            if middle > max {
                max
            } else if middle < -max {
                -max
            } else {
                middle
            }
        };
        Point {
            longitude: middle(area.west, area.east, LONGITUDE_MAX),
            latitude: middle(area.south, area.north, LATITUDE_MAX),
        }
    }

    /// The eleven letters of the standard geohash; the last one is always 0.
    pub fn geohash(self) -> [u8; 11] {
        let bits = encode(self, 90.0, STEPS).bits();
        std::array::from_fn(|at| match at {
            10 => ALPHABET[0],
            _ => ALPHABET[(bits >> (52 - (at + 1) * 5) & 31) as usize],
        })
    }

    /// Metres to another place.
    pub fn distance_m(self, other: Point) -> f64 {
        let (from, to) = (radians(self.longitude), radians(other.longitude));
        let v = ((to - from) / 2.0).sin();
        if v == 0.0 {
            return latitude_distance_m(self.latitude, other.latitude);
        }
        let (from, to) = (radians(self.latitude), radians(other.latitude));
        let u = ((to - from) / 2.0).sin();
        let a = u * u + from.cos() * to.cos() * v * v;
        2.0 * EARTH_RADIUS_M * a.sqrt().asin()
    }
}

fn latitude_distance_m(from: f64, to: f64) -> f64 {
    EARTH_RADIUS_M * (radians(to) - radians(from)).abs()
}

/// A score as C casts it: towards zero, modulo 2^64 as far as the processor's conversion goes.
fn as_bits(score: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    let signed = |value: f64| if (-HALF..HALF).contains(&value) { value as i64 as u64 } else { 1 << 63 };
    if score < HALF { signed(score) } else { signed(score - HALF) ^ 1 << 63 }
}

/// A rectangle of the grid: rows and columns are counted from the south-west.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    row: u32,
    column: u32,
    steps: u32,
}

/// The edges of a rectangle, in degrees.
#[derive(Clone, Copy, Debug)]
struct Area {
    west: f64,
    east: f64,
    south: f64,
    north: f64,
}

fn encode(point: Point, latitude_max: f64, steps: u32) -> Cell {
    let part = |value: f64, max: f64| ((value + max) / (max + max) * (1u64 << steps) as f64) as u32;
    Cell { row: part(point.latitude, latitude_max), column: part(point.longitude, LONGITUDE_MAX), steps }
}

impl Cell {
    fn around(point: Point, steps: u32) -> Cell {
        encode(point, LATITUDE_MAX, steps)
    }

    fn of_bits(bits: u64, steps: u32) -> Cell {
        let every_second = |bits: u64| (0..32).fold(0, |sum, at| sum | (bits >> (2 * at) & 1) << at) as u32;
        Cell { row: every_second(bits), column: every_second(bits >> 1), steps }
    }

    fn bits(self) -> u64 {
        let spread = |part: u32| (0..32).fold(0, |sum, at| sum | (u64::from(part) >> at & 1) << (2 * at));
        spread(self.row) | spread(self.column) << 1
    }

    fn area(self) -> Area {
        let cells = (1u64 << self.steps) as f64;
        let edge = |part: u32, max: f64| -max + f64::from(part) / cells * (max + max);
        Area {
            west: edge(self.column, LONGITUDE_MAX),
            east: edge(self.column.wrapping_add(1), LONGITUDE_MAX),
            south: edge(self.row, LATITUDE_MAX),
            north: edge(self.row.wrapping_add(1), LATITUDE_MAX),
        }
    }

    /// The cell so many columns east and rows north, around the world.
    fn beside(self, east: i32, north: i32) -> Cell {
        let mask = u32::MAX >> (32 - self.steps);
        let moved = |part: u32, by: i32| if by == 0 { part } else { part.wrapping_add_signed(by) & mask };
        Cell { row: moved(self.row, north), column: moved(self.column, east), ..self }
    }

    /// The scores of all places in the cell: from the first up to but without the second.
    pub fn scores(self) -> (f64, f64) {
        let shift = 52 - 2 * self.steps;
        ((self.bits() << shift) as f64, ((self.bits() + 1) << shift) as f64)
    }
}

/// What lies within the searched part of the world.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Up to so many metres away.
    Circle {
        /// From the middle to the edge.
        radius_m: f64,
    },
    /// In a rectangle along the axes.
    Rectangle {
        /// From west to east.
        width_m: f64,
        /// From south to north.
        height_m: f64,
    },
    /// Within edges that are straight on a map of degrees; what lies within an even number of loops is outside.
    Polygon {
        /// Three corners or more.
        vertices: Vec<Point>,
    },
}

/// Where the vertices of a polygon are on the average, on the sphere; places are as far from the polygon as from there.
pub fn midpoint(vertices: &[Point]) -> Point {
    let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
    for vertex in vertices {
        let (longitude, latitude) = (radians(vertex.longitude), radians(vertex.latitude));
        x += latitude.cos() * longitude.cos();
        y += latitude.cos() * longitude.sin();
        z += latitude.sin();
    }
    Point { longitude: degrees(y.atan2(x)), latitude: degrees(z.atan2((x * x + y * y).sqrt())) }
}

/// Whether a ray from the place to the east meets an odd number of edges.
fn is_within(vertices: &[Point], place: Point) -> bool {
    let Some(mut previous) = vertices.last() else { return false };
    let mut odd = false;
    for vertex in vertices {
        if (vertex.latitude > place.latitude) != (previous.latitude > place.latitude)
            && place.longitude
                < (previous.longitude - vertex.longitude) * (place.latitude - vertex.latitude)
                    / (previous.latitude - vertex.latitude)
                    + vertex.longitude
        {
            odd = !odd;
        }
        previous = vertex;
    }
    odd
}

/// The rectangle along the axes in which all of these lie.
fn bounds_of(vertices: &[Point]) -> Area {
    let none = Area { west: f64::INFINITY, east: f64::NEG_INFINITY, south: f64::INFINITY, north: f64::NEG_INFINITY };
    vertices.iter().fold(none, |area, vertex| Area {
        west: area.west.min(vertex.longitude),
        east: area.east.max(vertex.longitude),
        south: area.south.min(vertex.latitude),
        north: area.north.max(vertex.latitude),
    })
}

impl Shape {
    /// Metres from the middle of the shape to a place, if it lies within.
    pub fn distance_m(&self, middle: Point, place: Point) -> Option<f64> {
        match self {
            Shape::Circle { radius_m } => {
                let distance = middle.distance_m(place);
                (distance <= *radius_m).then_some(distance)
            }
            Shape::Polygon { vertices } => is_within(vertices, place).then(|| middle.distance_m(place)),
            Shape::Rectangle { width_m, height_m } => {
                if latitude_distance_m(place.latitude, middle.latitude) > height_m / 2.0 {
                    return None;
                }
                let across = place.distance_m(Point { longitude: middle.longitude, latitude: place.latitude });
                (across <= width_m / 2.0).then(|| middle.distance_m(place))
            }
        }
    }

    fn bounds(&self, middle: Point) -> Area {
        // Half of the extent along both axes.
        let (width, height) = match self {
            Shape::Circle { radius_m } => (*radius_m, *radius_m),
            Shape::Rectangle { width_m, height_m } => (width_m / 2.0, height_m / 2.0),
            Shape::Polygon { vertices } => return bounds_of(vertices),
        };
        let north = degrees(height / EARTH_RADIUS_M);
        let east_at = |latitude: f64| degrees(width / EARTH_RADIUS_M / radians(latitude).cos());
        // The degrees are widest on the side of the pole.
        let (top, bottom) = (east_at(middle.latitude + north), east_at(middle.latitude - north));
        let east = if middle.latitude < 0.0 { bottom } else { top };
        Area {
            west: middle.longitude - east,
            east: middle.longitude + east,
            south: middle.latitude - north,
            north: middle.latitude + north,
        }
    }

    /// Metres from the middle to what may be farthest from it.
    fn radius_m(&self, middle: Point, bounds: Area) -> f64 {
        match self {
            Shape::Circle { radius_m } => *radius_m,
            Shape::Rectangle { width_m, height_m } => {
                let (width, height) = (width_m / 2.0, height_m / 2.0);
                (width * width + height * height).sqrt()
            }
            Shape::Polygon { .. } => {
                let corners = [bounds.west, bounds.east].into_iter().flat_map(|longitude| {
                    [bounds.south, bounds.north].map(|latitude| middle.distance_m(Point { longitude, latitude }))
                });
                corners.fold(0.0, f64::max)
            }
        }
    }

    /// The cells that together cover the shape around a place: the one in the middle, then those around it as far as
    /// they are needed.
    pub fn cells(&self, middle: Point) -> Vec<Cell> {
        const AROUND: [(i32, i32); 8] = [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let bounds = self.bounds(middle);
        let radius = self.radius_m(middle, bounds);
        let mut steps = steps_for(radius, middle.latitude);
        if steps > 1 && !covers(Cell::around(middle, steps), bounds) {
            steps -= 1;
        }
        let centre = Cell::around(middle, steps);
        let area = centre.area();
        let needed = |&(east, north): &(i32, i32)| {
            steps < 2
                || !((north < 0 && area.south < bounds.south)
                    || (north > 0 && area.north > bounds.north)
                    || (east < 0 && area.west < bounds.west)
                    || (east > 0 && area.east > bounds.east))
        };
        let beside = AROUND.iter().filter(|place| needed(place)).map(|&(east, north)| centre.beside(east, north));
        std::iter::once(centre).chain(beside).collect()
    }
}

/// How often the axes are halved so that nine cells cover a radius. Near the poles the cells are narrow.
fn steps_for(radius_m: f64, latitude: f64) -> u32 {
    if radius_m == 0.0 {
        return STEPS;
    }
    let (mut reach, mut steps) = (radius_m, 1);
    while reach < MERCATOR_MAX_M && steps < 100 {
        reach *= 2.0;
        steps += 1;
    }
    steps -= 2;
    for near_the_pole in [66.0, 80.0] {
        if latitude.abs() > near_the_pole {
            steps -= 1;
        }
    }
    steps.clamp(1, STEPS as i32) as u32
}

/// Whether the cells beside this one reach as far as the bounds. East of the last one, the next is far in the west.
fn covers(cell: Cell, bounds: Area) -> bool {
    cell.beside(0, 1).area().north >= bounds.north
        && cell.beside(0, -1).area().south <= bounds.south
        && cell.beside(1, 0).area().east >= bounds.east
        && cell.beside(-1, 0).area().west <= bounds.west
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn somewhere(rng: &mut Rng) -> Point {
        let part = |rng: &mut Rng| rng.index(2_000_001) as f64 / 1_000_000.0 - 1.0;
        Point { longitude: part(rng) * LONGITUDE_MAX, latitude: part(rng) * LATITUDE_MAX }
    }

    #[test]
    fn scores_and_letters_are_those_of_a_stock_server() {
        let catania = Point::new(15.087269, 37.502669).unwrap();
        assert_eq!(catania.score(), 3479447370796909);
        let found = Point::of_score(3479447370796909.0);
        assert_eq!((found.longitude, found.latitude), (15.087267458438873, 37.50266842333162));
        assert_eq!(&found.geohash(), b"sqdtr74hyu0");
        assert!(Point::new(180.0, 85.05112878).is_some() && Point::new(-180.0, -85.05112878).is_some());
        for (longitude, latitude) in [(180.1, 0.0), (0.0, 85.06), (f64::INFINITY, 0.0), (0.0, f64::NAN)] {
            assert_eq!(Point::new(longitude, latitude), None);
        }
        for score in [-5.0, 1e300, -1e300, f64::INFINITY, f64::NEG_INFINITY, 9e18, 1e19, 0.5] {
            let found = Point::of_score(score);
            assert!(Point::new(found.longitude, found.latitude).is_some(), "{score}");
        }
    }

    #[test]
    fn a_place_is_found_again_and_distances_are_symmetric() {
        let mut rng = Rng::new(41);
        for _ in 0..20_000 {
            let (a, b) = (somewhere(&mut rng), somewhere(&mut rng));
            assert!(a.distance_m(Point::of_score(a.score() as f64)) < 0.6);
            assert!((a.distance_m(b) - b.distance_m(a)).abs() < 1e-6);
        }
    }

    /// Away from the poles, where the cells of the grid become too narrow, in stock as well.
    #[test]
    fn the_cells_cover_what_is_near() {
        let mut rng = Rng::new(42);
        for _ in 0..20_000 {
            let mut middle = somewhere(&mut rng);
            middle.latitude *= 0.7;
            middle.longitude *= 0.9;
            let radius_m = 10f64.powi(rng.index(6) as i32) * (1 + rng.index(9)) as f64;
            let near = |rng: &mut Rng| (rng.index(2001) as f64 - 1000.0) / 1000.0 * degrees(radius_m / EARTH_RADIUS_M);
            let (east, north) = (near(&mut rng), near(&mut rng));
            let Some(place) = Point::new(middle.longitude + east, middle.latitude + north) else { continue };
            let triangle = (0..3).map(|_| {
                let (longitude, latitude) = (middle.longitude + near(&mut rng), middle.latitude + near(&mut rng));
                Point { longitude, latitude }
            });
            let vertices: Vec<Point> = triangle.collect();
            let centre = midpoint(&vertices);
            let rectangle = Shape::Rectangle { width_m: radius_m, height_m: radius_m * 1.5 };
            for (shape, middle) in
                [(Shape::Circle { radius_m }, middle), (rectangle, middle), (Shape::Polygon { vertices }, centre)]
            {
                if shape.distance_m(middle, place).is_some() {
                    let score = place.score() as f64;
                    let inside = |cell: &Cell| (cell.scores().0..cell.scores().1).contains(&score);
                    assert!(shape.cells(middle).iter().any(inside), "{shape:?} {middle:?} {place:?}");
                }
            }
        }
    }
}
