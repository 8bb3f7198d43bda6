//! `weir status`: the state of a node, in human-readable form.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use reqwest::blocking::Client;
use serde::Deserialize;

/// Timeout of a request to the node.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Interval between the two readings that rates are computed from.
const INTERVAL: Duration = Duration::from_secs(1);

/// Body of `/readyz`.
#[derive(Debug, Deserialize)]
struct ReadyzBody {
    ready: bool,
    reasons: Vec<String>,
}

/// Samples of `/metrics` at one time.
#[derive(Debug)]
struct Reading {
    at: Instant,
    /// Names with labels, and their values.
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

    /// Returns the sum of a metric's samples that have all of these labels.
    fn sum(&self, metric: &str, labels: &[&str]) -> f64 {
        let wanted = self.samples.iter().filter(|(name, _)| {
            let (found, rest) = name.split_once('{').unwrap_or((name, ""));
            found == metric && labels.iter().all(|label| rest.contains(label))
        });
        wanted.map(|(_, value)| value).sum()
    }

    /// Returns the rate per second of the same sum since an earlier reading.
    fn rate(&self, before: &Self, metric: &str, labels: &[&str]) -> f64 {
        let seconds = (self.at - before.at).as_secs_f64();
        (self.sum(metric, labels) - before.sum(metric, labels)) / seconds
    }
}

/// Client of a node's operations listener.
struct OpsClient {
    url: String,
    client: Client,
}

impl OpsClient {
    fn new(url: &str) -> anyhow::Result<Self> {
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

    fn readiness(&self) -> anyhow::Result<ReadyzBody> {
        let url = &self.url;
        let readiness = self.client.get(format!("{url}/readyz")).send();
        readiness
            .with_context(|| format!("{url} cannot be reached"))?
            .json()
            .with_context(|| format!("{url} is not the operations listener of a node"))
    }

    fn read(&self) -> anyhow::Result<Reading> {
        let url = &self.url;
        let answer = self.client.get(format!("{url}/metrics")).send()?;
        let status = answer.status();
        ensure!(status.is_success(), "{url}/metrics answers with {status}");
        Ok(Reading::parse(&answer.text()?))
    }
}

/// Checks that the node is ready. The error has the reasons against its readiness.
pub(crate) fn ready(url: &str) -> anyhow::Result<String> {
    let ReadyzBody { ready, reasons } = OpsClient::new(url)?.readiness()?;
    ensure!(ready, "not ready: {}", reasons.join("; "));
    Ok("ready\n".to_owned())
}

/// Returns the state of a node.
pub(crate) fn status(url: &str) -> anyhow::Result<String> {
    let node = OpsClient::new(url)?;
    let readiness = node.readiness()?;
    let before = node.read()?;
    // A rate needs two readings.
    #[allow(clippy::disallowed_methods)]
    std::thread::sleep(INTERVAL);
    Ok(report(&readiness, &before, &node.read()?))
}

/// Formats the state of a node, one line for each aspect.
fn report(readiness: &ReadyzBody, before: &Reading, now: &Reading) -> String {
    let lines = [
        ("ready", ready_line(readiness)),
        ("up", duration(now.sum("process_uptime_seconds", &[]))),
        ("clients", clients_line(now)),
        ("rooms", rooms_line(now)),
        ("in", media_line(before, now, "ingest")),
        ("out", media_line(before, now, "egress")),
        ("dropped", dropped_line(before, now)),
        ("waiting", waiting_line(now)),
        ("process", process_line(before, now)),
        ("redis", redis_line(now)),
    ];
    let lines = lines.map(|(name, text)| format!("{name:<10} {text}\n"));
    lines.concat()
}

fn ready_line(readiness: &ReadyzBody) -> String {
    if readiness.ready {
        "yes".to_owned()
    } else {
        format!("no: {}", readiness.reasons.join("; "))
    }
}

fn clients_line(now: &Reading) -> String {
    format!(
        "{} on {} connections",
        now.sum("weir_sessions", &[]),
        now.sum("weir_connections", &[])
    )
}

fn rooms_line(now: &Reading) -> String {
    format!(
        "{} with {} members of this node, who publish {} audio, {} video, {} data",
        now.sum("weir_rooms", &[]),
        now.sum("weir_members", &[]),
        now.sum("weir_tracks", &["kind=\"audio\""]),
        now.sum("weir_tracks", &["kind=\"video\""]),
        now.sum("weir_tracks", &["kind=\"data\""]),
    )
}

/// Formats the rates of one direction: `ingest` or `egress`.
fn media_line(before: &Reading, now: &Reading, direction: &str) -> String {
    let chunks = now.rate(before, &format!("weir_{direction}_chunks_total"), &[]);
    let bytes = now.rate(
        before,
        &format!("weir_{direction}_payload_bytes_total"),
        &[],
    );
    let megabits = bytes * 8.0 / 1e6;
    format!("{chunks:.0} chunks/s, {megabits:.2} Mbit/s")
}

fn dropped_line(before: &Reading, now: &Reading) -> String {
    let lost = |metric: &str, labels: &[&str]| {
        let (total, rate) = (now.sum(metric, labels), now.rate(before, metric, labels));
        format!("{total} ({rate:.0}/s)")
    };
    format!(
        "{} for slow clients, {} lost between nodes, {} refused",
        lost("weir_egress_dropped_total", &["reason=\"slow\""]),
        lost("weir_relay_dropped_total", &["reason=\"lost\""]),
        lost("weir_ingest_refused_total", &[]),
    )
}

fn waiting_line(now: &Reading) -> String {
    format!(
        "{} bytes for {} clients that lag, the longest for {:.1} s",
        now.sum("weir_egress_queue_size_bytes", &[]),
        now.sum("weir_egress_queue_sessions", &[]),
        now.sum("weir_egress_queue_age_seconds", &[]),
    )
}

fn process_line(before: &Reading, now: &Reading) -> String {
    let busy = now.rate(before, "tokio_busy_time_seconds_total", &[]);
    format!(
        "{:.0} % of a core, {:.1} MiB, {} open files, workers busy {:.0} %",
        100.0 * now.rate(before, "process_cpu_time_seconds_total", &[]),
        now.sum("process_memory_usage_bytes", &[]) / 1024.0 / 1024.0,
        now.sum("process_open_fds", &[]),
        100.0 * busy / now.sum("tokio_workers", &[]),
    )
}

fn redis_line(now: &Reading) -> String {
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

/// Formats a duration in its two largest units.
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
    fn report_has_totals_and_rates() {
        let reading = |chunks: u32, at: Instant| Reading {
            at,
            ..Reading::parse(&format!(
                "# TYPE weir_sessions gauge\nweir_sessions 3\nweir_connections 4\n\
                 weir_ingest_chunks_total{{kind=\"audio\"}} {chunks}\n\
                 weir_ingest_chunks_total{{kind=\"video\"}} {chunks}\n\
                 process_uptime_seconds 93784.5\ntokio_workers 2\n\
                 weir_redis_up{{plane=\"directory\"}} 0\nweir_redis_up{{plane=\"publishing\"}} 1\n"
            ))
        };
        let readiness = ReadyzBody {
            ready: false,
            reasons: vec!["draining".to_owned(), "starting".to_owned()],
        };
        let start = Instant::now();
        let (before, now) = (
            reading(10, start),
            reading(60, start + Duration::from_millis(500)),
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
    fn durations_have_at_most_two_units() {
        let shown = [5.9, 65.0, 3_600.0, 90_000.0].map(duration);
        assert_eq!(shown, ["5 s", "1 min 5 s", "1 h 0 min", "1 d 1 h"]);
    }
}
