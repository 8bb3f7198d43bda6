//! `weir-bench`: measures Weir against the same relay on Node, in one run on one machine.
//!
//! One node of each, or with `--cluster` three of each, joined by Redis, and three bare relays.
//!
//! Each load starts new servers, connects clients over the loopback, publishes, and verifies every
//! delivery. A lost, repeated, reordered or damaged chunk fails the run. The CPU time of the
//! servers' processes comes from the kernel. Times on a shared machine are comparable within one
//! run only, so the servers alternate.

mod args;
mod cluster;
mod load;
mod measure;
mod outcome;
mod readme;
mod servers;
mod single;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::args::Args;
use crate::readme::Marks;

fn main() -> ExitCode {
    let args = Args::parse();
    match start(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("weir-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: &Args) -> anyhow::Result<ExitCode> {
    // One thread: the load generator shares the cores with the servers.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, run(args))
}

async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    measure::require_open_files(args.idle_connections() as u64 + 512)?;
    let (outcome, marks) = if args.cluster {
        (cluster::run(args).await?, Marks("bench-cluster"))
    } else {
        (single::run(args).await?, Marks("bench"))
    };
    std::io::stdout().write_all(outcome.table.as_bytes())?;
    if let Some(path) = &args.write {
        marks.write(path, &outcome.table)?;
        eprintln!("written to {}", path.display());
    }
    if args.check {
        for miss in &outcome.misses {
            eprintln!("missed: {miss}");
        }
        if !outcome.misses.is_empty() {
            return Ok(ExitCode::FAILURE);
        }
        eprintln!("every goal is met");
    }
    Ok(ExitCode::SUCCESS)
}
