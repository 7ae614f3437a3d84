//! Replies, changes and events as stock Redis gave them.

use super::ROWS;
use crate::commands::testing::Bench;
use crate::types::{Set, Value};

const UNIT: &str = "-ERR unsupported unit provided. please use M, KM, FT, MI";

fn bench() -> Bench {
    let mut bench = Bench::of_changes(ROWS);
    bench.keys.insert(b"set", Value::Set(Set::new()), None);
    bench.line("geoadd g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania");
    bench
}

#[test]
fn places_are_added_and_told() {
    let mut bench = bench();
    assert_eq!((bench.dirty, bench.events()), (2, vec!["zadd g".to_owned()]));
    let score = "$16 3479099956230698 $7 Palermo $16 3479447370796909 $7 Catania";
    assert_eq!(bench.propagated().unwrap(), format!("*6 $4 zadd $1 g {score}"));
    for (command, reply) in [
        ("geoadd g NX 13.361389 38.115556", "-ERR syntax error"),
        ("geoadd g NX XX 13.361389 38.115556 a", "-ERR syntax error"),
        ("geoadd g nx ch ch", "-ERR syntax error"),
        ("geoadd g nx ch 181 38 x", "-ERR invalid longitude,latitude pair 181.000000,38.000000"),
        ("geoadd g inf 38 x", "-ERR invalid longitude,latitude pair inf,38.000000"),
        ("geoadd g 1 x x", "-ERR value is not a valid float"),
        ("geoadd set 1 2 a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("geoadd g CH 13 38 Palermo", ":1"),
        ("geoadd g 13 38 Palermo", ":0"),
        ("geodist g Palermo Catania", "$11 191711.0024"),
        ("geodist g Palermo Catania km", "$8 191.7110"),
        ("geodist g Palermo none", "$-1"),
        ("geodist none a b xx", UNIT),
        ("geodist g a b km km", "-ERR syntax error"),
        ("geohash g Palermo Catania none", "*3 $11 sqc0pvdq1c0 $11 sqdtr74hyu0 $-1"),
        ("geohash none", "*0"),
        ("geopos none a", "*1 *-1"),
        ("geopos g Catania", "*1 *2 $20 15.08726745843887329 $20 37.50266842333162032"),
    ] {
        assert_eq!(bench.line(command), reply, "{command}");
    }
    assert_eq!((bench.dirty, bench.propagated()), (0, None));
    bench.resp3 = true;
    assert_eq!(bench.line("geopos g Catania none"), "*2 *2 ,15.08726745843887329 ,37.50266842333162032 _");
    assert_eq!(bench.line("geodist g Palermo Catania km"), "$8 191.7110");
}

#[test]
fn searches_and_their_errors() {
    let mut bench = bench();
    bench.line("geoadd g 13 38 Palermo");
    let from = "geosearch g fromlonlat 15 37";
    for (command, reply) in [
        ("georadius g 15 37 200 km", "*1 $7 Catania"),
        ("georadius g 15 37 200 km WITHHASH WITHDIST", "*1 *3 $7 Catania $7 56.4413 :3479447370796909"),
        ("georadius g 15 37 200 km COUNT 0", "-ERR COUNT must be > 0"),
        ("georadius g 15 37 200 km COUNT x", "-ERR value is not an integer or out of range"),
        ("georadius g 15 37 200 km COUNT", "-ERR syntax error"),
        ("georadius g 15 37 200 km ANY", "-ERR the ANY argument requires COUNT argument"),
        ("georadius g 15 37 -1 km", "-ERR radius cannot be negative"),
        ("georadius g 15 37 x km", "-ERR need numeric radius"),
        ("georadius g 15 37 1 kx", UNIT),
        ("georadius none 215 37 1 km", "-ERR invalid longitude,latitude pair 215.000000,37.000000"),
        ("georadius_ro g 15 37 200 km STORE d", "-ERR syntax error"),
        ("georadius set 15 37 x x", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("georadiusbymember g Palermo 200 km", "*2 $7 Palermo $7 Catania"),
        ("georadiusbymember g none 200 km", "-ERR could not decode requested zset member"),
        ("georadiusbymember none none x kx", "*0"),
        ("georadiusbymember none none 1 km foo", "-ERR syntax error"),
        ("geosearch g frommember Palermo byradius 200 km", "*2 $7 Palermo $7 Catania"),
        ("geosearch g frommember Palermo bybox 1 1 km", "*1 $7 Palermo"),
        ("geosearch none frommember a byradius 10 kx", UNIT),
        ("geosearch none frommember a frommember b byradius 1 km", "*0"),
        ("geosearch none byradius 1 km bybox 1 1 km", "-ERR syntax error"),
        (
            "geosearch none frommember m asc asc asc",
            "-ERR exactly one of BYRADIUS and BYBOX can be specified for geosearch",
        ),
        (
            "GEOsearch g bybox 400 400 km asc",
            "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOsearch",
        ),
        (
            "geosearchstore d g fromlonlat 15 37 bybox 400 400 km withdist",
            "-ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        ),
        (
            "georadius none 15 37 1 km WITHDIST STORE d",
            "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        ),
    ] {
        assert_eq!(bench.line(command), reply, "{command}");
    }
    for (options, reply) in [
        ("bybox 400 400 km asc withdist", "*2 *2 $7 Catania $7 56.4413 *2 $7 Palermo $8 208.6011"),
        ("bybox 400 400 km desc count 1", "*1 $7 Palermo"),
        ("bybox 400 400 km count 1", "*1 $7 Catania"),
        ("bybox -400 400 km", "-ERR height or width cannot be negative"),
        ("bybox x 400 km", "-ERR need numeric width"),
        ("bybox 400 x km", "-ERR need numeric height"),
        ("byradius nan km", "-ERR need numeric radius"),
        ("byradius inf km asc", "*2 $7 Catania $7 Palermo"),
        ("bybox 400 400 km storedist", "-ERR syntax error"),
    ] {
        assert_eq!(bench.line(&format!("{from} {options}")), reply, "{options}");
    }
}

/// As Valkey 9.1 answered.
#[test]
fn polygons() {
    let mut bench = bench();
    let corners = "12 37 12 39 16 39 16 37";
    let few = "-ERR GEOSEARCH BYPOLYGON must have at least 3 vertices";
    for (options, reply) in [
        ("bypolygon 4 CORNERS", "*2 $7 Palermo $7 Catania"),
        ("bypolygon 4 CORNERS desc withdist", "*2 *2 $7 Catania $11 111411.0839 *2 $7 Palermo $10 56987.4933"),
        ("bypolygon 4 CORNERS count 1", "*1 $7 Palermo"),
        ("bypolygon 3 12 37 12 39 16 39", "*1 $7 Palermo"),
        ("bypolygon 3 1 1 2 2 3 1 bypolygon 4 CORNERS", "*2 $7 Palermo $7 Catania"),
        ("bypolygon x CORNERS", "-ERR invalid number of vertices"),
        ("bypolygon 2147483648 CORNERS", "-ERR invalid number of vertices"),
        ("bypolygon 2147483647 CORNERS", few),
        ("bypolygon -1 CORNERS", few),
        ("bypolygon 2 CORNERS", few),
        ("bypolygon 5 CORNERS", few),
        ("asc asc bypolygon 3 1", few),
        ("asc asc asc bypolygon 3", "-ERR syntax error"),
        ("bypolygon 3 12 37 12 99 16 39", "-ERR invalid longitude,latitude pair 12.000000,99.000000"),
        ("bypolygon 3 12 37 12 x 16 39", "-ERR value is not a valid float"),
        ("bypolygon 4 CORNERS km", "-ERR syntax error"),
        ("bypolygon 4 CORNERS byradius 10 km", "-ERR syntax error"),
        ("bypolygon 4 CORNERS frommember Palermo", "-ERR syntax error"),
        ("bypolygon 4 CORNERS storedist", "-ERR syntax error"),
        ("byradius 10 km bypolygon 4 CORNERS", "-ERR syntax error"),
        ("fromlonlat 1 1 bypolygon x CORNERS", "-ERR syntax error"),
        ("bypolygon 4 CORNERS any", "-ERR the ANY argument requires COUNT argument"),
    ] {
        let options = options.replace("CORNERS", corners);
        assert_eq!(bench.line(&format!("geosearch g {options}")), reply, "{options}");
    }
    assert_eq!(bench.line("geosearch none bypolygon 3 12 37 12 39 16 39"), "*0");
    assert_eq!(bench.line(&format!("geosearchstore d g bypolygon 4 {corners} storedist")), ":2");
    assert_eq!((bench.dirty, bench.events().join(",").as_str()), (2, "geosearchstore d"));
}

#[test]
fn what_is_found_may_be_stored() {
    let mut bench = bench();
    for (command, reply, dirty, events) in [
        ("georadius g 15 37 300 km STORE d", ":2", 2, "georadiusstore d"),
        ("geosearchstore d g fromlonlat 15 37 byradius 100 km storedist", ":1", 1, "geosearchstore d"),
        ("geosearchstore d none fromlonlat 15 37 byradius 1 km", ":0", 1, "del d"),
        ("georadius none 15 37 1 km STORE d", ":0", 0, ""),
    ] {
        assert_eq!(bench.line(command), reply, "{command}");
        assert_eq!((bench.dirty, bench.events().join(",").as_str()), (dirty, events), "{command}");
        assert_eq!(bench.propagated(), None);
    }
}
