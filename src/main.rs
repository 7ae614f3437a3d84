//! The program: command line, configuration, server. The allocator is chosen here.

use std::ffi::OsString;
use std::process::ExitCode;

use understudy::server::startup;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let config = match startup::prepare(&args) {
        Ok(config) => config,
        Err(status) => return status,
    };
    startup::announce(&config);
    startup::stopping(&config);
    ExitCode::SUCCESS
}
