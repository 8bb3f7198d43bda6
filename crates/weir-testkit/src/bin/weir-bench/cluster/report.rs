//! Tables and goals of clusters.

use clap::ValueEnum as _;

use super::figures::{ClusterFigures, RatioSpread, cpu};
use super::{ClusterKind, ClusterLoad};
use crate::args::Timing;
use crate::measure::StreamFigures;

/// Pair whose ratio of CPU per delivery a table shows.
type KindPair = (ClusterKind, ClusterKind);

/// Kinds on a standalone Redis without TLS.
const STANDALONE: [ClusterKind; 5] = [
    ClusterKind::Weir,
    ClusterKind::Bare,
    ClusterKind::BareLocal,
    ClusterKind::Classic,
    ClusterKind::Sharded,
];
const STANDALONE_RATIOS: [KindPair; 4] = [
    (ClusterKind::Weir, ClusterKind::Bare),
    (ClusterKind::Weir, ClusterKind::BareLocal),
    (ClusterKind::Classic, ClusterKind::Weir),
    (ClusterKind::Sharded, ClusterKind::Weir),
];

/// Kinds over TLS and on Redis Cluster.
const TLS_AND_CLUSTER: [ClusterKind; 4] = [
    ClusterKind::WeirTls,
    ClusterKind::BareTls,
    ClusterKind::WeirRedisCluster,
    ClusterKind::BareRedisCluster,
];
const TLS_AND_CLUSTER_RATIOS: [KindPair; 6] = [
    (ClusterKind::WeirTls, ClusterKind::Weir),
    (ClusterKind::BareTls, ClusterKind::Bare),
    (ClusterKind::WeirTls, ClusterKind::BareTls),
    (ClusterKind::WeirRedisCluster, ClusterKind::Weir),
    (ClusterKind::BareRedisCluster, ClusterKind::Bare),
    (ClusterKind::WeirRedisCluster, ClusterKind::BareRedisCluster),
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

/// Returns the Markdown tables with a paragraph about the machine.
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
            let mut kinds = ClusterKind::value_variants().iter();
            kinds.any(|kind| figures.median(*load, *kind, cpu).is_some())
        })
        .collect();
    format!(
        "A standalone Redis without TLS:\n\n{}\n{}\n\
         Redis with TLS, and Redis Cluster:\n\n{}\n{}\n\
         {machine}. Three nodes of each kind and a Redis without persistence. The members \
         of each room are spread evenly over the nodes, one of them publishes. Nodes, Redis and \
         load generator share the cores. Each load is measured {rounds} times for {} s, after {} s \
         of warm-up ({} s on Node), in alternating order. Figures are medians. CPU is user and \
         system time of all nodes and Redis. Latency is from the publisher's write to the \
         subscriber's read, on any node. Every delivery is verified. Ratios are medians of the \
         rounds' ratios, with the least and the most.\n",
        costs(figures, &loads, &STANDALONE),
        ratios(figures, &loads, &STANDALONE_RATIOS),
        costs(figures, &loads, &TLS_AND_CLUSTER),
        ratios(figures, &loads, &TLS_AND_CLUSTER_RATIOS),
        timing.measured,
        timing.warm_up,
        on_node.warm_up,
    )
}

/// Returns a table of kinds' figures.
fn costs(figures: &ClusterFigures, loads: &[ClusterLoad], kinds: &[ClusterKind]) -> String {
    let titles = kinds.iter().map(ToString::to_string);
    let mut table = head("| load | figure |", "|---|---|", titles);
    for load in loads {
        for (place, (name, cell)) in ROWS.iter().enumerate() {
            let title = match place {
                0 => load.to_string(),
                _ => String::new(),
            };
            table += &format!("| {title} | {name} |");
            for kind in kinds {
                let cell = cell(figures, *load, *kind);
                table += &format!(" {} |", cell.as_deref().unwrap_or("–"));
            }
            table.push('\n');
        }
    }
    table
}

/// Returns a table of ratios.
fn ratios(figures: &ClusterFigures, loads: &[ClusterLoad], pairs: &[KindPair]) -> String {
    let titles = pairs.iter().map(|(kind, base)| format!("{kind} ÷ {base}"));
    let mut table = head("| CPU per delivered chunk |", "|---|", titles);
    for load in loads {
        table += &format!("| {load} |");
        for (kind, base) in pairs {
            let cell = match figures.ratio(*load, *kind, *base) {
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

/// Returns a table's head, whose further columns are of numbers.
fn head(first: &str, rule: &str, titles: impl Iterator<Item = String>) -> String {
    let (mut head, mut rule) = (first.to_owned(), rule.to_owned());
    for title in titles {
        head += &format!(" {title} |");
        rule += "--:|";
    }
    format!("{head}\n{rule}\n")
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
                figures.add(*load, ClusterKind::BareTls, stream(92, 12));
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
        let row = "| 20 rooms of 9, 1.2 KB × 30/s each |";
        for part in [
            "| load | figure | Weir | bare relay | bare relay, local delivery | Node, classic \
             adapter | Node, sharded adapter |\n|---|---|--:|--:|--:|--:|--:|\n",
            &format!("{row} CPU per delivered chunk | 115.0 µs | 100.0 µs | – | – | – |\n"),
            &format!("{row} 1.15 (1.10–1.20) | – | – | – |\n"),
            "| load | figure | Weir over TLS | bare relay over TLS | Weir on Redis Cluster | bare \
             relay on Redis Cluster |\n",
            &format!("{row} CPU per delivered chunk | 117.0 µs | 104.0 µs | 119.0 µs | – |\n"),
            &format!(
                "{row} 1.02 (1.02–1.02) | 1.04 (1.04–1.04) | 1.12 (1.08–1.17) | 1.03 (1.03–1.04) \
                 | – | – |\n"
            ),
        ] {
            assert!(table.contains(part), "{part}\n{table}");
        }
    }
}
