//! The handshake with a master, one reply a step, without a socket (= syncWithMaster of replication.c).
//!
//! ```text
//! PING → [AUTH] → REPLCONF listening-port → [REPLCONF ip-address] → REPLCONF capa → REPLCONF version
//!   → REPLCONF stream-check → PSYNC → snapshot or stream
//! ```

use crate::resp::reply::encode_command;

/// The version of Valkey whose snapshots and stream we understand. A master of that family writes a snapshot for the
/// version that its replica tells; to one that tells none it sends no fields that expire. Others do not know the option.
const VALKEY_VERSION: &[u8] = b"9.0.0";

/// Where the link to a master stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkStage {
    /// It is to be begun.
    Connect,
    /// The connection is being made.
    Connecting,
    /// We wait for the reply to PING.
    PingReply,
    /// We wait for the reply to AUTH.
    AuthReply,
    /// We wait for the reply to REPLCONF listening-port.
    PortReply,
    /// We wait for the reply to REPLCONF ip-address.
    IpReply,
    /// We wait for the reply to REPLCONF capa.
    CapaReply,
    /// We wait for the reply to REPLCONF version.
    VersionReply,
    /// We wait for the reply to REPLCONF stream-check.
    CheckReply,
    /// We wait for the reply to PSYNC.
    PsyncReply,
    /// The snapshot comes in.
    Transfer,
    /// The live stream comes in.
    Connected,
}

impl LinkStage {
    /// What ROLE calls it.
    pub fn role_name(self) -> &'static str {
        match self {
            LinkStage::Connect => "connect",
            LinkStage::Connecting => "connecting",
            LinkStage::Transfer => "sync",
            LinkStage::Connected => "connected",
            _ => "handshake",
        }
    }

    /// Whether a handshake is going on.
    pub fn is_handshake(self) -> bool {
        !matches!(self, LinkStage::Connect | LinkStage::Transfer | LinkStage::Connected)
    }
}

/// What we tell a master of ourselves.
#[derive(Clone, Debug, Default)]
pub struct Introduction {
    /// `masteruser`
    pub user: Option<Vec<u8>>,
    /// `masterauth`
    pub password: Option<Vec<u8>>,
    /// The port we listen on, or the announced one.
    pub port: u16,
    /// `replica-announce-ip`
    pub ip: Option<String>,
    /// The history we are in and the first offset we lack, or nothing.
    pub psync: Option<(String, u64)>,
    /// The master-to-be is to take our place.
    pub failover: bool,
    /// The number that tells this run from others.
    pub run_id: String,
}

/// What the handshake wants next.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Send these bytes and wait for the reply at this stage.
    Send(LinkStage, Vec<u8>),
    /// Keep waiting: the line was a keep-alive.
    Wait,
    /// A full snapshot of this history at this offset comes.
    FullResync {
        /// The history's name.
        replid: String,
        /// Its offset at the snapshot.
        offset: u64,
    },
    /// The stream goes on where we are; the history may have a new name.
    Continue(Option<String>),
    /// The master knows no PSYNC; SYNC was sent, a snapshot of no known offset comes.
    Sync(Vec<u8>),
    /// The link is to be closed and tried again later. The text is for the log, and says whether it is a warning.
    Fail(String),
}

fn command(args: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_command(&mut out, args.iter().copied());
    out
}

impl Introduction {
    /// The first bytes of the handshake.
    pub fn begin(&self) -> (LinkStage, Vec<u8>) {
        (LinkStage::PingReply, command(&[b"PING"]))
    }

    /// What follows from `line`, the reply to what was sent at `stage`.
    pub fn step(&self, stage: LinkStage, line: &[u8]) -> Step {
        let shown = || String::from_utf8_lossy(line).into_owned();
        match stage {
            LinkStage::PingReply => match line {
                [b'+', ..] => self.after_ping(),
                _ if [b"-NOAUTH".as_slice(), b"-NOPERM", b"-ERR operation not permitted"]
                    .iter()
                    .any(|known| line.starts_with(known)) =>
                {
                    self.after_ping()
                }
                _ => Step::Fail(format!("Error reply to PING from master: '{}'", shown())),
            },
            LinkStage::AuthReply if line.starts_with(b"-") => {
                Step::Fail(format!("Unable to AUTH to MASTER: {}", shown()))
            }
            LinkStage::AuthReply => self.send_port(),
            LinkStage::PortReply if self.ip.is_some() => self.send_ip(),
            LinkStage::PortReply | LinkStage::IpReply => {
                Step::Send(LinkStage::CapaReply, command(&[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"]))
            }
            LinkStage::CapaReply => {
                Step::Send(LinkStage::VersionReply, command(&[b"REPLCONF", b"version", VALKEY_VERSION]))
            }
            LinkStage::VersionReply => {
                Step::Send(LinkStage::CheckReply, command(&[b"REPLCONF", b"stream-check", self.run_id.as_bytes()]))
            }
            LinkStage::CheckReply => self.send_psync(),
            LinkStage::PsyncReply => self.after_psync(line),
            _ => Step::Fail(format!("Unexpected reply from master: '{}'", shown())),
        }
    }

    fn after_ping(&self) -> Step {
        let Some(password) = &self.password else { return self.send_port() };
        let bytes = match &self.user {
            Some(user) => command(&[b"AUTH", user, password]),
            None => command(&[b"AUTH", password]),
        };
        Step::Send(LinkStage::AuthReply, bytes)
    }

    fn send_port(&self) -> Step {
        let port = self.port.to_string();
        Step::Send(LinkStage::PortReply, command(&[b"REPLCONF", b"listening-port", port.as_bytes()]))
    }

    fn send_ip(&self) -> Step {
        let ip = self.ip.as_deref().unwrap_or_default();
        Step::Send(LinkStage::IpReply, command(&[b"REPLCONF", b"ip-address", ip.as_bytes()]))
    }

    fn send_psync(&self) -> Step {
        let (replid, offset) = match &self.psync {
            Some((replid, offset)) => (replid.as_str(), offset.to_string()),
            None => ("?", "-1".into()),
        };
        let mut args: Vec<&[u8]> = vec![b"PSYNC", replid.as_bytes(), offset.as_bytes()];
        if self.failover {
            args.push(b"FAILOVER");
        }
        Step::Send(LinkStage::PsyncReply, command(&args))
    }

    fn after_psync(&self, line: &[u8]) -> Step {
        if line.is_empty() {
            return Step::Wait;
        }
        let text = String::from_utf8_lossy(line).into_owned();
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["+FULLRESYNC", replid, offset] if replid.len() == 40 => match offset.parse() {
                Ok(offset) => Step::FullResync { replid: (*replid).into(), offset },
                Err(_) => Step::Fail(format!("Master replied with wrong +FULLRESYNC syntax: '{text}'")),
            },
            ["+CONTINUE"] => Step::Continue(None),
            ["+CONTINUE", replid, ..] if replid.len() == 40 => Step::Continue(Some((*replid).into())),
            [first, ..] if first.starts_with("-NOMASTERLINK") || first.starts_with("-LOADING") => {
                Step::Fail(format!("Master is currently unable to PSYNC but should be in the future: {text}"))
            }
            [first, ..] if first.starts_with("-ERR") => Step::Sync(b"SYNC\r\n".to_vec()),
            _ => Step::Fail(format!("Unexpected reply to PSYNC from master: {text}")),
        }
    }
}

/// How the snapshot is framed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes come.
    Length(u64),
    /// Bytes come until these 40.
    Marker([u8; 40]),
}

/// Reads the line that announces a snapshot: `$<len>` or `$EOF:<40 bytes>`. The error is for the log.
pub fn parse_framing(line: &[u8]) -> Result<Framing, String> {
    let shown = || String::from_utf8_lossy(line).into_owned();
    match line {
        [b'-', ..] => Err(format!("MASTER aborted replication with an error: {}", shown())),
        [b'$', rest @ ..] => {
            if let Some(marker) = rest.strip_prefix(b"EOF:") {
                let marker = marker.try_into().map_err(|_| format!("Bad protocol from MASTER: '{}'", shown()))?;
                return Ok(Framing::Marker(marker));
            }
            let length = crate::base::numbers::parse_u64(rest);
            length.map(Framing::Length).ok_or_else(|| format!("Bad protocol from MASTER: '{}'", shown()))
        }
        _ => Err(format!(
            "Bad protocol from MASTER, the first byte is not '$' (we received '{}'), are you sure the host and port are right?",
            shown()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(step: Step) -> (LinkStage, String) {
        match step {
            Step::Send(stage, bytes) => {
                let text = String::from_utf8(bytes).unwrap();
                let words: Vec<&str> = text.split("\r\n").filter(|word| !word.starts_with(['*', '$'])).collect();
                (stage, words.join(" ").trim().to_string())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_whole_way_with_a_password_and_an_announced_address() {
        let intro = Introduction {
            user: Some(b"u".to_vec()),
            password: Some(b"p".to_vec()),
            port: 7000,
            ip: Some("10.0.0.1".into()),
            psync: Some(("a".repeat(40), 101)),
            failover: true,
            run_id: "run".into(),
        };
        let (mut stage, _) = intro.begin();
        let mut said = Vec::new();
        for line in
            ["-NOAUTH Authentication required.", "+OK", "+OK", "-ERR unknown", "+OK", "-ERR unknown", "-ERR unknown"]
        {
            let (next, text) = sent(intro.step(stage, line.as_bytes()));
            said.push(text);
            stage = next;
        }
        assert_eq!(
            said,
            [
                "AUTH u p".to_string(),
                "REPLCONF listening-port 7000".into(),
                "REPLCONF ip-address 10.0.0.1".into(),
                "REPLCONF capa eof capa psync2".into(),
                "REPLCONF version 9.0.0".into(),
                "REPLCONF stream-check run".into(),
                format!("PSYNC {} 101 FAILOVER", "a".repeat(40)),
            ]
        );
        assert_eq!(stage, LinkStage::PsyncReply);
        assert_eq!(intro.step(stage, b""), Step::Wait);
        let id = "b".repeat(40);
        assert_eq!(
            intro.step(stage, format!("+FULLRESYNC {id} 77").as_bytes()),
            Step::FullResync { replid: id.clone(), offset: 77 }
        );
        assert_eq!(intro.step(stage, format!("+CONTINUE {id}").as_bytes()), Step::Continue(Some(id)));
        assert_eq!(intro.step(stage, b"+CONTINUE"), Step::Continue(None));
    }

    #[test]
    fn refusals_end_the_link_and_an_old_master_is_asked_by_sync() {
        let intro = Introduction { port: 1, password: Some(b"x".to_vec()), ..Introduction::default() };
        assert!(matches!(intro.step(LinkStage::PingReply, b"-LOADING x"), Step::Fail(_)));
        assert!(
            matches!(intro.step(LinkStage::AuthReply, b"-WRONGPASS"), Step::Fail(text) if text.starts_with("Unable to AUTH to MASTER"))
        );
        assert!(matches!(intro.step(LinkStage::PsyncReply, b"-NOMASTERLINK x"), Step::Fail(_)));
        assert!(matches!(intro.step(LinkStage::PsyncReply, b"+FULLRESYNC short 1"), Step::Fail(_)));
        assert_eq!(intro.step(LinkStage::PsyncReply, b"-ERR unknown command"), Step::Sync(b"SYNC\r\n".to_vec()));
    }

    #[test]
    fn framings() {
        assert_eq!(parse_framing(b"$12"), Ok(Framing::Length(12)));
        let marker = [b'x'; 40];
        assert_eq!(parse_framing(&[b"$EOF:".as_slice(), &marker].concat()), Ok(Framing::Marker(marker)));
        for bad in [b"$EOF:short".as_slice(), b"$-1", b"$x", b"-ERR no", b"hello", b""] {
            assert!(parse_framing(bad).is_err());
        }
    }
}
