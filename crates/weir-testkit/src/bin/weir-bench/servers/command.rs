//! Commands that start the servers.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::args::Args;

/// Returns the root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the folder of the relay on Node and its packages.
pub(crate) fn relay_folder() -> PathBuf {
    root().join("tests/bench")
}

/// Returns the command of a Weir node with default settings, except the limits that one address
/// with all clients exceeds.
pub(crate) fn weir(args: &Args) -> anyhow::Result<Command> {
    let path = args.weir.clone();
    let path = path.unwrap_or_else(|| root().join("target/release/weir"));
    ensure!(
        path.exists(),
        "{} is missing: cargo build --release -p weir",
        path.display()
    );
    let mut command = Command::new(path);
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    command.args(["--ops-listen", "127.0.0.1:0"]);
    command.env("WEIR_SERVER__MAX_CONNECTIONS", "100000");
    command.env("WEIR_SERVER__MAX_CONNECTIONS_PER_ADDRESS", "100000");
    Ok(command)
}

/// Returns the command of a bare relay, which is built beside this program.
pub(crate) fn bare_relay() -> anyhow::Result<Command> {
    let path = std::env::current_exe()?.with_file_name("bare-relay");
    ensure!(
        path.exists(),
        "{} is missing: cargo build --release -p weir-testkit --bins",
        path.display()
    );
    Ok(Command::new(path))
}

/// Installs the npm packages of the relay on Node, if they are missing or of other versions.
pub(crate) async fn install_relay() -> anyhow::Result<()> {
    let folder = relay_folder();
    let installed = Command::new("npm")
        .args(["ls", "--silent"])
        .current_dir(&folder)
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
        .current_dir(&folder)
        .status()
        .await?;
    ensure!(npm.success(), "npm ci failed in {}", folder.display());
    Ok(())
}

/// Returns the command of the relay on Node, whose packages must be installed.
pub(crate) fn relay() -> Command {
    let mut command = Command::new("node");
    let script = relay_folder().join("relay.mjs");
    command.arg(script).env("NODE_ENV", "production");
    command
}
