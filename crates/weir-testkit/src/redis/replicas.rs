//! Replication and Sentinel.

use super::process::{RedisProcess, SOON};
use super::server::{CONFIG, RedisServer, in_url, listening};
use crate::eventually;

impl RedisServer {
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

    /// Starts a master, a replica, and three Sentinels.
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

    /// Waits until the Sentinels have promoted the replica.
    pub async fn until_another_master(&self) {
        let ask = ["info", "replication"];
        self.processes[1]
            .until("the replica is the master", &ask, "role:master")
            .await;
    }
}
