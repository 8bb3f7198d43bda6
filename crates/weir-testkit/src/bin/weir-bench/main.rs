//! `weir-bench`: Weir beside the same relay on Node, in one run on one machine.
//!
//! One node of each, or with `--cluster` three of each, joined by Redis.
//!
//! Each load starts fresh servers, connects clients over the loopback, publishes, verifies every
//! delivery (a lost, repeated, reordered or damaged chunk fails the run), and reads from the
//! kernel what the servers' processes used. Times on a shared machine are comparable within one run
//! only, so the servers take turns.

mod alone;
mod args;
mod chunk;
mod cluster;
mod connection;
mod figures;
mod idle;
mod machine;
mod marks;
mod outcome;
mod peer;
mod procfs;
mod report;
mod scan;
mod servers;
mod stream;
mod tally;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::args::Args;
use crate::marks::Marks;

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
    // One thread: the load generator shares the cores with what it measures.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, run(args))
}

async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    machine::require_open_files(args.idle_connections() as u64 + 512)?;
    let (outcome, marks) = if args.cluster {
        (cluster::run(args).await?, Marks("bench-cluster"))
    } else {
        (alone::run(args).await?, Marks("bench"))
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
