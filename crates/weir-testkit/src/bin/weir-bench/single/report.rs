//! Table and goals of single nodes.

use super::figures::{ServerFigures, SingleFigures};
use super::load::TIMING;
use crate::args::Args;
use crate::measure::StreamFigures;

/// Least ratio of Node's CPU per delivery to Weir's.
const GOAL: f64 = 2.3;

/// Cell of a row: its text, and the number that is compared.
type Cell = fn(&ServerFigures) -> Option<(String, f64)>;

/// Load, figure and cells of a row.
type Row = (&'static str, &'static str, Cell);

/// Rows in the order of the table. Less is better in each.
const ROWS: [Row; 10] = [
    (FAN_OUT, CPU, |of| of.fan_out.as_ref().map(cpu)),
    ("", LATENCY, |of| of.fan_out.as_ref().map(latency)),
    (ROOMS, CPU, |of| of.rooms.as_ref().map(cpu)),
    ("", LATENCY, |of| of.rooms.as_ref().map(latency)),
    (IDLE, MEMORY, |of| {
        of.idle.as_ref().map(|idle| kib(idle.memory))
    }),
    ("", "the same after they idled", |of| {
        of.idle.as_ref().map(|idle| kib(idle.memory_later))
    }),
    ("", "CPU to connect and join, per connection", |of| {
        of.idle
            .as_ref()
            .map(|idle| micros(idle.cpu_per_connection()))
    }),
    ("", "CPU while idle, per heartbeat", |of| {
        of.idle.as_ref()?.cpu_per_heartbeat().map(micros)
    }),
    (AMID, CPU, |of| of.idle.as_ref().map(|idle| cpu(&idle.amid))),
    ("", LATENCY, |of| {
        of.idle.as_ref().map(|idle| latency(&idle.amid))
    }),
];

const FAN_OUT: &str = "1 publisher × 200 subscribers, 6 KB × 30/s";
const ROOMS: &str = "20 rooms of 1 + 9, 1.2 KB × 50/s each";
const IDLE: &str = "idle connections, joined, in rooms of 10";
const AMID: &str = "1.2 KB × 10/s to 100 of these, heartbeats included";
const CPU: &str = "CPU per delivered chunk";
const LATENCY: &str = "latency p50 / p95 / p99";
const MEMORY: &str = "memory per connection, all joined";

fn micros(value: f64) -> (String, f64) {
    (format!("{value:.1} µs"), value)
}

fn cpu(stream: &StreamFigures) -> (String, f64) {
    micros(stream.per_delivery(stream.used.total()))
}

fn latency(stream: &StreamFigures) -> (String, f64) {
    let [p50, p95, p99] = stream.percentiles();
    (format!("{p50:.2} / {p95:.2} / {p99:.2} ms"), p50)
}

fn kib(value: f64) -> (String, f64) {
    (format!("{value:.1} KiB"), value)
}

/// Returns the Markdown table with a paragraph about the machine.
pub(super) fn table(args: &Args, figures: &SingleFigures, machine: &str) -> String {
    let mut table =
        String::from("| load | figure | Weir | Node | Node ÷ Weir |\n|---|---|--:|--:|--:|\n");
    for (load, name, read) in ROWS {
        let (weir, node) = (read(&figures.weir), read(&figures.node));
        if weir.is_none() && node.is_none() {
            continue;
        }
        let ratio = match (&weir, &node) {
            (Some((_, weir)), Some((_, node))) => format!("{:.1}", node / weir),
            _ => "–".into(),
        };
        let cell = |figure: Option<(String, f64)>| figure.map_or("–".into(), |(text, _)| text);
        let load = match load {
            IDLE => format!("{} {IDLE}", thousands(args.idle_connections())),
            other => other.to_owned(),
        };
        table += &format!(
            "| {load} | {name} | {} | {} | {ratio} |\n",
            cell(weir),
            cell(node)
        );
    }
    let timing = args.timing(TIMING);
    table
        + &format!(
            "\n{machine}. Servers and load generator share the cores. Each load is measured for {} s after \
             {} s of warm-up. Connections idle for {} s, and as long with chunks to 100 of them. CPU \
             is user and system time of the server's process. Latency is from the publisher's write \
             to the subscriber's read. Memory is resident. Every delivery is verified.\n",
            timing.measured,
            timing.warm_up,
            args.idle_window().as_secs(),
        )
}

fn thousands(number: usize) -> String {
    match number / 1_000 {
        0 => number.to_string(),
        thousands => format!("{thousands},{:03}", number % 1_000),
    }
}

/// Returns the missed goals, a sentence each. A goal without figures is missed.
pub(super) fn misses(figures: &SingleFigures) -> Vec<String> {
    let compare = |read: Cell| {
        let ((_, weir), (_, node)) = (read(&figures.weir)?, read(&figures.node)?);
        Some(node / weir)
    };
    let mut misses = Vec::new();
    let mut load = "";
    for (name, figure, read) in ROWS {
        load = if name.is_empty() { load } else { name };
        let goal = match figure {
            CPU => GOAL,
            MEMORY => 1.0,
            _ => continue,
        };
        match compare(read) {
            Some(ratio) if ratio >= goal => {}
            Some(ratio) => misses.push(format!(
                "{load}: {figure}: Node ÷ Weir is {ratio:.2}, at least {goal} is the goal"
            )),
            None => misses.push(format!("{load}: {figure}: not measured on both")),
        }
    }
    misses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_without_figures_are_missed() {
        assert_eq!(misses(&SingleFigures::default()).len(), 4);
    }
}
