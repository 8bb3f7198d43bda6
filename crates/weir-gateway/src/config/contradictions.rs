//! Contradictions between values that are each valid alone.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use super::error::{Problem, shown};
use super::sections::{Config, ProxyProtocol};
use super::values::EffectiveValues;

/// Contradiction of a key with another.
struct Contradiction {
    key: &'static str,
    /// Relation to the other key, which its name follows.
    relation: Cow<'static, str>,
    other: &'static str,
    advice: &'static str,
}

impl Contradiction {
    fn new(
        key: &'static str,
        relation: impl Into<Cow<'static, str>>,
        other: &'static str,
        advice: &'static str,
    ) -> Self {
        Self {
            key,
            relation: relation.into(),
            other,
            advice,
        }
    }

    /// Returns the problem to report, which quotes both values.
    fn problem(&self, values: &EffectiveValues) -> Problem {
        let (stated, other) = (&values[self.key], &values[self.other]);
        Problem::Refused {
            key: self.key.to_owned(),
            value: shown(self.key, &stated.value),
            origin: stated.origin.clone(),
            right: format!(
                "{} {} = {} ({}); {}",
                self.relation,
                self.other,
                shown(self.other, &other.value),
                other.origin,
                self.advice
            ),
        }
    }
}

/// Returns all contradictions of a configuration whose values are each valid.
pub(super) fn contradictions(config: &Config, values: &EffectiveValues) -> Vec<Problem> {
    let checks = [
        listeners, proxies, drain, redis_urls, sentinels, lengths, rates,
    ];
    let found = checks.iter().flat_map(|check| check(config));
    found
        .map(|contradiction| contradiction.problem(values))
        .collect()
}

fn listeners(config: &Config) -> Vec<Contradiction> {
    let server = &config.server;
    let mut found = Vec::new();
    if overlap(server.listen, server.ops_listen) {
        found.push(Contradiction::new(
            "server.ops_listen",
            "uses the same port as",
            "server.listen",
            "use different ports",
        ));
    }
    found
}

fn proxies(config: &Config) -> Vec<Contradiction> {
    let server = &config.server;
    let mut found = Vec::new();
    if server.proxy_protocol == ProxyProtocol::Required && server.trusted_proxies.is_empty() {
        found.push(Contradiction::new(
            "server.proxy_protocol",
            "applies to trusted proxies only, and there are none in",
            "server.trusted_proxies",
            "list the proxies there",
        ));
    }
    found
}

fn drain(config: &Config) -> Vec<Contradiction> {
    let drain = &config.drain;
    let mut found = Vec::new();
    if drain.deadline < drain.pause + drain.window {
        let pause = drain.pause.as_millis();
        found.push(Contradiction::new(
            "drain.deadline_ms",
            format!("is shorter than the sum of drain.pause_ms = {pause} and"),
            "drain.window_ms",
            "raise the first or lower the others",
        ));
    }
    found
}

fn redis_urls(config: &Config) -> Vec<Contradiction> {
    let redis = &config.redis;
    let pair = [
        ("redis.directory_url", &redis.directory_url, &redis.bus_url),
        ("redis.bus_url", &redis.bus_url, &redis.directory_url),
    ];
    let mut found = Vec::new();
    for (key, own, other) in pair {
        if redis.url.is_empty() && !own.is_empty() && other.is_empty() {
            found.push(Contradiction::new(
                key,
                "needs the URL of the other plane, or",
                "redis.url",
                "set one of them",
            ));
        }
    }
    found
}

fn sentinels(config: &Config) -> Vec<Contradiction> {
    let redis = &config.redis;
    let credentials = [
        ("redis.sentinel_username", &redis.sentinel_username),
        ("redis.sentinel_password", &redis.sentinel_password),
    ];
    let mut found = Vec::new();
    for (key, value) in credentials {
        if !value.is_empty() && !redis.has_sentinels() {
            found.push(Contradiction::new(
                key,
                "applies to Sentinels only, and there are none in",
                "redis.url",
                "use a URL such as redis-sentinel://…?master=NAME, or delete the key",
            ));
        }
    }
    if !redis.sentinel_username.is_empty() && redis.sentinel_password.is_empty() {
        found.push(Contradiction::new(
            "redis.sentinel_username",
            "needs a password, but there is none in",
            "redis.sentinel_password",
            "set it as well",
        ));
    }
    found
}

fn lengths(config: &Config) -> Vec<Contradiction> {
    const ADVICE: &str = "lower the first or raise the second";
    let limits = &config.limits;
    let carried = [
        ("limits.chunk_bytes", limits.chunk_bytes),
        ("limits.media_header_bytes", limits.media_header_bytes),
        ("limits.metadata_bytes", limits.metadata_bytes),
        // Encoded as base64.
        ("limits.init_bytes", limits.init_bytes.div_ceil(3) * 4),
        ("limits.message_bytes", limits.message_bytes),
    ];
    let mut found = Vec::new();
    for (key, bytes) in carried {
        if bytes > limits.websocket_message_bytes {
            let other = "limits.websocket_message_bytes";
            found.push(Contradiction::new(key, "does not fit into", other, ADVICE));
        }
    }
    if limits.chunk_bytes > config.egress.queue_bytes {
        found.push(Contradiction::new(
            "limits.chunk_bytes",
            "does not fit into",
            "egress.queue_bytes",
            ADVICE,
        ));
    }
    found
}

fn rates(config: &Config) -> Vec<Contradiction> {
    let limits = &config.limits;
    let chunk_bytes = u64::try_from(limits.chunk_bytes).unwrap_or(u64::MAX);
    let chunk_bits = chunk_bytes.saturating_mul(8);
    let mut found = Vec::new();
    if chunk_bits > limits.ingest_bits_per_second {
        found.push(Contradiction::new(
            "limits.chunk_bytes",
            format!("allows chunks of {chunk_bits} bits, more than a second of"),
            "limits.ingest_bits_per_second",
            "lower the first or raise the second",
        ));
    }
    found
}

/// Whether two listeners cannot bind both addresses. Port 0 binds a free port, which never clashes.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (ip, other_ip) = (one.ip(), other.ip());
    one.port() != 0
        && one.port() == other.port()
        && (ip == other_ip || covers(ip, other_ip) || covers(other_ip, ip))
}

/// Whether a listener on `all` receives the connections to `one`. `[::]` covers IPv4 as well.
fn covers(all: IpAddr, one: IpAddr) -> bool {
    all.is_unspecified() && (all.is_ipv6() || one.is_ipv4())
}
