//! MONITOR: clients that are shown every command as it runs (= replicationFeedMonitors).
//!
//! A line is made once and appended to the output of each monitor, whose class's limit of output holds it in check. As
//! long as nobody monitors, nothing is done: `Server::notice_ticks` stands above every duration then.

use super::notice::{REDACTED, is_secret};
use super::{ClientId, Server};
use crate::commands::CommandError;
use crate::config::quote;
use crate::resp::request::Argv;
use std::path::Path;

impl Server {
    /// MONITOR
    pub fn monitor_command(&mut self, id: ClientId, _argv: Argv<'_>) -> Result<(), CommandError> {
        if self.exec_depth > 0 {
            return Err(CommandError::new("ERR MONITOR isn't allowed for DENY BLOCKING client"));
        }
        let Some(client) = self.clients.get_mut(id) else { return Ok(()) };
        if client.is_monitor || client.replica.is_some() {
            return Ok(());
        }
        client.is_monitor = true;
        client.reply.ok();
        self.clients.monitors.push(id);
        self.update_calm();
        self.update_notice();
        Ok(())
    }

    /// A client monitors no more.
    pub(super) fn stop_monitoring(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id).filter(|client| client.is_monitor) {
            client.is_monitor = false;
            self.clients.monitors.retain(|other| *other != id);
            self.update_calm();
            self.update_notice();
        }
    }

    /// Shows a command that runs others before it runs them; its row says that it is not shown otherwise.
    pub(super) fn show_script(&mut self, id: ClientId, argv: Argv<'_>) {
        if !self.clients.monitors.is_empty() {
            self.feed_monitors(id, "", argv);
        }
    }

    /// Shows a command to all monitors. `name` is that of the table.
    pub(super) fn feed_monitors(&mut self, id: ClientId, name: &str, argv: Argv<'_>) {
        let Some(client) = self.clients.get(id) else { return };
        let now = self.clock.unix_us();
        let socket = self.config.unixsocket.as_deref().unwrap_or(Path::new(""));
        let address = match client.transport.is_tcp() {
            _ if self.script_caller == Some(id) => "lua".to_string(),
            true => client.peer_name.clone(),
            false => format!("unix:{}", socket.display()),
        };
        let (seconds, micros) = (now / 1_000_000, now % 1_000_000);
        let mut line = format!("+{seconds}.{micros:06} [{} {address}]", client.session.db).into_bytes();
        for (at, arg) in argv.iter().enumerate() {
            line.push(b' ');
            line.extend_from_slice(&quote(if is_secret(name, argv, at) { REDACTED } else { arg }));
        }
        line.extend_from_slice(b"\r\n");
        for monitor in self.clients.monitors.clone() {
            self.push_bytes(Some(id), monitor, &line);
        }
    }
}
