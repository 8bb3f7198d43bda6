//! `weir-bench`: Weir beside the same relay on Node, in one run on one machine.
//!
//! Each load starts a fresh server, connects clients over the loopback, publishes, verifies every
//! delivery (a lost, repeated, reordered or damaged chunk fails the run), and reads from the
//! kernel what the server's process used. Times on a shared machine are comparable within one run
//! only, so the two servers take turns.

mod args;
mod chunk;
mod connection;
mod figures;
mod idle;
mod machine;
mod peer;
mod procfs;
mod report;
mod scan;
mod stream;
mod tally;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use weir_testkit::Process;

use crate::args::{Args, Load};
use crate::figures::{Figures, Taken};
use crate::peer::Peer;

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
    let mut figures = Figures::default();
    for load in &args.loads {
        for round in 0..args.rounds_of(*load) {
            // Weir, Node, Node, Weir: what the machine does meanwhile falls on both.
            let mut peers = args.peers.clone();
            if round % 2 == 1 {
                peers.reverse();
            }
            for peer in peers {
                eprintln!("{load}, on {peer}");
                let taken = measure(args, *load, peer).await;
                figures
                    .of(peer)
                    .add(taken.with_context(|| format!("{load}, on {peer}"))?);
            }
        }
    }
    let table = report::table(args, &figures, &machine::line(args)?);
    std::io::stdout().write_all(table.as_bytes())?;
    if let Some(path) = &args.write {
        report::write(path, &table)?;
        eprintln!("written to {}", path.display());
    }
    if args.check {
        let misses = report::misses(&figures);
        for miss in &misses {
            eprintln!("missed: {miss}");
        }
        if !misses.is_empty() {
            return Ok(ExitCode::FAILURE);
        }
        eprintln!("every goal is met");
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(args: &Args, load: Load, peer: Peer) -> anyhow::Result<Taken> {
    let server = peer.start(args).await?;
    let taken = drive(args, load, &server).await;
    if taken.is_err() {
        eprint!("{}", server.log());
    }
    server.kill().await?;
    taken
}

async fn drive(args: &Args, load: Load, server: &Process) -> anyhow::Result<Taken> {
    let timing = args.timing();
    Ok(match load {
        Load::FanOut => Taken::FanOut(stream::run(&stream::FAN_OUT, timing, server).await?),
        Load::Rooms => Taken::Rooms(stream::run(&stream::ROOMS, timing, server).await?),
        Load::Idle => {
            let (connections, window) = (args.idle_connections(), args.idle_window());
            Taken::Idle(idle::run(connections, window, timing, server).await?)
        }
    })
}
