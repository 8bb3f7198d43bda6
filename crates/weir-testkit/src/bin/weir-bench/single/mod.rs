//! Suite of single nodes: Weir against the same relay on Node.

mod figures;
mod idle;
mod report;

use std::fmt;

use anyhow::Context as _;
use clap::ValueEnum;

use self::figures::{LoadFigures, SingleFigures};
use crate::args::{Args, Timing};
use crate::load::{self, FirstChunk, Shape};
use crate::measure;
use crate::outcome::Outcome;
use crate::servers::{Servers, install_relay, relay, weir};

/// Timing of a load, unless the run is short.
const TIMING: Timing = Timing {
    warm_up: 2,
    measured: 10,
};

/// One publisher of video, 200 subscribers.
const FAN_OUT: Shape = Shape {
    rooms: 1,
    subscribers: 200,
    chunk_size: 6_000,
    per_second: 30,
};

/// 20 rooms of 10 members, each with one publisher.
const ROOMS: Shape = Shape {
    rooms: 20,
    subscribers: 9,
    chunk_size: 1_200,
    per_second: 50,
};

/// Kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SingleKind {
    /// `weir serve`, the release build.
    Weir,
    /// The same relay on Node, `tests/bench/relay.mjs`.
    Node,
}

impl fmt::Display for SingleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Weir => "Weir",
            Self::Node => "Node",
        })
    }
}

/// Load of a single node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SingleLoad {
    /// One publisher, 200 subscribers.
    FanOut,
    /// 20 rooms of 10 members.
    Rooms,
    /// Many silent connections.
    Idle,
}

impl fmt::Display for SingleLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FanOut => "1 publisher × 200 subscribers",
            Self::Rooms => "20 rooms of 10",
            Self::Idle => "idle connections",
        })
    }
}

/// Runs the suite.
pub(crate) async fn run(args: &Args) -> anyhow::Result<Outcome> {
    let kinds: Vec<SingleKind> = args.peers()?;
    let mut figures = SingleFigures::default();
    for load in args.loads::<SingleLoad>()? {
        let rounds = if load == SingleLoad::Idle { 1 } else { 2 };
        for round in 0..args.rounds(rounds) {
            // Weir, Node, Node, Weir: other work on the machine affects both.
            let mut kinds = kinds.clone();
            if round % 2 == 1 {
                kinds.reverse();
            }
            for kind in kinds {
                eprintln!("{load}, on {kind}");
                let run = measure(args, load, kind).await;
                let run = run.with_context(|| format!("{load}, on {kind}"))?;
                figures.of(kind).add(run);
            }
        }
    }
    let packages: &[&str] = if kinds.contains(&SingleKind::Node) {
        &["socket.io", "ws"]
    } else {
        &[]
    };
    Ok(Outcome {
        table: report::table(args, &figures, &measure::line(packages)?),
        misses: report::misses(&figures),
    })
}

async fn measure(args: &Args, load: SingleLoad, kind: SingleKind) -> anyhow::Result<LoadFigures> {
    let command = match kind {
        SingleKind::Weir => weir(args)?,
        SingleKind::Node => {
            install_relay().await?;
            relay()
        }
    };
    let servers = Servers::alone(command).await?;
    let figures = drive(args, load, &servers).await;
    if figures.is_err() {
        eprint!("{}", servers.log());
    }
    servers.kill().await?;
    figures
}

async fn drive(args: &Args, kind: SingleLoad, servers: &Servers) -> anyhow::Result<LoadFigures> {
    let timing = args.timing(TIMING);
    let first = FirstChunk::First;
    Ok(match kind {
        SingleLoad::FanOut => {
            LoadFigures::FanOut(load::run(&FAN_OUT, timing, servers, first).await?)
        }
        SingleLoad::Rooms => LoadFigures::Rooms(load::run(&ROOMS, timing, servers, first).await?),
        SingleLoad::Idle => {
            let (connections, window) = (args.idle_connections(), args.idle_window());
            LoadFigures::Idle(idle::run(connections, window, timing, servers).await?)
        }
    })
}
