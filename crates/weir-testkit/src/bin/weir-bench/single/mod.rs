//! Suite of single nodes: Weir against the same relay on Node.

mod figures;
mod idle;
mod kind;
mod load;
mod report;

pub(crate) use self::kind::SingleKind;
pub(crate) use self::load::SingleLoad;

use anyhow::Context as _;

use self::figures::{LoadFigures, SingleFigures};
use self::load::{FAN_OUT, ROOMS, TIMING};
use crate::args::Args;
use crate::load::{FirstChunk, run as stream};
use crate::measure;
use crate::outcome::Outcome;
use crate::servers::{Servers, install_relay, relay, weir};

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
        SingleLoad::FanOut => LoadFigures::FanOut(stream(&FAN_OUT, timing, servers, first).await?),
        SingleLoad::Rooms => LoadFigures::Rooms(stream(&ROOMS, timing, servers, first).await?),
        SingleLoad::Idle => {
            let (connections, window) = (args.idle_connections(), args.idle_window());
            LoadFigures::Idle(idle::run(connections, window, timing, servers).await?)
        }
    })
}
