//! The program: command line, configuration, server. The allocator is chosen here.

use std::ffi::OsString;
use std::process::ExitCode;

use understudy::base::allocator::Allocator;
use understudy::base::crash;
use understudy::server::{Server, startup};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let config = match startup::prepare(&args) {
        Ok(config) => config,
        Err(status) => return status,
    };
    let mut server = match Server::new(config) {
        Ok(server) => server,
        Err(error) => {
            log::error!("{error}");
            return ExitCode::FAILURE;
        }
    };
    startup::announce(&server.config);
    server.settle_in();
    if let Err(error) = server.load_data_from_disk() {
        log::error!("Fatal error loading the DB: {error}. Exiting.");
        return ExitCode::FAILURE;
    }
    let code = crash::with_subject(&mut server, Server::run);
    startup::stopping(&server.config);
    // The system takes all memory back at once; to free the keys one by one takes some 80 ms per million.
    std::mem::forget(server);
    ExitCode::from(code as u8)
}
