//! Servers of a load: a node alone, or several and the Redis that joins them.

mod command;

pub(crate) use self::command::{bare_relay, install_relay, relay, relay_folder, weir};

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{interval, timeout};
use weir_testkit::{RedisServer, ServerProcess};

use crate::measure::{CpuTime, CpuUse};

/// Deadline of a node's readiness.
const READY: Duration = Duration::from_secs(10);

/// Servers of one kind.
#[derive(Debug)]
pub(crate) struct Servers {
    nodes: Vec<ServerProcess>,
    redis: Option<RedisServer>,
}

impl Servers {
    /// Starts one node.
    pub(crate) async fn alone(command: Command) -> anyhow::Result<Self> {
        let nodes = vec![ServerProcess::start(command).await?];
        Ok(Self { nodes, redis: None })
    }

    /// Starts `size` nodes on a Redis, and waits until they are ready.
    pub(crate) async fn cluster(
        size: usize,
        redis: RedisServer,
        command: impl Fn(&RedisServer) -> anyhow::Result<Command>,
    ) -> anyhow::Result<Self> {
        let mut nodes = Vec::with_capacity(size);
        for _ in 0..size {
            let node = ServerProcess::start(command(&redis)?).await?;
            if let Some(ops) = node.ops_listen() {
                let ready = timeout(READY, ready(ops)).await;
                ready.with_context(|| format!("a node is not ready:\n{}", node.log()))??;
            }
            nodes.push(node);
        }
        Ok(Self {
            nodes,
            redis: Some(redis),
        })
    }

    /// Returns the address for a client. Clients alternate between nodes by their place.
    pub(crate) fn listen(&self, place: usize) -> SocketAddr {
        self.nodes[place % self.nodes.len()].listen()
    }

    /// Returns the process id of the first node.
    pub(crate) fn pid(&self) -> u32 {
        self.nodes[0].pid()
    }

    /// Reads the CPU time of all processes.
    pub(crate) fn cpu(&self) -> anyhow::Result<Meter> {
        let nodes = self.nodes.iter().map(|node| CpuTime::of(node.pid()));
        let redis = self.redis.iter().flat_map(|redis| &redis.processes);
        let redis = redis.map(|process| CpuTime::of(process.pid()));
        Ok(Meter {
            nodes: nodes.collect::<Result<_, _>>()?,
            redis: redis.collect::<Result<_, _>>()?,
        })
    }

    /// Returns the last lines of each node's log.
    pub(crate) fn log(&self) -> String {
        self.nodes.iter().map(ServerProcess::log).collect()
    }

    /// Kills all nodes and waits for their end.
    pub(crate) async fn kill(self) -> anyhow::Result<()> {
        for node in self.nodes {
            node.kill().await?;
        }
        Ok(())
    }
}

/// CPU time of servers at one moment.
#[derive(Debug)]
pub(crate) struct Meter {
    nodes: Vec<CpuTime>,
    redis: Vec<CpuTime>,
}

impl Meter {
    /// Returns the CPU time since an earlier reading.
    pub(crate) fn since(&self, earlier: &Self) -> CpuUse {
        let sum = |now: &[CpuTime], earlier: &[CpuTime]| {
            let pairs = now.iter().zip(earlier);
            pairs.map(|(now, earlier)| now.since(earlier)).sum()
        };
        CpuUse {
            nodes: sum(&self.nodes, &earlier.nodes),
            redis: sum(&self.redis, &earlier.redis),
        }
    }
}

/// Waits until `/readyz` of a node answers 200.
async fn ready(ops: SocketAddr) -> anyhow::Result<()> {
    let mut polls = interval(Duration::from_millis(50));
    loop {
        polls.tick().await;
        let mut stream = TcpStream::connect(ops).await?;
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n")
            .await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        ensure!(answer.starts_with(b"HTTP/1.1 "), "/readyz answers no HTTP");
        if answer[9..].starts_with(b"200") {
            return Ok(());
        }
    }
}
