//! The suite of clusters: three nodes of each kind, joined by a Redis of their own.

mod report;

use std::fmt;

use anyhow::Context as _;
use clap::ValueEnum;
use tokio::process::Command;

use crate::args::Args;
use crate::figures::Stream;
use crate::machine;
use crate::outcome::Outcome;
use crate::peer;
use crate::servers::Servers;
use crate::stream::{self, Begin, Shape};

/// Nodes of each kind.
const NODES: usize = 3;

/// What the nodes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// `weir serve --redis-url`, the release build.
    Weir,
    /// The same, with `redis.batch_ms` at 15 and one thread a node.
    Batched,
    /// The relay on Node with `@socket.io/redis-adapter`'s `createAdapter`.
    Classic,
    /// The same with its `createShardedAdapter`.
    Sharded,
}

impl Kind {
    /// Whether it is the relay on Node.
    fn is_node(self) -> bool {
        matches!(self, Self::Classic | Self::Sharded)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Weir => "Weir",
            Self::Batched => "Weir, batched",
            Self::Classic => "Node, classic adapter",
            Self::Sharded => "Node, sharded adapter",
        })
    }
}

/// A load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Load {
    /// 20 rooms of 9 members.
    Nines,
    /// 30 rooms of 3 members, one on each node.
    Threes,
}

impl Load {
    fn shape(self) -> Shape {
        match self {
            Self::Nines => Shape {
                rooms: 20,
                subscribers: 8,
                chunk_size: 1_200,
                per_second: 30,
            },
            Self::Threes => Shape {
                rooms: 30,
                subscribers: 2,
                chunk_size: 6_000,
                per_second: 30,
            },
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nines => "20 rooms of 9, 1.2 KB × 30/s each",
            Self::Threes => "30 rooms of 3, 6 KB × 30/s each",
        })
    }
}

/// What was measured, in the order in which it was.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<(Load, Kind, Stream)>);

impl Figures {
    fn add(&mut self, load: Load, kind: Kind, taken: Stream) {
        let same = |entry: &&mut (Load, Kind, Stream)| (entry.0, entry.1) == (load, kind);
        match self.0.iter_mut().find(same) {
            Some((_, _, sum)) => sum.add(taken),
            None => self.0.push((load, kind, taken)),
        }
    }

    fn of(&self, load: Load, kind: Kind) -> Option<&Stream> {
        let mut entries = self.0.iter();
        let entry = entries.find(|entry| (entry.0, entry.1) == (load, kind));
        entry.map(|(_, _, stream)| stream)
    }
}

/// Runs the suite.
pub(crate) async fn run(args: &Args) -> anyhow::Result<Outcome> {
    let kinds: Vec<Kind> = args.peers()?;
    let mut figures = Figures::default();
    for load in args.loads::<Load>()? {
        for round in 0..args.cluster_rounds() {
            // There and back again: what the machine does meanwhile falls on all.
            let mut kinds = kinds.clone();
            if round % 2 == 1 {
                kinds.reverse();
            }
            for kind in kinds {
                eprintln!("{load}, on three nodes of {kind}");
                let taken = measure(args, load, kind).await;
                let taken = taken.with_context(|| format!("{load}, on {kind}"))?;
                figures.add(load, kind, taken);
            }
        }
    }
    let on_node = kinds.iter().any(|kind| kind.is_node());
    let mut packages: &[&str] = &[];
    if on_node {
        packages = &["socket.io", "@socket.io/redis-adapter", "redis", "ws"];
    }
    let machine = format!("{}; {}", machine::line(packages)?, machine::redis()?);
    Ok(Outcome {
        table: report::table(
            args.cluster_rounds(),
            args.cluster_timing(),
            &figures,
            &machine,
        ),
        misses: report::misses(&figures),
    })
}

async fn measure(args: &Args, load: Load, kind: Kind) -> anyhow::Result<Stream> {
    if kind.is_node() {
        peer::install().await?;
    }
    let servers = Servers::cluster(NODES, |redis| command(args, kind, redis)).await?;
    // A node asks Redis for a room's chunks once a member of its own is there, which takes its
    // time: subscribers may begin late, but before anything counts.
    let taken = stream::run(&load.shape(), args.cluster_timing(), &servers, Begin::Late).await;
    if taken.is_err() {
        eprint!("{}", servers.log());
    }
    servers.kill().await?;
    taken
}

fn command(args: &Args, kind: Kind, redis: &str) -> anyhow::Result<Command> {
    let adapter = match kind {
        Kind::Weir | Kind::Batched => {
            let mut command = peer::weir(args)?;
            command.args(["--redis-url", redis]);
            if let Kind::Batched = kind {
                command.env("WEIR_SERVER__THREADS", "1");
            }
            return Ok(command);
        }
        Kind::Classic => "classic",
        Kind::Sharded => "sharded",
    };
    let mut command = peer::node();
    command.env("REDIS_URL", redis).env("ADAPTER", adapter);
    Ok(command)
}
