//! Machine and versions of a run.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context as _, ensure};
use procfs::{CpuInfo, Current as _};
use rlimit::Resource;
use serde_json::Value;

use crate::servers::relay_folder;

/// Fails if this process, and so the servers that it starts, may not open `needed` files.
pub(crate) fn require_open_files(needed: u64) -> anyhow::Result<()> {
    let allowed = Resource::NOFILE.get_soft()?;
    ensure!(
        allowed >= needed,
        "{needed} open files are needed, {allowed} allowed: ulimit -n {needed}"
    );
    Ok(())
}

/// Returns the machine and the versions, including those of the relay's npm packages.
pub(crate) fn line(packages: &[&str]) -> anyhow::Result<String> {
    let info = CpuInfo::current()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel: Vec<&str> = kernel.trim().split(['.', '-']).take(2).collect();
    let mut line = format!(
        "{} cores ({}), Linux {}; Weir {}",
        available_parallelism()?,
        info.model_name(0).unwrap_or("unknown"),
        kernel.join("."),
        env!("CARGO_PKG_VERSION"),
    );
    if !packages.is_empty() {
        let node = Command::new("node").arg("--version").output()?.stdout;
        let node = String::from_utf8_lossy(&node);
        let modules = relay_folder().join("node_modules");
        line += &format!("; Node {}", node.trim().trim_start_matches('v'));
        for package in packages {
            line += &format!(", {package} {}", version(&modules.join(package))?);
        }
        let native = modules.join("bufferutil").exists();
        line += if native { " with" } else { " without" };
        line += " bufferutil";
    }
    Ok(line)
}

/// Returns the name and version of the Redis that joins the nodes.
pub(crate) fn redis() -> anyhow::Result<String> {
    let output = Command::new("redis-server").arg("--version").output()?;
    let output = String::from_utf8_lossy(&output.stdout);
    let version = output.split(' ').find_map(|word| word.strip_prefix("v="));
    let version = version.context("redis-server has no version")?;
    Ok(format!("Redis {version}"))
}

/// Returns the version of an installed npm package.
fn version(package: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(package.join("package.json"))?;
    let description: Value = serde_json::from_str(&text)?;
    let version = description["version"].as_str();
    Ok(version.context("a package without a version")?.to_owned())
}
