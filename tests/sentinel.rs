//! Three stock Sentinels over a master of ours with two replicas, one ours and one stock: the master is killed, a
//! replica of either kind is promoted, a client that asks Sentinel goes on writing, the old master comes back.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::{Client, Kind, Server, Value, free_port, fresh_dir, peer, wait_until};

const BOUND: Duration = Duration::from_secs(60);
const PASSWORD: &str = "open sesame";

/// A stock Sentinel, ended with the test.
struct Sentinel {
    port: u16,
    dir: PathBuf,
    child: Child,
}

impl Sentinel {
    /// Watches a master under the name `m`. `INFO-PERIOD` and `PUBLISH-PERIOD` only make the test shorter. (Sentinel asks
    /// a master it has just switched to after a second only: with less than that it would find it down again.)
    fn start(master: u16, user: Option<&str>) -> Sentinel {
        let (dir, port) = (fresh_dir(), free_port());
        let user = user.map(|user| format!("sentinel auth-user m {user}\n")).unwrap_or_default();
        let config = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor m 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds m 2000\nsentinel failover-timeout m 2000\n\
             sentinel auth-pass m \"{PASSWORD}\"\n{user}",
            dir.display()
        );
        let path = dir.join("sentinel.conf");
        fs::write(&path, config).unwrap();
        let log = fs::File::create(dir.join("sentinel.log")).unwrap();
        let child = Command::new(peer("redis-sentinel"))
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("redis-sentinel starts");
        let sentinel = Sentinel { port, dir, child };
        wait_until(BOUND, "Sentinel answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        sentinel.client().good(&["SENTINEL", "DEBUG", "INFO-PERIOD", "300", "PUBLISH-PERIOD", "300"]);
        sentinel
    }

    fn client(&self) -> Client {
        Client::connect(self.port)
    }

    fn master_port(&self) -> u16 {
        let address = self.client().good(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "m"]);
        address.items()[1].text().parse().unwrap()
    }

    /// What it knows of each replica, by port.
    fn replicas(&self) -> BTreeMap<u16, BTreeMap<String, String>> {
        let known = self.client().good(&["SENTINEL", "REPLICAS", "m"]);
        let fields = |flat: &Value| -> BTreeMap<String, String> {
            flat.items().chunks(2).map(|pair| (pair[0].text(), pair[1].text())).collect()
        };
        known.items().iter().map(fields).map(|fields| (fields["port"].parse().unwrap(), fields)).collect()
    }

    /// Whether it sees two other Sentinels, and these two replicas follow the master.
    fn knows(&self, master: u16, replicas: &[u16]) -> bool {
        let others = self.client().good(&["SENTINEL", "SENTINELS", "m"]);
        let healthy = |fields: &BTreeMap<String, String>| {
            fields["flags"] == "slave"
                && fields["master-link-status"] == "ok"
                && fields["master-port"] == master.to_string()
        };
        let known = self.replicas();
        others.items().len() == 2
            && self.master_port() == master
            && replicas.iter().all(|port| known.get(port).is_some_and(healthy))
            && known.len() == replicas.len()
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- Sentinel on port {}", self.port);
            eprintln!("{}", fs::read_to_string(self.dir.join("sentinel.log")).unwrap_or_default());
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

struct Cluster {
    nodes: Vec<Server>,
    master: usize,
    sentinels: Vec<Sentinel>,
    written: u64,
}

impl Cluster {
    /// The first node is the master.
    fn start(kinds: &[Kind]) -> Cluster {
        let nodes: Vec<Server> = kinds.iter().map(|kind| start_node(*kind)).collect();
        let port = nodes[0].port().to_string();
        for node in &nodes[1..] {
            talk(node.port()).good(&["REPLICAOF", "127.0.0.1", &port]);
        }
        let sentinels =
            [None, Some("watcher"), Some("watcher")].map(|user| Sentinel::start(nodes[0].port(), user)).into();
        let cluster = Cluster { nodes, master: 0, sentinels, written: 0 };
        cluster.wait_healthy();
        cluster
    }

    fn wait_healthy(&self) {
        let master = self.nodes[self.master].port();
        let replicas: Vec<u16> = self.nodes.iter().map(Server::port).filter(|port| *port != master).collect();
        wait_until(BOUND, "all Sentinels see all nodes in order", || {
            self.sentinels.iter().all(|sentinel| sentinel.knows(master, &replicas))
        });
    }

    /// Has the Sentinels promote this node next.
    fn prefer(&self, chosen: usize) {
        for (number, node) in self.nodes.iter().enumerate() {
            let priority = if number == chosen { "10" } else { "100" };
            talk(node.port()).good(&["CONFIG", "SET", "replica-priority", priority]);
        }
        let best = self.nodes[chosen].port();
        let as_wanted = |(port, fields): (&u16, &BTreeMap<String, String>)| {
            fields["slave-priority"] == if *port == best { "10" } else { "100" }
        };
        wait_until(BOUND, "the Sentinels know the priorities", || {
            self.sentinels.iter().all(|sentinel| sentinel.replicas().iter().all(as_wanted))
        });
    }

    /// Asks a Sentinel for the master and writes once; tells whether that was acknowledged, and by whom.
    fn write(&mut self) -> Option<u16> {
        let port = self.sentinels[0].master_port();
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        let mut client = Client::over(stream);
        client.try_cmd(&["AUTH", PASSWORD]).ok()?;
        let value = (self.written + 1).to_string();
        let reply = client.try_cmd(&["RPUSH", "written", &value]).ok()?;
        (!reply.is_error()).then(|| {
            self.written += 1;
            port
        })
    }

    /// The new master is known, takes writes, and all nodes come together under it with nothing lost.
    fn after_failover(&mut self, chosen: usize) {
        let port = self.nodes[chosen].port();
        wait_until(BOUND, "Sentinel names the new master", || self.sentinels[0].master_port() == port);
        self.write_ten(port);
        let old = std::mem::replace(&mut self.master, chosen);
        if TcpStream::connect(("127.0.0.1", self.nodes[old].port())).is_err() {
            self.nodes[old].restart();
        }
        self.wait_healthy();
        self.write_ten(port);
        self.assert_equal();
        let length = talk(port).good(&["LLEN", "written"]).int();
        assert_eq!(length as u64, self.written, "acknowledged writes");
    }

    fn write_ten(&mut self, port: u16) {
        let goal = self.written + 10;
        wait_until(BOUND, "the master acknowledges writes", || {
            assert!(self.write().is_none_or(|by| by == port), "somebody else took a write");
            self.written == goal
        });
    }

    fn assert_equal(&self) {
        let digest = |node: &Server| talk(node.port()).good(&["DEBUG", "DIGEST"]).text();
        let master = &self.nodes[self.master];
        wait_until(BOUND, "all nodes hold the same", || self.nodes.iter().all(|node| digest(node) == digest(master)));
    }
}

fn start_node(kind: Kind) -> Server {
    let dir = fresh_dir();
    // Two of the Sentinels, and the replicas, have users of their own, who may do no more than they must.
    let config = format!(
        "requirepass \"{PASSWORD}\"\nmasteruser copier\nmasterauth \"{PASSWORD}\"\n\
         user copier on \">{PASSWORD}\" +psync +replconf +ping\n\
         user watcher on \">{PASSWORD}\" allchannels +multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish \
         +info +client|setname +client|kill +@scripting\n"
    );
    fs::write(dir.join("server.conf"), config).unwrap();
    Server::start_in(kind, &dir, &[])
}

fn talk(port: u16) -> Client {
    let mut client = Client::connect(port);
    client.good(&["AUTH", PASSWORD]);
    client
}

#[test]
fn a_replica_of_either_kind_takes_over_and_the_old_master_follows() {
    let mut cluster = Cluster::start(&[Kind::Ours, Kind::Ours, Kind::Stock]);
    let first = cluster.nodes[0].port();
    cluster.write_ten(first);
    cluster.assert_equal();
    for chosen in [2, 1] {
        cluster.prefer(chosen);
        cluster.assert_equal();
        let master = cluster.master;
        cluster.nodes[master].kill();
        cluster.after_failover(chosen);
    }
    // And once more, by request.
    cluster.prefer(0);
    cluster.assert_equal();
    cluster.sentinels[0].client().good(&["SENTINEL", "FAILOVER", "m"]);
    cluster.after_failover(0);
    // A replica may hide.
    let hidden = cluster.nodes[1].port();
    talk(hidden).good(&["CONFIG", "SET", "replica-announced", "no"]);
    wait_until(BOUND, "no Sentinel shows the hidden replica", || {
        cluster.sentinels.iter().all(|sentinel| !sentinel.replicas().contains_key(&hidden))
    });
}

/// What Sentinel sends to give a node its role, in one transaction; a node without a configuration file says so and
/// does the rest.
#[test]
fn the_transaction_that_sentinel_sends() {
    for with_file in [true, false] {
        let dir = fresh_dir();
        if with_file {
            fs::write(dir.join("server.conf"), "# mine\n").unwrap();
        }
        let server = Server::start_in(Kind::Ours, &dir, &[]);
        let (mut normal, mut subscriber) = (server.client(), server.client());
        normal.good(&["PING"]);
        subscriber.good(&["SUBSCRIBE", "c"]);
        let mut sentinel = server.client();
        let port = free_port().to_string();
        sentinel.good(&["MULTI"]);
        for command in [
            vec!["SLAVEOF", "127.0.0.1", &port],
            vec!["CONFIG", "REWRITE"],
            vec!["CLIENT", "KILL", "TYPE", "normal"],
            vec!["CLIENT", "KILL", "TYPE", "pubsub"],
        ] {
            assert_eq!(sentinel.good(&command), Value::Simple("QUEUED".into()));
        }
        let replies = sentinel.good(&["EXEC"]);
        let rewritten = match with_file {
            true => Value::ok(),
            false => Value::Error("ERR The server is running without a config file".into()),
        };
        assert_eq!(replies.items(), [Value::ok(), rewritten, Value::Int(1), Value::Int(1)]);
        assert!(normal.try_cmd(&["PING"]).is_err() && subscriber.read().is_err());
        assert_eq!(server.info("role"), "slave");
        let line = format!("replicaof 127.0.0.1 {port}");
        let text = || fs::read_to_string(dir.join("server.conf")).unwrap_or_default();
        assert_eq!(text().contains(&line), with_file);
        sentinel.good(&["SLAVEOF", "NO", "ONE"]);
        let _ = sentinel.cmd(&["CONFIG", "REWRITE"]);
        assert!(!text().contains("replicaof"), "{}", text());
        assert_eq!(text().starts_with("# mine"), with_file);
    }
}
