//! Suite of clusters: three nodes of each kind, joined by a Redis of their own.

mod figures;
mod kind;
mod load;
mod report;

pub(crate) use self::kind::ClusterKind;
pub(crate) use self::load::ClusterLoad;

use anyhow::Context as _;

use self::figures::ClusterFigures;
use crate::args::{Args, Timing};
use crate::load::{FirstChunk, run as stream};
use crate::measure::{self, StreamFigures};
use crate::outcome::Outcome;
use crate::servers::{Servers, install_relay};

/// Nodes of each kind.
const NODES: usize = 3;
/// Rounds of each load.
const ROUNDS: usize = 5;

/// Runs the suite.
pub(crate) async fn run(args: &Args) -> anyhow::Result<Outcome> {
    let kinds: Vec<ClusterKind> = args.peers()?;
    let mut figures = ClusterFigures::default();
    let rounds = args.rounds(ROUNDS);
    for load in args.loads::<ClusterLoad>()? {
        let mut kinds = kinds.clone();
        kinds.retain(|kind| load.suits_node() || !kind.is_node());
        for round in 0..rounds {
            eprintln!("{load}, round {} of {rounds}", round + 1);
            for kind in &kinds {
                let run = measure(args, load, *kind).await;
                let run = run.with_context(|| format!("{load}, on {kind}"))?;
                figures.add(load, *kind, run);
            }
            // The next round runs in reverse: a trend on the machine affects all kinds.
            kinds.reverse();
        }
    }
    let packages: &[&str] = if kinds.iter().any(|kind| kind.is_node()) {
        &["socket.io", "@socket.io/redis-adapter", "redis", "ws"]
    } else {
        &[]
    };
    let machine = format!("{}; {}", measure::line(packages)?, measure::redis()?);
    let [timing, on_node] = [false, true].map(|node| timing(args, node));
    Ok(Outcome {
        table: report::table(&figures, &machine, rounds, timing, on_node),
        misses: report::misses(&figures),
    })
}

/// Returns the timing of a run. Three processes on Node share the calls of each load, so their
/// code is compiled later.
fn timing(args: &Args, node: bool) -> Timing {
    args.timing(Timing {
        warm_up: if node { 5 } else { 2 },
        measured: 6,
    })
}

async fn measure(
    args: &Args,
    load: ClusterLoad,
    kind: ClusterKind,
) -> anyhow::Result<StreamFigures> {
    eprintln!("  {kind}");
    if kind.is_node() {
        install_relay().await?;
    }
    let redis = kind.redis().await;
    let servers = Servers::cluster(NODES, redis, |redis| kind.node(args, redis)).await?;
    // Relays subscribe to a room after a member has joined, so its first chunk may be any.
    let timing = timing(args, kind.is_node());
    let figures = stream(&load.shape(), timing, &servers, FirstChunk::Any).await;
    if figures.is_err() {
        eprint!("{}", servers.log());
    }
    servers.kill().await?;
    figures
}
