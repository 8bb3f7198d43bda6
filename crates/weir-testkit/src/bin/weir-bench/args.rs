//! The command line.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::{Parser, ValueEnum};

/// Measures Weir beside the same relay on Node and prints one Markdown table.
#[derive(Debug, Parser)]
#[command(name = "weir-bench", version)]
pub(crate) struct Args {
    /// Measure clusters: three nodes of each kind, joined by Redis.
    #[arg(long)]
    pub(crate) cluster: bool,
    /// Loads of 3 s once, and 500 idle connections: to see that it works.
    #[arg(long)]
    pub(crate) short: bool,
    /// Replace what stands between the bench marks of this file with the table.
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// Fail unless Weir reaches the suite's goals against Node.
    #[arg(long)]
    pub(crate) check: bool,
    /// Which servers to measure, all if not given: weir, node; of clusters weir, classic, sharded.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Which loads to run, all if not given: fan-out, rooms, idle; of clusters nines, threes.
    #[arg(long, value_delimiter = ',')]
    loads: Vec<String>,
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
    /// The servers to measure; fails if one is not of the suite.
    pub(crate) fn peers<T: ValueEnum>(&self) -> anyhow::Result<Vec<T>> {
        chosen("peers", &self.peers)
    }

    /// The loads to run; fails if one is not of the suite.
    pub(crate) fn loads<T: ValueEnum>(&self) -> anyhow::Result<Vec<T>> {
        chosen("loads", &self.loads)
    }

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

    /// Three processes share what one gets of each load, so code is compiled later.
    pub(crate) fn cluster_timing(&self) -> Timing {
        Timing {
            warm_up: if self.short { 2 } else { 5 },
            ..self.timing()
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
        if load == Load::Idle { 1 } else { self.rounds() }
    }

    /// How often a load that streams is run.
    pub(crate) fn rounds(&self) -> usize {
        if self.short { 1 } else { 2 }
    }

    /// How often a load is run on a cluster: of these some take so little that what else the
    /// machine does is a tenth of a run's figure.
    pub(crate) fn cluster_rounds(&self) -> usize {
        if self.short { 1 } else { 4 }
    }
}

/// The values of an option that depends on the suite: those that are named, or all of them.
fn chosen<T: ValueEnum>(option: &str, names: &[String]) -> anyhow::Result<Vec<T>> {
    if names.is_empty() {
        return Ok(T::value_variants().to_vec());
    }
    let parse = |name: &String| {
        T::from_str(name, false).map_err(|_| {
            let values = T::value_variants().iter().filter_map(T::to_possible_value);
            let values: Vec<_> = values.map(|value| value.get_name().to_owned()).collect();
            anyhow!("--{option} {name}: this suite has {}", values.join(", "))
        })
    };
    names.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_must_be_of_the_suite() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        let all = chosen::<Load>("loads", &[]).unwrap();
        assert_eq!(all, [Load::FanOut, Load::Rooms, Load::Idle]);
        let some = chosen::<Load>("loads", &names(&["idle", "fan-out"])).unwrap();
        assert_eq!(some, [Load::Idle, Load::FanOut]);
        let error = chosen::<Load>("loads", &names(&["nines"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--loads nines: this suite has fan-out, rooms, idle"
        );
    }
}
