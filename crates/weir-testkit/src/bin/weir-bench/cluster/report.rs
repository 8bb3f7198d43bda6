//! Tables and goals of clusters.

use clap::ValueEnum as _;

use super::figures::{ClusterFigures, RatioSpread, cpu};
use super::{ClusterKind, ClusterLoad};
use crate::args::Timing;
use crate::measure::StreamFigures;

/// Kinds in the order of the table's columns.
const COLUMNS: [ClusterKind; 7] = [
    ClusterKind::Weir,
    ClusterKind::Bare,
    ClusterKind::BareLocal,
    ClusterKind::Classic,
    ClusterKind::Sharded,
    ClusterKind::WeirTls,
    ClusterKind::WeirRedisCluster,
];

/// Goals: the most that one kind's CPU per delivery may be, as a multiple of another's.
const GOALS: [(ClusterKind, ClusterKind, f64); 3] = [
    (ClusterKind::Weir, ClusterKind::Bare, 1.15),
    (ClusterKind::WeirTls, ClusterKind::Weir, 1.10),
    (ClusterKind::WeirRedisCluster, ClusterKind::Weir, 1.10),
];

/// Text of a cell; `None` without figures.
type Cell = fn(&ClusterFigures, ClusterLoad, ClusterKind) -> Option<String>;

const ROWS: [(&str, Cell); 3] = [
    ("CPU per delivered chunk", |figures, load, kind| {
        figures.median(load, kind, cpu).map(micros)
    }),
    ("of it Redis", |figures, load, kind| {
        let redis = |run: &StreamFigures| run.per_delivery(run.used.redis);
        figures.median(load, kind, redis).map(micros)
    }),
    ("latency p50 / p95 / p99", |figures, load, kind| {
        let percentile = |rank: usize| figures.median(load, kind, |run| run.percentiles()[rank]);
        let (p50, p95, p99) = (percentile(0)?, percentile(1)?, percentile(2)?);
        Some(format!("{p50:.2} / {p95:.2} / {p99:.2} ms"))
    }),
];

fn micros(value: f64) -> String {
    format!("{value:.1} µs")
}

/// Returns both Markdown tables with a paragraph about the machine.
pub(super) fn table(
    figures: &ClusterFigures,
    machine: &str,
    rounds: usize,
    timing: Timing,
    on_node: Timing,
) -> String {
    let loads: Vec<ClusterLoad> = ClusterLoad::value_variants()
        .iter()
        .copied()
        .filter(|load| {
            let mut kinds = COLUMNS.iter();
            kinds.any(|kind| figures.median(*load, *kind, cpu).is_some())
        })
        .collect();
    format!(
        "{}\n{}\n{machine}. Three nodes of each kind and a Redis without persistence. The members \
         of each room are spread evenly over the nodes, one of them publishes. Nodes, Redis and \
         load generator share the cores. Each load is measured {rounds} times for {} s, after {} s \
         of warm-up ({} s on Node), in alternating order. Figures are medians. CPU is user and \
         system time of all nodes and Redis. Latency is from the publisher's write to the \
         subscriber's read, on any node. Every delivery is verified. Ratios are medians of the \
         rounds' ratios, with the least and the most.\n",
        costs(figures, &loads),
        ratios(figures, &loads),
        timing.measured,
        timing.warm_up,
        on_node.warm_up,
    )
}

/// Returns the table of each kind's figures.
fn costs(figures: &ClusterFigures, loads: &[ClusterLoad]) -> String {
    let mut table = String::from(
        "| load | figure | Weir | bare relay | bare relay, local | Node, classic | Node, sharded \
         | Weir, TLS | Weir, Redis Cluster |\n|---|---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for load in loads {
        for (place, (name, cell)) in ROWS.iter().enumerate() {
            let title = match place {
                0 => load.to_string(),
                _ => String::new(),
            };
            table += &format!("| {title} | {name} |");
            for kind in COLUMNS {
                let cell = cell(figures, *load, kind);
                table += &format!(" {} |", cell.as_deref().unwrap_or("–"));
            }
            table.push('\n');
        }
    }
    table
}

/// Returns the table of ratios.
fn ratios(figures: &ClusterFigures, loads: &[ClusterLoad]) -> String {
    const PAIRS: [(ClusterKind, ClusterKind); 6] = [
        (ClusterKind::Weir, ClusterKind::Bare),
        (ClusterKind::Weir, ClusterKind::BareLocal),
        (ClusterKind::WeirTls, ClusterKind::Weir),
        (ClusterKind::WeirRedisCluster, ClusterKind::Weir),
        (ClusterKind::Classic, ClusterKind::Weir),
        (ClusterKind::Sharded, ClusterKind::Weir),
    ];
    let mut table = String::from(
        "| CPU per delivered chunk | Weir ÷ bare relay | Weir ÷ bare relay, local | TLS ÷ standalone | Redis Cluster ÷ \
         standalone | Node, classic ÷ Weir | Node, sharded ÷ Weir |\n|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for load in loads {
        table += &format!("| {load} |");
        for (kind, base) in PAIRS {
            let cell = match figures.ratio(*load, kind, base) {
                Some(RatioSpread {
                    median,
                    least,
                    most,
                }) => format!("{median:.2} ({least:.2}–{most:.2})"),
                None => "–".into(),
            };
            table += &format!(" {cell} |");
        }
        table.push('\n');
    }
    table
}

/// Returns the missed goals, a sentence each. A goal without figures is missed.
pub(super) fn misses(figures: &ClusterFigures) -> Vec<String> {
    let mut misses = Vec::new();
    for load in ClusterLoad::value_variants() {
        for (kind, base, most) in GOALS {
            match figures.ratio(*load, kind, base) {
                Some(ratio) if ratio.median <= most => {}
                Some(ratio) => misses.push(format!(
                    "{load}: CPU of {kind} ÷ {base} is {:.3}, the goal is at most {most}",
                    ratio.median
                )),
                None => misses.push(format!("{load}: {kind} ÷ {base} was not measured")),
            }
        }
    }
    misses
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::CpuUse;

    fn stream(nodes: u64, redis: u64) -> StreamFigures {
        StreamFigures {
            used: CpuUse {
                nodes: Duration::from_micros(nodes),
                redis: Duration::from_micros(redis),
            },
            deliveries: 1,
            latencies: vec![1_000],
        }
    }

    /// Three rounds in which Weir takes so much in each, and the others the same.
    fn figures(weir: [u64; 3]) -> ClusterFigures {
        let mut figures = ClusterFigures::default();
        for load in ClusterLoad::value_variants() {
            for nodes in weir {
                figures.add(*load, ClusterKind::Weir, stream(nodes, 10));
                figures.add(*load, ClusterKind::WeirTls, stream(nodes, 12));
                figures.add(*load, ClusterKind::WeirRedisCluster, stream(nodes, 14));
                figures.add(*load, ClusterKind::Bare, stream(90, 10));
            }
        }
        figures
    }

    #[test]
    fn goals_hold_for_the_median_of_the_rounds() {
        assert_eq!(misses(&figures([100, 105, 300])), Vec::<String>::new());
        let missed = misses(&figures([100, 106, 300]));
        assert_eq!(missed.len(), 4, "{missed:?}");
        assert!(
            missed[0].contains("Weir ÷ bare relay is 1.160"),
            "{missed:?}"
        );
    }

    #[test]
    fn goals_without_figures_are_missed() {
        assert_eq!(misses(&ClusterFigures::default()).len(), 12);
    }

    #[test]
    fn tables_show_the_median_and_the_spread() {
        let timing = Timing {
            warm_up: 1,
            measured: 3,
        };
        let table = table(&figures([100, 105, 110]), "a machine", 3, timing, timing);
        let costs = "| 20 rooms of 9, 1.2 KB × 30/s each | CPU per delivered chunk | 115.0 µs | \
                     100.0 µs | – | – | – | 117.0 µs | 119.0 µs |";
        assert!(table.contains(costs), "{table}");
        let ratios =
            "| 60 rooms of 6, 3 KB × 60/s each | 1.15 (1.10–1.20) | – | 1.02 (1.02–1.02) |";
        assert!(table.contains(ratios), "{table}");
    }
}
