//! What the figures were measured on.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::peer::relay;

/// Fails if this process, and so the servers it starts, may not open that many files.
pub(crate) fn require_open_files(needed: u64) -> anyhow::Result<()> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    let soft = soft.context("no \"Max open files\" in /proc/self/limits")?;
    let enough = soft == "unlimited" || soft.parse::<u64>().is_ok_and(|soft| soft >= needed);
    ensure!(
        enough,
        "{needed} open files are needed, {soft} allowed: ulimit -n {needed}"
    );
    Ok(())
}

/// One line: the machine and the versions, those of the relay's packages too if it was measured.
pub(crate) fn line(packages: &[&str]) -> anyhow::Result<String> {
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel: Vec<&str> = kernel.trim().split(['.', '-']).take(2).collect();
    let mut line = format!(
        "{} cores ({}), Linux {}; Weir {}",
        available_parallelism()?,
        model.map_or("unknown", |(_, model)| model),
        kernel.join("."),
        env!("CARGO_PKG_VERSION"),
    );
    if !packages.is_empty() {
        let node = Command::new("node").arg("--version").output()?.stdout;
        let modules = relay().join("node_modules");
        let native = modules.join("bufferutil").exists();
        line += &format!(
            "; Node {}",
            String::from_utf8_lossy(&node)
                .trim()
                .trim_start_matches('v')
        );
        for package in packages {
            line += &format!(", {package} {}", version(&modules.join(package))?);
        }
        line += if native { " with" } else { " without" };
        line += " bufferutil";
    }
    Ok(line)
}

/// The name and version of the Redis that is measured with.
pub(crate) fn redis() -> anyhow::Result<String> {
    let said = Command::new("redis-server").arg("--version").output()?;
    let said = String::from_utf8_lossy(&said.stdout);
    let version = said.split(' ').find_map(|word| word.strip_prefix("v="));
    Ok(format!(
        "Redis {}",
        version.context("redis-server has no version")?
    ))
}

/// The version of an installed npm package.
fn version(package: &std::path::Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(package.join("package.json"))?;
    let description: Value = serde_json::from_str(&text)?;
    Ok(description["version"]
        .as_str()
        .context("a package without a version")?
        .to_owned())
}
