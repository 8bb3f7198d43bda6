//! `weir status`: a node's state, for people.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use reqwest::blocking::Client;
use serde::Deserialize;

/// How long a node may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Between two readings, of which the second says how much a second.
const BETWEEN: Duration = Duration::from_secs(1);

/// The answer of `/readyz`.
#[derive(Debug, Deserialize)]
struct Readiness {
    ready: bool,
    reasons: Vec<String>,
}

/// What `/metrics` says at a moment.
#[derive(Debug)]
struct Reading {
    at: Instant,
    /// Names with labels, and values.
    samples: Vec<(String, f64)>,
}

impl Reading {
    fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self {
            at: Instant::now(),
            samples: samples.collect(),
        }
    }

    /// The sum of a metric's values whose labels have all of these.
    fn sum(&self, metric: &str, labels: &[&str]) -> f64 {
        let wanted = self.samples.iter().filter(|(name, _)| {
            let (found, rest) = name.split_once('{').unwrap_or((name, ""));
            found == metric && labels.iter().all(|label| rest.contains(label))
        });
        wanted.map(|(_, value)| value).sum()
    }

    /// The same, a second, since an earlier reading.
    fn rate(&self, before: &Self, metric: &str, labels: &[&str]) -> f64 {
        let seconds = (self.at - before.at).as_secs_f64();
        (self.sum(metric, labels) - before.sum(metric, labels)) / seconds
    }
}

/// A node's operations listener.
struct Node {
    url: String,
    client: Client,
}

impl Node {
    fn at(url: &str) -> anyhow::Result<Self> {
        let url = url.trim_end_matches('/');
        Ok(Self {
            url: if url.contains("://") {
                url.to_owned()
            } else {
                format!("http://{url}")
            },
            client: Client::builder().timeout(TIMEOUT).build()?,
        })
    }

    fn readiness(&self) -> anyhow::Result<Readiness> {
        let url = &self.url;
        let readiness = self.client.get(format!("{url}/readyz")).send();
        readiness
            .with_context(|| format!("{url} cannot be reached"))?
            .json()
            .with_context(|| format!("{url} is no node's operations listener"))
    }

    fn read(&self) -> anyhow::Result<Reading> {
        let url = &self.url;
        let answer = self.client.get(format!("{url}/metrics")).send()?;
        let status = answer.status();
        ensure!(status.is_success(), "{url}/metrics answers with {status}");
        Ok(Reading::parse(&answer.text()?))
    }
}

/// That the node whose operations listener is at `url` is ready; otherwise an error says why it is not.
pub(crate) fn ready(url: &str) -> anyhow::Result<String> {
    let Readiness { ready, reasons } = Node::at(url)?.readiness()?;
    ensure!(ready, "not ready: {}", reasons.join("; "));
    Ok("ready\n".to_owned())
}

/// What a node whose operations listener is at `url` says of itself.
pub(crate) fn status(url: &str) -> anyhow::Result<String> {
    let node = Node::at(url)?;
    let readiness = node.readiness()?;
    let before = node.read()?;
    // One moment says nothing of how fast something goes.
    #[allow(clippy::disallowed_methods)]
    std::thread::sleep(BETWEEN);
    Ok(report(&readiness, &before, &node.read()?))
}

fn report(readiness: &Readiness, before: &Reading, now: &Reading) -> String {
    let mut lines = String::new();
    let mut line = |name: &str, what: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{name:<10} {what}");
    };
    line(
        "ready",
        if readiness.ready {
            "yes".to_owned()
        } else {
            format!("no: {}", readiness.reasons.join("; "))
        },
    );
    line("up", duration(now.sum("process_uptime_seconds", &[])));
    line(
        "clients",
        format!(
            "{} on {} connections",
            now.sum("weir_sessions", &[]),
            now.sum("weir_connections", &[])
        ),
    );
    line(
        "rooms",
        format!(
            "{} with {} members of this node, who publish {} audio, {} video, {} data",
            now.sum("weir_rooms", &[]),
            now.sum("weir_members", &[]),
            now.sum("weir_tracks", &["kind=\"audio\""]),
            now.sum("weir_tracks", &["kind=\"video\""]),
            now.sum("weir_tracks", &["kind=\"data\""]),
        ),
    );
    for (name, way) in [("in", "ingest"), ("out", "egress")] {
        let chunks = now.rate(before, &format!("weir_{way}_chunks_total"), &[]);
        let bytes = now.rate(before, &format!("weir_{way}_payload_bytes_total"), &[]);
        let megabits = bytes * 8.0 / 1e6;
        line(name, format!("{chunks:.0} chunks/s, {megabits:.2} Mbit/s"));
    }
    let lost = |metric: &str, labels: &[&str]| {
        let (all, rate) = (now.sum(metric, labels), now.rate(before, metric, labels));
        format!("{all} ({rate:.0}/s)")
    };
    line(
        "dropped",
        format!(
            "{} for slow clients, {} lost between nodes, {} refused",
            lost("weir_egress_dropped_total", &["reason=\"slow\""]),
            lost("weir_relay_dropped_total", &["reason=\"lost\""]),
            lost("weir_ingest_refused_total", &[]),
        ),
    );
    line(
        "waiting",
        format!(
            "{} bytes for {} clients that lag, the longest for {:.1} s",
            now.sum("weir_egress_queue_size_bytes", &[]),
            now.sum("weir_egress_queue_sessions", &[]),
            now.sum("weir_egress_queue_age_seconds", &[]),
        ),
    );
    line(
        "process",
        format!(
            "{:.0} % of a core, {:.1} MiB, {} open files, workers busy {:.0} %",
            100.0 * now.rate(before, "process_cpu_time_seconds_total", &[]),
            now.sum("process_memory_usage_bytes", &[]) / 1024.0 / 1024.0,
            now.sum("process_open_fds", &[]),
            100.0 * now.rate(before, "tokio_busy_time_seconds_total", &[])
                / now.sum("tokio_workers", &[]),
        ),
    );
    line("redis", redis(now));
    lines
}

fn redis(now: &Reading) -> String {
    let planes = now.samples.iter().filter_map(|(name, up)| {
        let plane = name.strip_prefix("weir_redis_up{plane=\"")?;
        let state = if *up > 0.0 { "up" } else { "away" };
        Some(format!("{} {state}", plane.trim_end_matches("\"}")))
    });
    let planes: Vec<_> = planes.collect();
    if planes.is_empty() {
        return "none: the node is alone".to_owned();
    }
    planes.join(", ")
}

/// A duration in its two largest units.
fn duration(seconds: f64) -> String {
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_told_in_words_and_rates() {
        let said = |chunks: u32, at: Instant| Reading {
            at,
            ..Reading::parse(&format!(
                "# TYPE weir_sessions gauge\nweir_sessions 3\nweir_connections 4\n\
                 weir_ingest_chunks_total{{kind=\"audio\"}} {chunks}\n\
                 weir_ingest_chunks_total{{kind=\"video\"}} {chunks}\n\
                 process_uptime_seconds 93784.5\ntokio_workers 2\n\
                 weir_redis_up{{plane=\"directory\"}} 0\nweir_redis_up{{plane=\"publishing\"}} 1\n"
            ))
        };
        let readiness = Readiness {
            ready: false,
            reasons: vec!["draining".to_owned(), "starting".to_owned()],
        };
        let begun = Instant::now();
        let (before, now) = (
            said(10, begun),
            said(60, begun + Duration::from_millis(500)),
        );
        let report = report(&readiness, &before, &now);
        let line = |name: &str| {
            let line = report.lines().find(|line| line.starts_with(name));
            line.unwrap_or_default()[11..].to_owned()
        };
        assert_eq!(line("ready"), "no: draining; starting");
        assert_eq!(line("up"), "1 d 2 h");
        assert_eq!(line("clients"), "3 on 4 connections");
        assert_eq!(line("in"), "200 chunks/s, 0.00 Mbit/s");
        assert_eq!(line("redis"), "directory away, publishing up");
    }

    #[test]
    fn durations_have_two_units() {
        let shown = [5.9, 65.0, 3_600.0, 90_000.0].map(duration);
        assert_eq!(shown, ["5 s", "1 min 5 s", "1 h 0 min", "1 d 1 h"]);
    }
}
