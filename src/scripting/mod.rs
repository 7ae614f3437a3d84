//! Scripts: the engine, the sandbox that they run in, the libraries that they find (= eval.c, script.c, script_lua.c).
//!
//! # Which engine
//!
//! Lua 5.1.5 as its authors left it, compiled by `mlua-sys`, behind the safe door in `base::lua`. A probe decided between it,
//! the same behind `mlua`, and Luau:
//!
//! | | Lua 5.1 behind `base::lua` | Lua 5.1 behind `mlua` | Luau behind `mlua` |
//! |---|---|---|---|
//! | `0.1*3 .. ""`, `1e15 .. ""` | `0.3`, `1e+15` as Redis | the same | `0.30000000000000004`, `1000000000000000` |
//! | `nil.y`, `1 + {}`, `foo(` | words and places as Redis | the same, with a traceback | other words |
//! | what `pcall` sees of our errors | tables and strings as in Redis | userdata | userdata |
//! | a function of ours, memory limited | 80 ns | 295 ns | 303 ns |
//! | a reply of 100 strings, memory limited | 5 µs | 28.5 µs | 28 µs |
//! | to build, for the first time | 8 s, needs a C compiler | 11 s | 64 s, needs a C++ compiler |
//!
//! Flaws of 5.1 that are known are kept out from outside; `sandbox` lists them with what keeps each out.
