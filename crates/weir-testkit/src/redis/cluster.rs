//! Redis Cluster.

use super::process::{RedisProcess, SOON};
use super::server::{CONFIG, RedisServer, in_url, listening};
use crate::eventually;

impl RedisServer {
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

    /// Waits until all nodes of a Redis Cluster have the same view of it.
    ///
    /// A failover may lose to a slot's new epoch that is still propagating. The primary then pauses
    /// its clients for 5 s.
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

    /// Returns the slot of a room in a Redis Cluster.
    pub fn slot(&self, room: &str) -> u32 {
        let slot = self.processes[0].cli(&["cluster", "keyslot", room]);
        slot.parse().expect("a slot")
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
