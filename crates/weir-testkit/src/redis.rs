//! Real Redis for tests: servers of their own, without anything of an earlier one.

use std::{
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::eventually;

/// How long servers may take to find each other.
const SOON: Duration = Duration::from_secs(30);

/// Runs `$0 $1` in the background, and ends it when standard input does: so it ends with the test,
/// however that does. `$2` is its folder.
const KEEPER: &str =
    r#""$0" "$1" >/dev/null & echo $! >"$2/pid"; read -r _; kill -9 $!; rm -rf "$2""#;

/// Where servers of tests listen: below the ports that a system gives to outgoing connections
/// (Linux: from 32,768 on), so that none takes the port of a server that is still to start, or is
/// down for a while. The talk within a Redis Cluster is 10,000 higher.
const PORTS: Range<u64> = 10_000..20_000;

/// A port that nobody listens on; another one each time.
fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU64> =
        LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(()) >> 1));
    loop {
        let index = NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start);
        let port = u16::try_from(PORTS.start + index).expect("a port");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// A process of Redis, in a folder of its own.
#[derive(Debug)]
pub struct RedisProcess {
    /// Ends when it is dropped, and Redis with it.
    keeper: Child,
    /// Where it listens, on the loopback.
    pub port: u16,
    program: String,
    folder: PathBuf,
}

impl RedisProcess {
    fn start(program: &str, config: &str) -> Self {
        let port = free_port();
        let folder = format!("weir-redis-{}-{port}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("redis.conf");
        let config = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nprotected-mode no\n{config}\n",
            folder.display()
        );
        std::fs::write(&file, config).expect("it is written");
        Self {
            keeper: Self::spawn(program, &folder),
            port,
            program: program.to_owned(),
            folder,
        }
    }

    fn spawn(program: &str, folder: &Path) -> Child {
        let known = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        known.expect(
            "Redis runs; it is installed with: apt-get install redis-server redis-sentinel",
        );
        Command::new("sh")
            .args(["-c", KEEPER, program])
            .arg(folder.join("redis.conf"))
            .arg(folder)
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell runs")
    }

    /// What `redis-cli` answers.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(arguments)
            .output()
            .expect("redis-cli runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        let pid = std::fs::read_to_string(self.folder.join("pid")).expect("its id");
        pid.trim().parse().expect("a number")
    }

    /// Kills Redis; nothing is told to anybody.
    pub fn kill(&mut self) {
        let pid = self.pid().to_string();
        let killed = Command::new("kill").args(["-9", &pid]).status();
        assert!(killed.expect("kill runs").success());
    }

    /// Starts it again after it was killed, without what it held.
    pub fn restart_empty(&mut self) {
        let before = std::mem::replace(&mut self.keeper, Self::spawn(&self.program, &self.folder));
        // Its folder is used again.
        forget_folder(before);
    }

    async fn until(&self, what: &str, arguments: &[&str], part: &str) {
        eventually(what, SOON, async || {
            self.cli(arguments).contains(part).then_some(())
        })
        .await;
    }
}

/// Ends a keeper whose Redis is dead, without what it would do at its end.
fn forget_folder(mut keeper: Child) {
    keeper.kill().expect("it was waiting");
    keeper.wait().expect("it ends");
}

impl Drop for RedisProcess {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Returns the fields of a line of `CLUSTER NODES` that all nodes agree on: id, role, primary,
/// epoch and slots.
fn as_all_see_it(line: &str) -> Vec<String> {
    let fields = line.split(' ').enumerate();
    let known = fields.filter(|(at, _)| matches!(at, 0 | 2 | 3 | 6) || *at >= 8);
    let known = known.map(|(_, field)| field.trim_start_matches("myself,").to_owned());
    known.collect()
}

/// A Redis of some kind; it ends with this. Whatever is wrong with it panics, since the tests are
/// about something else.
#[derive(Debug)]
pub struct RedisServer {
    /// All its processes; the first is the one server, the first node, or the master.
    pub processes: Vec<RedisProcess>,
    url: String,
}

/// What people are told to use is what the tests use.
const CONFIG: &str = concat!(
    "include ",
    env!("CARGO_MANIFEST_DIR"),
    "/../../deploy/redis.conf"
);

/// Returns the configuration that adds a listening address, unless it is the default one.
fn listening(address: &str) -> String {
    match address {
        "127.0.0.1" => String::new(),
        other => format!("bind 127.0.0.1 {other}"),
    }
}

/// Formats an address for a URL.
fn in_url(address: &str) -> String {
    match address.contains(':') {
        true => format!("[{address}]"),
        false => address.to_owned(),
    }
}

impl RedisServer {
    /// One server.
    pub async fn standalone() -> Self {
        Self::standalone_with("").await
    }

    /// Starts one server, with additional configuration lines.
    pub async fn standalone_with(config: &str) -> Self {
        let process = RedisProcess::start("redis-server", &format!("{CONFIG}\n{config}"));
        process.until("it answers", &["ping"], "PONG").await;
        Self {
            url: format!("redis://127.0.0.1:{}", process.port),
            processes: vec![process],
        }
    }

    /// Starts a Redis Cluster of three primaries.
    pub async fn cluster() -> Self {
        Self::cluster_of(3, 0, "127.0.0.1").await
    }

    /// Starts a Redis Cluster of three primaries with a replica each.
    pub async fn cluster_with_replicas() -> Self {
        Self::cluster_of(6, 1, "127.0.0.1").await
    }

    /// Starts a Redis Cluster of three primaries that announce this loopback address.
    pub async fn cluster_on(address: &str) -> Self {
        Self::cluster_of(3, 0, address).await
    }

    async fn cluster_of(servers: usize, replicas: usize, address: &str) -> Self {
        let config = format!(
            "{CONFIG}\ncluster-enabled yes\ncluster-node-timeout 2000\n{}",
            listening(address)
        );
        let processes: Vec<_> = (0..servers)
            .map(|_| RedisProcess::start("redis-server", &config))
            .collect();
        for process in &processes {
            process.until("it answers", &["ping"], "PONG").await;
        }
        let hosts: Vec<_> = processes
            .iter()
            .map(|one| format!("{address}:{}", one.port))
            .collect();
        let replicas = replicas.to_string();
        let mut arguments = vec!["--cluster", "create"];
        arguments.extend(hosts.iter().map(String::as_str));
        arguments.extend(["--cluster-replicas", &replicas, "--cluster-yes"]);
        processes[0].cli(&arguments);
        for process in &processes {
            let ready = "cluster_state:ok";
            process
                .until("the cluster is ready", &["cluster", "info"], ready)
                .await;
        }
        let host = in_url(address);
        let url = format!(
            "redis-cluster://{host}:{}?node={host}:{}",
            processes[0].port, processes[1].port
        );
        let server = Self { processes, url };
        let all = format!("cluster_known_nodes:{servers}");
        for process in &server.processes {
            process
                .until("nodes know each other", &["cluster", "info"], &all)
                .await;
            let follows = async || {
                let replica = process.cli(&["role"]).starts_with("slave");
                let linked = "master_link_status:up";
                let up = process.cli(&["info", "replication"]).contains(linked);
                (!replica || up).then_some(())
            };
            eventually("replicas follow", SOON, follows).await;
        }
        server
    }

    /// Moves a slot of a Redis Cluster to another primary, as `redis-cli --cluster reshard` does.
    pub fn move_slot(&self, slot: u32, to: usize) {
        let from = self.primary(slot);
        let (from, to) = (&self.processes[from], &self.processes[to]);
        let slot = slot.to_string();
        let (source, target) = (from.cli(&["cluster", "myid"]), to.cli(&["cluster", "myid"]));
        if source == target {
            return;
        }
        let set = |on: &RedisProcess, state: &[&str]| {
            let answer = on.cli(&[&["cluster", "setslot", &slot], state].concat());
            assert_eq!(answer, "OK", "setslot {slot} {state:?}");
        };
        set(to, &["importing", &source]);
        set(from, &["migrating", &target]);
        loop {
            let keys = from.cli(&["cluster", "getkeysinslot", &slot, "100"]);
            if keys.is_empty() {
                break;
            }
            let port = to.port.to_string();
            let mut migrate = vec!["migrate", "127.0.0.1", &port, "", "0", "5000", "keys"];
            migrate.extend(keys.lines());
            let answer = from.cli(&migrate);
            assert!(answer == "OK" || answer == "NOKEY", "{answer}");
        }
        set(to, &["node", &target]);
        set(from, &["node", &target]);
    }

    /// Waits until all nodes of a Redis Cluster have the same view of it. A failover may lose to a
    /// slot's new epoch that is still propagating. The primary then pauses its clients for 5 s.
    pub async fn until_agreed(&self) {
        let views = async || {
            let view = |process: &RedisProcess| {
                let nodes = process.cli(&["cluster", "nodes"]);
                let mut view: Vec<_> = nodes.lines().map(as_all_see_it).collect();
                view.sort_unstable();
                view
            };
            let first = view(&self.processes[0]);
            let mut others = self.processes[1..].iter();
            others.all(|process| view(process) == first).then_some(())
        };
        eventually("the nodes agree", SOON, views).await;
    }

    /// Promotes a replica of a slot's shard with `CLUSTER FAILOVER`, and returns its index.
    pub async fn fail_over(&self, slot: u32) -> usize {
        self.until_agreed().await;
        let primary = self.primary(slot);
        let id = self.processes[primary].cli(&["cluster", "myid"]);
        let replica = self.processes.iter().position(|process| {
            let nodes = process.cli(&["cluster", "nodes"]);
            let own = nodes.lines().find(|line| line.contains("myself"));
            own.is_some_and(|line| line.contains(&id) && line.contains("slave"))
        });
        let replica = replica.expect("a replica");
        let process = &self.processes[replica];
        // Sent once: after a second one the old primary would pause its clients for another 5 s.
        assert_eq!(process.cli(&["cluster", "failover"]), "OK");
        process.until("it takes over", &["role"], "master").await;
        replica
    }

    /// Returns the index of the primary that claims a slot.
    pub fn primary(&self, slot: u32) -> usize {
        let owner = self.processes.iter().position(|process| {
            let nodes = process.cli(&["cluster", "nodes"]);
            let own = nodes.lines().find(|line| line.contains("myself"));
            own.is_some_and(|line| {
                let ranges = line.split(' ').skip(8);
                let mut ranges = ranges.filter(|range| !range.starts_with('['));
                line.contains("master")
                    && ranges.any(|range| {
                        let (first, last) = range.split_once('-').unwrap_or((range, range));
                        let number = |text: &str| text.parse::<u32>().expect("a slot");
                        (number(first)..=number(last)).contains(&slot)
                    })
            })
        });
        owner.expect("somebody owns it")
    }

    /// Starts a primary, which the URL names, and a replica.
    pub async fn replicated() -> Self {
        let primary = RedisProcess::start("redis-server", CONFIG);
        primary.until("it answers", &["ping"], "PONG").await;
        let replica = format!("{CONFIG}\nreplicaof 127.0.0.1 {}", primary.port);
        let replica = RedisProcess::start("redis-server", &replica);
        let server = Self {
            url: format!("redis://127.0.0.1:{}", primary.port),
            processes: vec![primary, replica],
        };
        server.until_in_sync(0, 1).await;
        server
    }

    /// Promotes a replica, and makes the old primary its replica, which keeps running.
    pub async fn hand_over(&self, old: usize, new: usize) {
        let (old, new) = (&self.processes[old], &self.processes[new]);
        new.cli(&["replicaof", "no", "one"]);
        old.cli(&["replicaof", "127.0.0.1", &new.port.to_string()]);
        old.until("it is a replica", &["role"], "slave").await;
    }

    /// Waits until a server has no clients of a type of `CLIENT LIST`, except this one.
    pub async fn until_left(&self, server: usize, kind: &str) {
        let server = &self.processes[server];
        let asking = usize::from(kind == "normal");
        eventually("its clients have left", SOON, async || {
            let clients = server.cli(&["client", "list", "type", kind]);
            (clients.lines().count() <= asking).then_some(())
        })
        .await;
    }

    /// Waits until a replica is in sync with its primary.
    pub async fn until_in_sync(&self, primary: usize, replica: usize) {
        let up = "master_link_status:up";
        let replica = &self.processes[replica];
        let port = self.processes[primary].port;
        let of = format!("master_port:{port}");
        let ask = ["info", "replication"];
        replica.until("it has another primary", &ask, &of).await;
        replica.until("it follows", &ask, up).await;
    }

    /// Triggers a Sentinel failover to the other server; the old master keeps running.
    pub async fn sentinel_failover(&self) {
        let sentinel = &self.processes[2];
        let ask = ["sentinel", "get-master-addr-by-name", "m"];
        let before = sentinel.cli(&ask);
        let begin = async || {
            // Refused while the previous failover is in progress.
            let begun = sentinel.cli(&["sentinel", "failover", "m"]) == "OK";
            begun.then_some(())
        };
        eventually("Sentinels begin to fail over", SOON, begin).await;
        let another = async || (sentinel.cli(&ask) != before).then_some(());
        eventually("Sentinels name another master", SOON, another).await;
    }

    /// A master, a replica, and three Sentinels.
    pub async fn sentinel() -> Self {
        Self::sentinel_on("127.0.0.1").await
    }

    /// Starts a master, a replica, and three Sentinels, which find each other at a loopback
    /// address.
    pub async fn sentinel_on(address: &str) -> Self {
        let listening = listening(address);
        let master = RedisProcess::start("redis-server", &format!("{CONFIG}\n{listening}"));
        master.until("it answers", &["ping"], "PONG").await;
        let replica = format!("{CONFIG}\n{listening}\nreplicaof {address} {}", master.port);
        let replica = RedisProcess::start("redis-server", &replica);
        replica
            .until(
                "it follows",
                &["info", "replication"],
                "master_link_status:up",
            )
            .await;
        let config = format!(
            "{listening}\nsentinel monitor m {address} {} 2\nsentinel down-after-milliseconds m 1000\n\
             sentinel failover-timeout m 5000",
            master.port
        );
        let sentinels: Vec<_> = (0..3)
            .map(|_| RedisProcess::start("redis-sentinel", &config))
            .collect();
        for sentinel in &sentinels {
            let (others, replicas) = ("num-other-sentinels\n2", "num-slaves\n1");
            let about = ["sentinel", "master", "m"];
            sentinel
                .until("Sentinels know each other", &about, others)
                .await;
            sentinel
                .until("Sentinels know the replica", &about, replicas)
                .await;
        }
        let host = in_url(address);
        let url = format!(
            "redis-sentinel://{host}:{}?node={host}:{}&master=m",
            sentinels[0].port, sentinels[1].port
        );
        let mut processes = vec![master, replica];
        processes.extend(sentinels);
        Self { processes, url }
    }

    /// Waits until the first process answers, and its cluster is whole, if it is one of a cluster.
    pub async fn until_it_answers(&self) {
        let (ask, part): (&[&str], _) = if self.url.starts_with("redis-cluster") {
            (&["cluster", "info"], "cluster_state:ok")
        } else {
            (&["ping"], "PONG")
        };
        self.processes[0].until("it answers", ask, part).await;
    }

    /// Waits until the Sentinels have made the replica the master.
    pub async fn until_another_master(&self) {
        let ask = ["info", "replication"];
        self.processes[1]
            .until("the replica is the master", &ask, "role:master")
            .await;
    }

    /// The slot that a Redis Cluster has a room in.
    pub fn slot(&self, room: &str) -> u32 {
        let slot = self.processes[0].cli(&["cluster", "keyslot", room]);
        slot.parse().expect("a slot")
    }

    /// Where it is, as a node's configuration says it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The one server, the first node, or the first master.
    pub fn first(&mut self) -> &mut RedisProcess {
        &mut self.processes[0]
    }
}
