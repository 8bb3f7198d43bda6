//! Command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// Relays the chunks of the benchmark's clients through Redis, and does nothing else.
#[derive(Debug, Parser)]
#[command(name = "bare-relay", version)]
pub(crate) struct RelayArgs {
    /// Address of Redis, or of a node of a Redis Cluster.
    #[arg(value_name = "HOST:PORT")]
    pub(crate) redis: SocketAddr,
    /// Write a chunk of a client to its room directly, and subscribe to other relays' rooms only.
    #[arg(long)]
    pub(crate) local: bool,
    /// Connect with TLS to a Redis whose certificate a CA of this PEM file has signed.
    #[arg(long, value_name = "CA_FILE", conflicts_with = "cluster")]
    pub(crate) tls: Option<PathBuf>,
    /// Use sharded pub/sub on the primaries of a Redis Cluster.
    #[arg(long)]
    pub(crate) cluster: bool,
}
