//! Kinds of clusters.

use std::fmt;

use clap::ValueEnum;
use tokio::process::Command;
use weir_testkit::RedisServer;

use crate::args::Args;
use crate::servers::{bare_relay, relay, weir};

/// Nodes of a cluster and the Redis that joins them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClusterKind {
    /// `weir serve --redis-url`, the release build.
    Weir,
    /// The same with a Redis that accepts TLS only.
    WeirTls,
    /// The same with a Redis Cluster of three primaries.
    WeirRedisCluster,
    /// `bare-relay`: every chunk goes through Redis.
    Bare,
    /// The same with `--local`: chunks within a node do not.
    BareLocal,
    /// `bare-relay --tls`, with a Redis that accepts TLS only.
    BareTls,
    /// `bare-relay --cluster`, with a Redis Cluster of three primaries.
    BareRedisCluster,
    /// The relay on Node with `createAdapter` of `@socket.io/redis-adapter`.
    Classic,
    /// The same with `createShardedAdapter`.
    Sharded,
}

impl ClusterKind {
    /// Returns whether the nodes are relays on Node.
    pub(super) fn is_node(self) -> bool {
        matches!(self, Self::Classic | Self::Sharded)
    }

    /// Starts a Redis of the kind.
    pub(super) async fn redis(self) -> RedisServer {
        match self {
            Self::WeirTls | Self::BareTls => RedisServer::standalone_tls().await,
            Self::WeirRedisCluster | Self::BareRedisCluster => RedisServer::cluster().await,
            Self::Weir | Self::Bare | Self::BareLocal | Self::Classic | Self::Sharded => {
                RedisServer::standalone().await
            }
        }
    }

    /// Returns the command of a node.
    pub(super) fn node(self, args: &Args, redis: &RedisServer) -> anyhow::Result<Command> {
        Ok(match self {
            Self::Weir | Self::WeirTls | Self::WeirRedisCluster => {
                let mut command = weir(args)?;
                command.args(["--redis-url", redis.url()]);
                if let Some(ca) = redis.ca() {
                    command.env("SSL_CERT_FILE", ca);
                }
                command
            }
            Self::Bare => bare(redis)?,
            Self::BareLocal => {
                let mut command = bare(redis)?;
                command.arg("--local");
                command
            }
            Self::BareTls => {
                let mut command = bare(redis)?;
                command.arg("--tls").args(redis.ca());
                command
            }
            Self::BareRedisCluster => {
                let mut command = bare(redis)?;
                command.arg("--cluster");
                command
            }
            Self::Classic => adapter(redis, "classic"),
            Self::Sharded => adapter(redis, "sharded"),
        })
    }
}

fn bare(redis: &RedisServer) -> anyhow::Result<Command> {
    let mut command = bare_relay()?;
    command.arg(format!("127.0.0.1:{}", redis.processes[0].port));
    Ok(command)
}

fn adapter(redis: &RedisServer, name: &str) -> Command {
    let mut command = relay();
    command.env("REDIS_URL", redis.url()).env("ADAPTER", name);
    command
}

impl fmt::Display for ClusterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Weir => "Weir",
            Self::WeirTls => "Weir over TLS",
            Self::WeirRedisCluster => "Weir on Redis Cluster",
            Self::Bare => "bare relay",
            Self::BareLocal => "bare relay, local delivery",
            Self::BareTls => "bare relay over TLS",
            Self::BareRedisCluster => "bare relay on Redis Cluster",
            Self::Classic => "Node, classic adapter",
            Self::Sharded => "Node, sharded adapter",
        })
    }
}
