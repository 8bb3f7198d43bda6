//! The servers that are measured.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use tokio::process::Command;

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

/// Everything at its default but the limits that the load generator, being one address, exceeds.
pub(crate) fn weir(args: &Args) -> anyhow::Result<Command> {
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

/// Installs the relay's packages where they are missing or of other versions.
pub(crate) async fn install() -> anyhow::Result<()> {
    let relay = relay();
    let installed = Command::new("npm")
        .args(["ls", "--silent"])
        .current_dir(&relay)
        .stdout(Stdio::null())
        .status()
        .await;
    let installed = installed.context("npm could not be run; Node 20 or later is needed")?;
    if installed.success() {
        return Ok(());
    }
    eprintln!("installing the relay's packages: npm ci, in tests/bench");
    let npm = Command::new("npm")
        .args(["ci", "--silent"])
        .current_dir(&relay)
        .status()
        .await?;
    ensure!(npm.success(), "npm ci failed in {}", relay.display());
    Ok(())
}

/// The relay on Node, whose packages must be installed.
pub(crate) fn node() -> Command {
    let mut command = Command::new("node");
    command
        .arg(relay().join("relay.mjs"))
        .env("NODE_ENV", "production");
    command
}
