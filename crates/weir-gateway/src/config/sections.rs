//! Typed sections of the configuration.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use weir_protocol::Limits;
use weir_redis::Target;

use super::formats::{millis, ranges, zero_is_none};

/// Configuration of a node. `Config::default()` needs no other service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Addresses and connections.
    pub server: ServerConfig,
    /// Timeouts of Socket.IO.
    pub socketio: SocketIoConfig,
    /// Limits on what clients send.
    pub limits: Limits,
    /// Bounds on the data queued for a client.
    pub egress: EgressConfig,
    /// Lifetime and number of rooms.
    pub rooms: RoomsConfig,
    /// Redis, which connects the nodes of a cluster.
    pub redis: RedisConfig,
    /// Graceful shutdown.
    pub drain: DrainConfig,
    /// Logging.
    pub log: LogConfig,
    /// Export to an OpenTelemetry collector.
    pub telemetry: TelemetryConfig,
}

/// `[server]`: addresses and connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Address for clients. Port 0 binds any free port. Default `0.0.0.0:8080`.
    pub listen: SocketAddr,
    /// Address of `/livez`, `/readyz` and `/metrics`; must not be public. Default `127.0.0.1:8081`.
    pub ops_listen: SocketAddr,
    /// Maximum open connections to `listen`. Default 10,000.
    pub max_connections: usize,
    /// Maximum open connections to `listen` from one client address; `None` (0 in the file) is no
    /// limit. Behind a proxy that is not among `trusted_proxies`, every connection has the proxy's
    /// address. Default 5,000.
    #[serde(with = "zero_is_none")]
    pub max_connections_per_address: Option<NonZeroUsize>,
    /// Address ranges of trusted proxies, which report their clients' addresses. Default none.
    #[serde(with = "ranges")]
    pub trusted_proxies: Vec<IpNet>,
    /// PROXY protocol mode of connections from trusted proxies. Default [`ProxyProtocol::Off`].
    pub proxy_protocol: ProxyProtocol,
    /// Timeout of a request's head, after which the connection is closed (`header_timeout_ms`).
    /// Default 10 s.
    #[serde(rename = "header_timeout_ms", with = "millis")]
    pub header_timeout: Duration,
    /// Keep-alive timeout: idle time after which a connection is closed (`keep_alive_ms`). Set it
    /// above the balancer's own idle timeout, usually 60 s. Default 75 s.
    #[serde(rename = "keep_alive_ms", with = "millis")]
    pub keep_alive: Duration,
    /// Origins of pages that may use long-polling, such as `https://app.example`, or `*` for all.
    /// Default none.
    pub cors_origins: Vec<String>,
    /// Number of worker threads; `None` (0 in the file) is one for each core. Default 0.
    #[serde(with = "zero_is_none")]
    pub threads: Option<NonZeroUsize>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
            ops_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            max_connections: 10_000,
            max_connections_per_address: NonZeroUsize::new(5_000),
            trusted_proxies: Vec::new(),
            proxy_protocol: ProxyProtocol::Off,
            header_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            cors_origins: Vec::new(),
            threads: None,
        }
    }
}

/// PROXY protocol mode of trusted proxies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    /// No header; proxies report clients in request headers.
    #[default]
    Off,
    /// Each connection starts with a header of version 1 or 2. Any other connection is closed.
    Required,
}

/// `[socketio]`: timeouts of Socket.IO.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SocketIoConfig {
    /// Interval between two pings to a client (`ping_interval_ms`). Default 25 s.
    #[serde(rename = "ping_interval_ms", with = "millis")]
    pub ping_interval: Duration,
    /// Timeout of a client's answer to a ping, after which its connection is closed
    /// (`ping_timeout_ms`). Default 20 s.
    #[serde(rename = "ping_timeout_ms", with = "millis")]
    pub ping_timeout: Duration,
    /// Timeout of a new connection's CONNECT packet (`connect_timeout_ms`). Default 10 s.
    #[serde(rename = "connect_timeout_ms", with = "millis")]
    pub connect_timeout: Duration,
    /// Timeout of an upgrade from long-polling to WebSocket (`upgrade_timeout_ms`). Default 10 s.
    #[serde(rename = "upgrade_timeout_ms", with = "millis")]
    pub upgrade_timeout: Duration,
}

impl Default for SocketIoConfig {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(10),
            upgrade_timeout: Duration::from_secs(10),
        }
    }
}

/// `[egress]`: bounds on the data queued for one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EgressConfig {
    /// Maximum bytes queued in the node for one connection. Media over it is dropped and reported
    /// as a gap. Default 1 MiB.
    pub queue_bytes: usize,
    /// Maximum unsent bytes in the kernel for one connection (`TCP_NOTSENT_LOWAT`). Default 64 KiB.
    pub unsent_bytes: u32,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            queue_bytes: 1024 * 1024,
            unsent_bytes: 64 * 1024,
        }
    }
}

/// `[rooms]`: lifetime and number of rooms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoomsConfig {
    /// Time to live of a room without members (`empty_ttl_ms`). Default 300 s.
    #[serde(rename = "empty_ttl_ms", with = "millis")]
    pub empty_ttl: Duration,
    /// Whether `room:join` creates a missing room if the request omits `create`. Default no.
    pub create_on_join: bool,
    /// Maximum rooms of a node without Redis, including empty ones. Creating another fails with
    /// `rate_limited`. Default 100,000.
    pub max_rooms: usize,
}

impl Default for RoomsConfig {
    fn default() -> Self {
        Self {
            empty_ttl: Duration::from_secs(300),
            create_on_join: false,
            max_rooms: 100_000,
        }
    }
}

/// `[drain]`: graceful shutdown after SIGTERM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DrainConfig {
    /// Time from the signal to the first move, in which balancers notice that the node is not ready
    /// (`pause_ms`). Default 5 s.
    #[serde(rename = "pause_ms", with = "millis")]
    pub pause: Duration,
    /// Window over which the clients' moves are spread after the pause (`window_ms`). Default 15 s.
    #[serde(rename = "window_ms", with = "millis")]
    pub window: Duration,
    /// Time from the signal to the close of all remaining connections (`deadline_ms`). Default 25 s.
    #[serde(rename = "deadline_ms", with = "millis")]
    pub deadline: Duration,
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self {
            pause: Duration::from_secs(5),
            window: Duration::from_secs(15),
            deadline: Duration::from_secs(25),
        }
    }
}

/// `[redis]`: Redis, which connects the nodes of a cluster. Without a URL, the node keeps its rooms in
/// memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    /// Redis of the directory and the bus, unless the next two keys are set. Default none.
    pub url: String,
    /// Redis of the directory, which holds the rooms. Default `url`.
    pub directory_url: String,
    /// Redis of the bus, which carries chunks and messages between nodes. Default `url`.
    pub bus_url: String,
    /// User name for the Sentinels, which have users of their own. Default none: their default user.
    pub sentinel_username: String,
    /// Password for the Sentinels, unescaped. Default none.
    pub sentinel_password: String,
    /// Prefix of all keys and channels. Default `weir`.
    pub prefix: String,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            directory_url: String::new(),
            bus_url: String::new(),
            sentinel_username: String::new(),
            sentinel_password: String::new(),
            prefix: "weir".to_owned(),
        }
    }
}

impl RedisConfig {
    /// Whether Sentinels locate the directory or the bus.
    pub(super) fn has_sentinels(&self) -> bool {
        self.targets()
            .is_some_and(|(directory, bus)| [directory, bus].iter().any(Target::has_sentinels))
    }

    /// Returns the targets of the directory and the bus, if there is a Redis.
    pub(crate) fn targets(&self) -> Option<(Target, Target)> {
        let target = |own: &str| {
            let url = if own.is_empty() { &self.url } else { own };
            // Always valid: the rule of the key has checked it.
            let target: Target = url.parse().ok()?;
            Some(target.with_sentinel_credentials(&self.sentinel_username, &self.sentinel_password))
        };
        Some((target(&self.directory_url)?, target(&self.bus_url)?))
    }
}

/// `[log]`: logging to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Form of a log line. Default [`LogFormat::Auto`].
    pub format: LogFormat,
    /// Filter: a level, or directives such as `info,weir_engine=debug`, in the syntax of
    /// `tracing_subscriber::EnvFilter`. Default `info`.
    pub filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Auto,
            filter: "info".to_owned(),
        }
    }
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// [`Human`](Self::Human) if standard error is a terminal, otherwise [`Json`](Self::Json).
    Auto,
    /// Human-readable text.
    Human,
    /// One flat JSON object per line.
    Json,
}

/// `[telemetry]`: export of spans, metrics and logs to an OpenTelemetry collector. The standard
/// `OTEL_…` variables take precedence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// OTLP endpoint of the collector, such as `http://localhost:4317`. Default none, which exports
    /// nothing.
    pub otlp_endpoint: String,
    /// Protocol of the endpoint. Default gRPC.
    pub otlp_protocol: OtlpProtocol,
    /// Trace sampling: one in this many chunks of a track; 0 for none. Default 0.
    pub chunk_sampling: u64,
}

/// Protocol of an OTLP endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OtlpProtocol {
    /// gRPC.
    #[default]
    Grpc,
    /// Binary Protocol Buffers over HTTP. The path of each signal is appended to the endpoint.
    Http,
}
