//! The servers that are measured.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use tokio::process::Command;
use weir_testkit::Process;

use crate::args::Args;

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// `weir serve`, the release build.
    Weir,
    /// The same relay on Node, `tests/bench/relay.mjs`.
    Node,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Weir => "Weir",
            Self::Node => "Node",
        })
    }
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where the relay and its packages are.
pub(crate) fn relay() -> PathBuf {
    root().join("tests/bench")
}

impl Peer {
    /// Starts the server on a free port of the loopback.
    pub(crate) async fn start(self, args: &Args) -> anyhow::Result<Process> {
        let command = match self {
            Self::Weir => weir(args)?,
            Self::Node => node().await?,
        };
        Ok(Process::start(command).await?)
    }
}

/// Everything at its default but the limits that the load generator, being one address, exceeds.
fn weir(args: &Args) -> anyhow::Result<Command> {
    let built = || root().join("target/release/weir");
    let path = args.weir.clone().unwrap_or_else(built);
    ensure!(
        path.exists(),
        "{} is not there: cargo build --release -p weir",
        path.display()
    );
    let mut command = Command::new(path);
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--ops-listen",
        "127.0.0.1:0",
    ]);
    command.env("WEIR_SERVER__MAX_CONNECTIONS", "100000");
    command.env("WEIR_SERVER__MAX_CONNECTIONS_PER_ADDRESS", "100000");
    Ok(command)
}

async fn node() -> anyhow::Result<Command> {
    let relay = relay();
    if !relay.join("node_modules/socket.io").exists() {
        eprintln!("installing the relay's packages: npm ci, in tests/bench");
        let npm = Command::new("npm")
            .args(["ci", "--silent"])
            .current_dir(&relay)
            .status()
            .await;
        let status = npm.context("npm could not be run; Node 20 or later is needed")?;
        ensure!(status.success(), "npm ci failed in {}", relay.display());
    }
    let mut command = Command::new("node");
    command
        .arg(relay.join("relay.mjs"))
        .env("NODE_ENV", "production");
    Ok(command)
}
