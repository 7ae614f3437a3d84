//! What the system around us is told: our title, what the allocator may do, who reads the log too.
//!
//! Ancestors: `redisSetProcTitle` in `server.c`, `set_jemalloc_bg_thread` in `zmalloc.c`.

use super::{ClientId, Server};
use crate::base::{memory, process, title};
use crate::config::Config;

/// What has to be known of the house.
#[derive(Debug, Default)]
pub struct Host {
    /// The client whose commands ran last, or run: a crash report tells of it.
    pub last_reader: Option<ClientId>,
    /// The `oom_score_adj` that we were started with, once that is changed.
    pub(super) oom_score_at_start: Option<i32>,
}

/// The title that the template makes of the settings; `name` stands for the program.
pub fn title_of(config: &Config, name: &str) -> String {
    let address = config.bind.first().map_or("*", String::as_str).trim_start_matches('-');
    let socket = config.unixsocket.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let file = config.config_file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let value = |variable: &str| match variable {
        "title" => name.to_string(),
        "listen-addr" if config.port == 0 => socket.clone(),
        "listen-addr" => format!("{address}:{}", config.port),
        "port" => config.port.to_string(),
        "tls-port" => "0".into(),
        "unixsocket" => socket.clone(),
        "config-file" => file.clone(),
        // The mode is told where it is a special one.
        _ => String::new(),
    };
    let mut out = String::new();
    let mut rest = config.proc_title_template.as_str();
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        rest = &rest[open + 1..];
        if let Some(after) = rest.strip_prefix('{') {
            out.push('{');
            rest = after;
            continue;
        }
        let close = rest.find('}').unwrap_or(rest.len());
        out.push_str(&value(&rest[..close]));
        rest = rest.get(close + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    out.trim_end().to_string()
}

/// Shows the title that the settings ask for; `name` stands for the program, which is told by its path otherwise.
pub fn set_title(config: &Config, name: Option<&str>) {
    if config.set_proc_title {
        let program = title::original_args().into_iter().next().unwrap_or_default();
        title::set(&title_of(config, name.unwrap_or(&program.to_string_lossy())));
    }
}

impl Server {
    /// At the start: all of it.
    pub fn settle_in(&mut self) {
        set_title(&self.config, None);
    }

    /// Has the allocator give pages back on a thread of its own, or on ours as it goes along. Only CONFIG SET asks for
    /// that: a server is one thread until its operator wants another.
    pub(super) fn follow_background_thread(&self) {
        if !memory::set_background_thread(self.config.jemalloc_bg_thread) {
            log::warn!("The allocator has no background thread.");
        }
    }

    /// In a child that saves.
    pub(super) fn settle_in_as_child(&mut self) {
        set_title(&self.config, Some("understudy-rdb-bgsave"));
    }
}

/// Sends the log to syslog as well, if that is wanted.
pub fn open_syslog(config: &Config) {
    if config.syslog_enabled {
        process::open_syslog(&config.syslog_ident, config.syslog_facility as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_title_follows_its_template() {
        let title = |text: &str| title_of(&Config::parse(text.as_bytes()).expect("sound"), "/bin/u");
        assert_eq!(title(""), "/bin/u *:6379");
        assert_eq!(title("bind 127.0.0.1 ::1\nport 7000"), "/bin/u 127.0.0.1:7000");
        assert_eq!(title("bind -::1\nport 7000"), "/bin/u ::1:7000");
        assert_eq!(title("port 0\nunixsocket /tmp/s"), "/bin/u /tmp/s");
        let template =
            "proc-title-template \"{{{title} p={port} t={tls-port} u={unixsocket} {server-mode} [{config-file}]\"";
        assert_eq!(title(template), "{/bin/u p=6379 t=0 u=  []");
    }
}
