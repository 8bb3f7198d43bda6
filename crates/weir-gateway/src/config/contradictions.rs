//! Values that make sense alone and none together.

use std::net::{IpAddr, SocketAddr};

use super::error::{Problem, shown};
use super::load::Values;
use super::sections::{Config, ProxyProtocol};

/// All contradictions of a configuration whose single values hold.
pub(super) fn contradictions(config: &Config, values: &Values) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut refuse = |key: &str, why: &str, other: &str, right: &str| {
        let (stated, other_stated) = (&values[key], &values[other]);
        found.push(Problem::Refused {
            key: key.to_owned(),
            value: shown(key, &stated.value),
            origin: stated.origin.clone(),
            right: format!(
                "{why} {other} = {} ({}); {right}",
                shown(other, &other_stated.value),
                other_stated.origin
            ),
        });
    };

    if overlap(config.server.listen, config.server.ops_listen) {
        refuse(
            "server.ops_listen",
            "takes the same port as",
            "server.listen",
            "give each a port of its own",
        );
    }

    let server = &config.server;
    if server.proxy_protocol == ProxyProtocol::Required && server.trusted_proxies.is_empty() {
        refuse(
            "server.proxy_protocol",
            "needs proxies that are believed, and there are none in",
            "server.trusted_proxies",
            "name them there",
        );
    }

    let drain = &config.drain;
    if drain.deadline < drain.pause + drain.window {
        refuse(
            "drain.deadline_ms",
            &format!(
                "comes before the end of drain.pause_ms = {} and",
                drain.pause.as_millis()
            ),
            "drain.window_ms",
            "raise the first or lower the others",
        );
    }

    let redis = &config.redis;
    for (key, own, other) in [
        ("redis.directory_url", &redis.directory_url, &redis.bus_url),
        ("redis.bus_url", &redis.bus_url, &redis.directory_url),
    ] {
        if redis.url.is_empty() && !own.is_empty() && other.is_empty() {
            refuse(
                key,
                "needs its counterpart beside it, or",
                "redis.url",
                "give that, too",
            );
        }
    }

    let credentials = [
        ("redis.sentinel_username", &redis.sentinel_username),
        ("redis.sentinel_password", &redis.sentinel_password),
    ];
    for (key, value) in credentials {
        if !value.is_empty() && !redis.has_sentinels() {
            refuse(
                key,
                "is for Sentinels, which are not what it is given with:",
                "redis.url",
                "write a URL such as redis-sentinel://…?master=NAME, or leave it out",
            );
        }
    }
    if !redis.sentinel_username.is_empty() && redis.sentinel_password.is_empty() {
        refuse(
            "redis.sentinel_username",
            "needs its password beside it,",
            "redis.sentinel_password",
            "give that, too",
        );
    }

    let limits = &config.limits;
    let carried = [
        ("limits.chunk_bytes", limits.chunk_bytes),
        ("limits.media_header_bytes", limits.media_header_bytes),
        ("limits.metadata_bytes", limits.metadata_bytes),
        // Encoded as base64.
        ("limits.init_bytes", limits.init_bytes.div_ceil(3) * 4),
        ("limits.message_bytes", limits.message_bytes),
    ];
    for (key, bytes) in carried {
        if bytes > limits.websocket_message_bytes {
            refuse(
                key,
                "cannot be sent within",
                "limits.websocket_message_bytes",
                "lower the first or raise the second",
            );
        }
    }
    if limits.chunk_bytes > config.egress.queue_bytes {
        refuse(
            "limits.chunk_bytes",
            "could never wait within",
            "egress.queue_bytes",
            "lower the first or raise the second",
        );
    }
    let chunk_bits = u64::try_from(limits.chunk_bytes)
        .unwrap_or(u64::MAX)
        .saturating_mul(8);
    if chunk_bits > limits.ingest_bits_per_second {
        refuse(
            "limits.chunk_bytes",
            &format!("makes chunks of {chunk_bits} bits, of which not one a second fits"),
            "limits.ingest_bits_per_second",
            "lower the first or raise the second",
        );
    }
    found
}

/// Whether two listeners cannot have both addresses. Port 0 takes a free port, so never the same.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (ip, other_ip) = (one.ip(), other.ip());
    one.port() != 0
        && one.port() == other.port()
        && (ip == other_ip || takes(ip, other_ip) || takes(other_ip, ip))
}

/// Whether a listener on `all` takes what is sent to `one`, too. On `[::]` it takes IPv4 as well.
fn takes(all: IpAddr, one: IpAddr) -> bool {
    all.is_unspecified() && (all.is_ipv6() || one.is_ipv4())
}
