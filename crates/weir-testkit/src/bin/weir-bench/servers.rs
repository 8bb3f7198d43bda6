//! What one load runs on: a node alone, or several and the Redis that joins them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{interval, timeout};
use weir_testkit::{Process, RedisServer};

use crate::figures::Used;
use crate::procfs::CpuTime;

/// How long a node may take from listening to being ready.
const READY: Duration = Duration::from_secs(10);

/// Servers of one kind.
#[derive(Debug)]
pub(crate) struct Servers {
    nodes: Vec<Process>,
    redis: Option<RedisServer>,
}

impl Servers {
    /// Starts one node.
    pub(crate) async fn alone(command: Command) -> anyhow::Result<Self> {
        let nodes = vec![Process::start(command).await?];
        Ok(Self { nodes, redis: None })
    }

    /// Starts a Redis and as many nodes as there are commands, which are made from its URL.
    pub(crate) async fn cluster(
        size: usize,
        command: impl Fn(&str) -> anyhow::Result<Command>,
    ) -> anyhow::Result<Self> {
        let redis = RedisServer::standalone().await;
        let mut nodes = Vec::with_capacity(size);
        for _ in 0..size {
            let node = Process::start(command(redis.url())?).await?;
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

    /// Where clients connect, one after another: the place of a client decides on its node.
    pub(crate) fn listen(&self, place: usize) -> SocketAddr {
        self.nodes[place % self.nodes.len()].listen()
    }

    /// The process's id of the first node.
    pub(crate) fn pid(&self) -> u32 {
        self.nodes[0].pid()
    }

    /// The CPU time of all of them so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Meter> {
        let nodes = self.nodes.iter().map(|node| CpuTime::of(node.pid()));
        Ok(Meter {
            nodes: nodes.collect::<Result<_, _>>()?,
            redis: match &self.redis {
                Some(redis) => Some(CpuTime::of(redis.processes[0].pid())?),
                None => None,
            },
        })
    }

    /// The last lines of each node's log.
    pub(crate) fn log(&self) -> String {
        self.nodes.iter().map(Process::log).collect()
    }

    /// Kills all of them and waits for their end.
    pub(crate) async fn kill(self) -> anyhow::Result<()> {
        for node in self.nodes {
            node.kill().await?;
        }
        Ok(())
    }
}

/// The CPU time of some servers at one moment.
#[derive(Debug)]
pub(crate) struct Meter {
    nodes: Vec<CpuTime>,
    redis: Option<CpuTime>,
}

impl Meter {
    /// What was used from then until now.
    pub(crate) fn since(&self, then: &Self) -> Used {
        let redis = self.redis.as_ref().zip(then.redis.as_ref());
        let nodes = self.nodes.iter().zip(&then.nodes);
        Used {
            nodes: nodes.map(|(now, then)| now.since(then)).sum(),
            redis: redis.map(|(now, then)| now.since(then)).unwrap_or_default(),
        }
    }
}

/// Waits until a node's `/readyz` answers 200.
async fn ready(ops: SocketAddr) -> anyhow::Result<()> {
    let mut looks = interval(Duration::from_millis(50));
    loop {
        looks.tick().await;
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
