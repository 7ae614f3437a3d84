//! What `-h` and `-v` print.
//!
//! Ancestor: `usage` and `version` in `server.c`.

/// The usage text, for a program called `program`.
pub fn usage(program: &str) -> String {
    format!(
        "Usage: {program} [/path/to/file.conf | -] [options] [-]
       {program} - (read the configuration from standard input)
       {program} -v or --version
       {program} -h or --help

An option is any directive of the configuration file after two dashes,
followed by its values. Options outrank the file.

Examples:
       {program} (run with the defaults)
       echo 'maxmemory 128mb' | {program} -
       {program} /etc/understudy.conf
       {program} --port 7777
       {program} --port 7777 --replicaof 127.0.0.1 6379
       {program} /etc/understudy.conf --loglevel verbose --save 60 1000

Sentinel mode:
       {program} /etc/sentinel.conf --sentinel
"
    )
}

/// The version of Redis whose behaviour clients find here.
pub const COMPATIBLE_VERSION: &str = "7.2.4";

/// The version line.
pub fn version() -> String {
    format!(
        "Understudy server v={} redis={COMPATIBLE_VERSION} malloc=jemalloc bits={}",
        env!("CARGO_PKG_VERSION"),
        usize::BITS
    )
}
