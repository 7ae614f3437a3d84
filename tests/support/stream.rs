//! What a server sends to its replicas.

use super::{Client, Server, Value};

/// The commands that a replica of this server is sent.
pub fn stream_of(server: &Server, run: impl FnOnce(&mut Client)) -> Vec<String> {
    let mut link = server.client();
    link.write_raw(b"PSYNC ? -1\r\n").unwrap();
    let line = |link: &mut Client| -> String {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n") {
            text.extend(link.read_exact(1).unwrap());
        }
        String::from_utf8_lossy(&text).trim().to_string()
    };
    let mut head = line(&mut link);
    while head.is_empty() || head.starts_with('+') {
        head = line(&mut link);
    }
    if let Some(mark) = head.strip_prefix("$EOF:") {
        let mut tail = Vec::new();
        while !tail.ends_with(mark.as_bytes()) {
            tail.extend(link.read_exact(1).unwrap());
        }
    } else {
        link.read_exact(head[1..].parse().unwrap()).unwrap();
    }
    run(&mut server.client());
    server.cmd(&["SET", "the", "end"]);
    let mut commands = Vec::new();
    loop {
        let command: Vec<String> = link.read().unwrap().items().iter().map(Value::text).collect();
        let command = command.join(" ");
        if command.eq_ignore_ascii_case("SET the end") {
            return commands;
        }
        if !command.eq_ignore_ascii_case("PING") {
            commands.push(command);
        }
    }
}
