//! The table of clusters, and whether the goal is met.

use clap::ValueEnum as _;

use super::{Figures, Kind, Load};
use crate::args::Timing;
use crate::figures::Stream;

/// How many times less CPU per delivery than either adapter [`Kind::Batched`] takes, at least.
const GOAL: f64 = 5.0;

const CPU: &str = "CPU per delivered chunk, nodes and Redis";

/// One row: what it says of a stream, and the number that is compared. Less is better.
type Row = (&'static str, fn(&Stream) -> (String, f64));

const ROWS: [Row; 4] = [
    (CPU, |stream| micros(stream.per_delivery(stream.used.all()))),
    ("of it the three nodes", |stream| {
        micros(stream.per_delivery(stream.used.nodes))
    }),
    ("of it Redis", |stream| {
        micros(stream.per_delivery(stream.used.redis))
    }),
    ("latency p50 / p95 / p99", |stream| {
        let [p50, p95, p99] = stream.percentiles();
        (format!("{p50:.2} / {p95:.2} / {p99:.2} ms"), p50)
    }),
];

fn micros(value: f64) -> (String, f64) {
    (format!("{value:.1} µs"), value)
}

/// The Markdown table with the line about the machine.
pub(super) fn table(rounds: usize, timing: Timing, figures: &Figures, machine: &str) -> String {
    let mut table = String::from(
        "| load | figure | Weir | Weir, batched | Node, classic | Node, sharded | classic ÷ Weir \
         | sharded ÷ Weir |\n|---|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for load in Load::value_variants() {
        let streams = [Kind::Weir, Kind::Batched, Kind::Classic, Kind::Sharded]
            .map(|kind| figures.of(*load, kind));
        if streams.iter().all(Option::is_none) {
            continue;
        }
        for (place, (name, read)) in ROWS.iter().enumerate() {
            let cells = streams.map(|stream| stream.map(read));
            let text = |cell: &Option<(String, f64)>| match cell {
                Some((text, _)) => text.clone(),
                None => "–".into(),
            };
            let [weir, batched, classic, sharded] = &cells;
            let ratio = |other: &Option<(String, f64)>| {
                let ratio = |own: &Option<(String, f64)>| match (own, other) {
                    (Some((_, own)), Some((_, other))) => format!("{:.1}", other / own),
                    _ => "–".into(),
                };
                format!("{} / {}", ratio(weir), ratio(batched))
            };
            let title = if place == 0 {
                load.to_string()
            } else {
                String::new()
            };
            table += &format!(
                "| {title} | {name} | {} | {} | {} | {} | {} | {} |\n",
                text(weir),
                text(batched),
                text(classic),
                text(sharded),
                ratio(classic),
                ratio(sharded),
            );
        }
    }
    table
        + &format!(
            "\n{machine}. Three nodes of each kind and a Redis without persistence; the members of \
             each room spread evenly over the nodes, one of them publishes. Batched is \
             with redis.batch_ms = 15 and server.threads = 1; ratios are of both. Nodes, Redis and \
             load generator share the cores. Of each load {rounds} times {} s count, each after {} s \
             of warm-up. CPU is user and system time of all three nodes and Redis, latency is from \
             the publisher's write to the subscriber's read, on whatever node; every delivery was \
             verified.\n",
            timing.measured, timing.warm_up,
        )
}

/// The goals that were missed, in words. A goal whose figures were not taken is missed.
pub(super) fn misses(figures: &Figures) -> Vec<String> {
    let mut misses = Vec::new();
    for load in Load::value_variants() {
        for kind in [Kind::Classic, Kind::Sharded] {
            let cost = |kind| {
                let stream: &Stream = figures.of(*load, kind)?;
                Some(stream.per_delivery(stream.used.all()))
            };
            match cost(Kind::Batched).zip(cost(kind)) {
                Some((weir, other)) if other >= weir * GOAL => {}
                Some((weir, other)) => misses.push(format!(
                    "{load}: {CPU}: {kind} ÷ {} is {:.2}, at least {GOAL} is the goal",
                    Kind::Batched,
                    other / weir
                )),
                None => misses.push(format!("{load}: {CPU}: {kind}: not measured on both")),
            }
        }
    }
    misses
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::figures::Used;

    fn stream(nodes: u64, redis: u64) -> Stream {
        Stream {
            used: Used {
                nodes: Duration::from_micros(nodes),
                redis: Duration::from_micros(redis),
            },
            deliveries: 1,
            latencies: vec![1_000],
        }
    }

    fn figures(batched: u64) -> Figures {
        let mut figures = Figures::default();
        for load in Load::value_variants() {
            figures.add(*load, Kind::Weir, stream(19, 1));
            figures.add(*load, Kind::Batched, stream(batched, 1));
            figures.add(*load, Kind::Classic, stream(40, 10));
            figures.add(*load, Kind::Sharded, stream(50, 10));
        }
        figures
    }

    #[test]
    fn the_goal_holds_against_each_adapter_and_counts_redis() {
        assert_eq!(misses(&figures(9)), Vec::<String>::new());
        let missed = misses(&figures(10));
        assert_eq!(missed.len(), 2, "{missed:?}");
        assert!(missed[0].contains("classic"), "{missed:?}");
    }

    #[test]
    fn a_goal_without_figures_is_missed() {
        assert_eq!(misses(&Figures::default()).len(), 4);
    }

    #[test]
    fn ratios_are_of_the_same_row() {
        let timing = Timing {
            warm_up: 1,
            measured: 3,
        };
        let table = table(2, timing, &figures(4), "a machine");
        assert!(
            table.contains(
                "Redis | 20.0 µs | 5.0 µs | 50.0 µs | 60.0 µs | 2.5 / 10.0 | 3.0 / 12.0 |"
            ),
            "{table}"
        );
        assert!(
            table.contains(
                "of it Redis | 1.0 µs | 1.0 µs | 10.0 µs | 10.0 µs | 10.0 / 10.0 | 10.0 / 10.0 |"
            ),
            "{table}"
        );
    }
}
