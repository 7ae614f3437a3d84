//! Commands on the connection that need nothing of the server (= ECHO of connection.c). The others, which change what a
//! client is or may do, are the server's.

use super::command::{DataFn, Row, category, flag};
use super::{CommandError, Ctx};
use crate::resp::request::Argv;

/// ECHO.
pub const ROWS: &[Row<DataFn>] = &[Row {
    name: "echo",
    arity: 2,
    flags: flag::LOADING | flag::STALE | flag::FAST,
    categories: category::CONNECTION,
    keys: &[],
    group: "connection",
    since: "1.0.0",
    summary: "Returns its argument.",
    run: Some(echo),
    subcommands: &[],
}];

fn echo(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> Result<(), CommandError> {
    ctx.reply.bulk(argv.at(1));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;

    #[test]
    fn echo_returns_what_it_gets() {
        assert_eq!(Bench::new(ROWS).run(&["ECHO", "a\r\nb"]), "$4\r\na\r\nb\r\n");
    }
}
