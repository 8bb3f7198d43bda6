//! The command line.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::peer::Peer;

/// Measures Weir beside the same relay on Node and prints one Markdown table.
#[derive(Debug, Parser)]
#[command(name = "weir-bench", version)]
pub(crate) struct Args {
    /// Loads of 3 s once, and 500 idle connections: to see that it works.
    #[arg(long)]
    pub(crate) short: bool,
    /// Replace what stands between the bench marks of this file with the table.
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// Fail unless Weir reaches its goals against Node.
    #[arg(long)]
    pub(crate) check: bool,
    /// Which servers to measure.
    #[arg(long, value_delimiter = ',', default_values = ["weir", "node"])]
    pub(crate) peers: Vec<Peer>,
    /// Which loads to run.
    #[arg(long, value_delimiter = ',', default_values = ["fan-out", "rooms", "idle"])]
    pub(crate) loads: Vec<Load>,
    /// The `weir` to start; target/release/weir of this repository if not given.
    #[arg(long, value_name = "FILE")]
    pub(crate) weir: Option<PathBuf>,
}

/// A load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Load {
    /// One publisher, 200 subscribers.
    FanOut,
    /// 20 rooms of 10 members.
    Rooms,
    /// Many connections that say nothing.
    Idle,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FanOut => "1 publisher × 200 subscribers",
            Self::Rooms => "20 rooms of 10",
            Self::Idle => "idle connections",
        })
    }
}

/// How long a load runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// Seconds before anything counts: code is compiled, buffers grow.
    pub(crate) warm_up: u64,
    /// Seconds that count.
    pub(crate) measured: u64,
}

impl Args {
    pub(crate) fn timing(&self) -> Timing {
        if self.short {
            Timing {
                warm_up: 1,
                measured: 3,
            }
        } else {
            Timing {
                warm_up: 2,
                measured: 10,
            }
        }
    }

    pub(crate) fn idle_connections(&self) -> usize {
        if self.short { 500 } else { 4_000 }
    }

    /// How long the idle connections are watched: one ping interval of both servers' default, so
    /// that each connection has its heartbeat once.
    pub(crate) fn idle_window(&self) -> Duration {
        Duration::from_secs(if self.short { 3 } else { 25 })
    }

    /// How often a load is run.
    pub(crate) fn rounds_of(&self, load: Load) -> usize {
        if self.short || load == Load::Idle {
            1
        } else {
            2
        }
    }
}
