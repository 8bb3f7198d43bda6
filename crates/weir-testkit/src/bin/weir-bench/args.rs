//! Command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::{Parser, ValueEnum};

/// Measures Weir against the same relay on Node and prints a Markdown table.
#[derive(Debug, Parser)]
#[command(name = "weir-bench", version)]
pub(crate) struct Args {
    /// Measure clusters: three nodes of each kind, joined by Redis.
    #[arg(long)]
    pub(crate) cluster: bool,
    /// Run each load once for 3 s, with 500 idle connections: a smoke test.
    #[arg(long, alias = "quick")]
    pub(crate) short: bool,
    /// Replace the table between the bench marks of this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// Fail unless Weir reaches the goals of the suite.
    #[arg(long)]
    pub(crate) check: bool,
    /// Servers to measure, by default all: weir, node; of clusters weir, weir-tls,
    /// weir-redis-cluster, bare, bare-local, bare-tls, bare-redis-cluster, classic, sharded.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Loads to run, by default all: fan-out, rooms, idle; of clusters nines, nines-fast, threes,
    /// sixes. A number from 1 also names a load.
    #[arg(long, alias = "load", value_delimiter = ',')]
    loads: Vec<String>,
    /// Number of runs of each load and server; by default 2, of clusters 5.
    #[arg(long)]
    rounds: Option<usize>,
    /// Binary of `weir`; by default target/release/weir of this repository.
    #[arg(long, value_name = "FILE")]
    pub(crate) weir: Option<PathBuf>,
}

/// Durations of a load in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// Warm-up, in which code is compiled and buffers grow.
    pub(crate) warm_up: u64,
    /// Measured time after it.
    pub(crate) measured: u64,
}

impl Args {
    /// Returns the servers to measure.
    pub(crate) fn peers<T: ValueEnum>(&self) -> anyhow::Result<Vec<T>> {
        select("peers", &self.peers)
    }

    /// Returns the loads to run.
    pub(crate) fn loads<T: ValueEnum>(&self) -> anyhow::Result<Vec<T>> {
        select("loads", &self.loads)
    }

    /// Returns the timing of a load, `long` unless the run is short.
    pub(crate) fn timing(&self, long: Timing) -> Timing {
        if self.short {
            Timing {
                warm_up: long.warm_up.min(2),
                measured: 3,
            }
        } else {
            long
        }
    }

    /// Returns the number of runs of a load, `default` unless the command line says otherwise.
    pub(crate) fn rounds(&self, default: usize) -> usize {
        let default = if self.short { 1 } else { default };
        self.rounds.unwrap_or(default).max(1)
    }

    /// Returns the number of idle connections.
    pub(crate) fn idle_connections(&self) -> usize {
        if self.short { 500 } else { 4_000 }
    }

    /// Returns the time that connections idle: a ping interval of both servers, so that each
    /// connection has one heartbeat.
    pub(crate) fn idle_window(&self) -> Duration {
        Duration::from_secs(if self.short { 3 } else { 25 })
    }
}

/// Parses the values of an option of the suite, by default all of them.
fn select<T: ValueEnum>(option: &str, names: &[String]) -> anyhow::Result<Vec<T>> {
    if names.is_empty() {
        return Ok(T::value_variants().to_vec());
    }
    let parse = |name: &String| {
        let place = name.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
        if let Some(value) = place.and_then(|place| T::value_variants().get(place)) {
            return Ok(value.clone());
        }
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
    use crate::single::SingleLoad;

    #[test]
    fn options_accept_names_and_numbers_of_the_suite_only() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        let (fan_out, rooms, idle) = (SingleLoad::FanOut, SingleLoad::Rooms, SingleLoad::Idle);
        let all = select::<SingleLoad>("loads", &[]).unwrap();
        assert_eq!(all, [fan_out, rooms, idle]);
        let some = select::<SingleLoad>("loads", &names(&["idle", "1"])).unwrap();
        assert_eq!(some, [idle, fan_out]);
        for wrong in ["nines", "0", "4"] {
            let error = select::<SingleLoad>("loads", &names(&[wrong])).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("--loads {wrong}: this suite has fan-out, rooms, idle")
            );
        }
    }
}
