//! The sections of the configuration, as the rest of the gateway sees them.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use weir_protocol::Limits;
use weir_redis::Target;

/// Everything that can be configured. `Config::default()` is a node that needs nothing installed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Addresses and connections.
    pub server: Server,
    /// Timing of Socket.IO.
    pub socketio: SocketIo,
    /// What clients may send.
    pub limits: Limits,
    /// What may wait on its way to a client.
    pub egress: Egress,
    /// Rooms.
    pub rooms: Rooms,
    /// What joins the nodes of a cluster.
    pub redis: Redis,
    /// How a node ends.
    pub drain: Drain,
    /// Logging.
    pub log: Log,
    /// What is sent to a collector.
    pub telemetry: Telemetry,
}

/// `[server]`: addresses and connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Where clients connect. Port 0 takes any free one. Default `0.0.0.0:8080`.
    pub listen: SocketAddr,
    /// Address of `/livez` and `/readyz`; must not be public. Default `127.0.0.1:8081`.
    pub ops_listen: SocketAddr,
    /// Open connections to `listen`; further ones are refused. Default 10,000.
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
    /// How long a connection may take to send the head of a request before it is closed
    /// (`header_timeout_ms`). Default 10 s.
    #[serde(rename = "header_timeout_ms", with = "millis")]
    pub header_timeout: Duration,
    /// Keep-alive timeout: idle time after which a connection is closed (`keep_alive_ms`). Set it
    /// above the balancer's own idle timeout, usually 60 s. Default 75 s.
    #[serde(rename = "keep_alive_ms", with = "millis")]
    pub keep_alive: Duration,
    /// Origins of pages that may use long-polling, such as `https://app.example`, or `*` for all.
    /// Default none.
    pub cors_origins: Vec<String>,
    /// Threads that do the node's work; `None` (0 in the file) is one for each core. Default 0.
    #[serde(with = "zero_is_none")]
    pub threads: Option<NonZeroUsize>,
}

impl Default for Server {
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

/// `[socketio]`: timing of the transport.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SocketIo {
    /// Between two pings to a client (`ping_interval_ms`). Default 25 s.
    #[serde(rename = "ping_interval_ms", with = "millis")]
    pub ping_interval: Duration,
    /// How long a client may take to answer a ping before it counts as gone (`ping_timeout_ms`).
    /// Default 20 s.
    #[serde(rename = "ping_timeout_ms", with = "millis")]
    pub ping_timeout: Duration,
    /// How long a connection may exist without a CONNECT packet (`connect_timeout_ms`). Default
    /// 10 s.
    #[serde(rename = "connect_timeout_ms", with = "millis")]
    pub connect_timeout: Duration,
    /// How long an upgrade from long-polling to WebSocket may take (`upgrade_timeout_ms`). Default
    /// 10 s.
    #[serde(rename = "upgrade_timeout_ms", with = "millis")]
    pub upgrade_timeout: Duration,
}

impl Default for SocketIo {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(10),
            upgrade_timeout: Duration::from_secs(10),
        }
    }
}

/// `[egress]`: what may wait on its way to one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Egress {
    /// What may wait in the node for one connection whose socket takes no more, in bytes; media
    /// over it is dropped and announced. Default 1 MiB.
    pub queue_bytes: usize,
    /// What may wait unsent in the kernel for one connection (`TCP_NOTSENT_LOWAT`), in bytes.
    /// Default 64 KiB.
    pub unsent_bytes: u32,
}

impl Default for Egress {
    fn default() -> Self {
        Self {
            queue_bytes: 1024 * 1024,
            unsent_bytes: 64 * 1024,
        }
    }
}

/// `[rooms]`: how rooms come and go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rooms {
    /// How long a room without members lives on (`empty_ttl_ms`). Default 300 s.
    #[serde(rename = "empty_ttl_ms", with = "millis")]
    pub empty_ttl: Duration,
    /// Whether `room:join` creates a missing room if the request omits `create`. Default no.
    pub create_on_join: bool,
    /// Rooms that there may be at a time on a node, empty ones included; creating one more fails
    /// with `rate_limited`. Default 100,000.
    pub max_rooms: usize,
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            empty_ttl: Duration::from_secs(300),
            create_on_join: false,
            max_rooms: 100_000,
        }
    }
}

/// `[drain]`: how a node ends that is told to by SIGTERM. Times are from one to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// How long it goes on as before while `/readyz` says that it is not ready, so that balancers
    /// notice (`pause_ms`). Default 5 s.
    #[serde(rename = "pause_ms", with = "millis")]
    pub pause: Duration,
    /// Over how long its clients' reconnects are spread after that (`window_ms`). Default 15 s.
    #[serde(rename = "window_ms", with = "millis")]
    pub window: Duration,
    /// After so long, counted from the signal, whoever is still connected is cut off
    /// (`deadline_ms`). Default 25 s.
    #[serde(rename = "deadline_ms", with = "millis")]
    pub deadline: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            pause: Duration::from_secs(5),
            window: Duration::from_secs(15),
            deadline: Duration::from_secs(25),
        }
    }
}

/// `[redis]`: what joins the nodes of a cluster. Without a URL the node is alone, and keeps its rooms
/// in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// Where the rooms are, and what carries chunks between nodes, unless one of the next two says
    /// otherwise. Default none.
    pub url: String,
    /// Where the rooms are. Default `url`.
    pub directory_url: String,
    /// What carries chunks and messages between nodes. Default `url`.
    pub bus_url: String,
    /// User name for the Sentinels that `url`, `directory_url` or `bus_url` name, which have users
    /// of their own. Default none: their default user.
    pub sentinel_username: String,
    /// Password for these Sentinels, unescaped. Default none.
    pub sentinel_password: String,
    /// What the names of all keys and channels begin with. Default `weir`.
    pub prefix: String,
}

impl Default for Redis {
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

impl Redis {
    /// Whether one of the planes is found through Sentinels.
    pub(super) fn has_sentinels(&self) -> bool {
        self.targets()
            .is_some_and(|(directory, bus)| [directory, bus].iter().any(Target::has_sentinels))
    }

    /// Where the directory and the bus are, if there is a Redis.
    pub(crate) fn targets(&self) -> Option<(Target, Target)> {
        let target = |own: &str| {
            let url = if own.is_empty() { &self.url } else { own };
            // Checked when the configuration was loaded.
            let target: Target = url.parse().ok()?;
            Some(target.with_sentinel_credentials(&self.sentinel_username, &self.sentinel_password))
        };
        Some((target(&self.directory_url)?, target(&self.bus_url)?))
    }
}

/// `[log]`: what is logged to standard error, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Form of a log line. Default [`LogFormat::Auto`].
    pub format: LogFormat,
    /// What is logged: a level, or directives such as `info,weir_engine=debug`, in the syntax of
    /// `tracing_subscriber::EnvFilter`. Checked when it is loaded. Default `info`.
    pub filter: String,
}

impl Default for Log {
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
    /// For people where standard error is a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Human,
    /// One flat JSON object a line.
    Json,
}

/// `[telemetry]`: spans, metrics and logs for an OpenTelemetry collector. The standard `OTEL_…`
/// variables are stronger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// Where the collector takes OTLP, such as `http://localhost:4317`; nothing is sent without.
    /// Default none.
    pub otlp_endpoint: String,
    /// How it does. Default gRPC.
    pub otlp_protocol: OtlpProtocol,
    /// The way of one in so many chunks of a track is traced; 0 for none. Default 0.
    pub chunk_sampling: u64,
}

/// How OTLP is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OtlpProtocol {
    /// Over gRPC.
    #[default]
    Grpc,
    /// Over HTTP, as binary Protocol Buffers; the paths of the signals are added to the endpoint.
    Http,
}

/// A duration, written as a whole number of milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        u64::try_from(time.as_millis())
            .unwrap_or(u64::MAX)
            .serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

/// A number whose 0 stands for its absence.
mod zero_is_none {
    use std::num::NonZeroUsize;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        number: &Option<NonZeroUsize>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        number.map_or(0, NonZeroUsize::get).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<NonZeroUsize>, D::Error> {
        usize::deserialize(from).map(NonZeroUsize::new)
    }
}

/// Serialization of address ranges as a list of text. A single address is a range of one.
pub(super) mod ranges {
    use std::net::IpAddr;

    use ipnet::{IpNet, Ipv4Net};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Parses a range.
    pub(in crate::config) fn parse(text: &str) -> Option<IpNet> {
        let one = || text.parse::<IpAddr>().ok().map(IpNet::from);
        text.parse().ok().or_else(one).map(canonical)
    }

    /// Returns the IPv4 range that an IPv4-mapped range stands for (RFC 4291, section 2.5.5.2). Peers
    /// of an IPv6 listener are compared in the same form.
    fn canonical(range: IpNet) -> IpNet {
        let IpNet::V6(mapped) = range else {
            return range;
        };
        let address = mapped.addr().to_ipv4_mapped();
        let length = mapped.prefix_len().checked_sub(96);
        let range_v4 = address
            .zip(length)
            .and_then(|(address, length)| Ipv4Net::new(address, length).ok());
        range_v4.map_or(range, IpNet::V4)
    }

    pub(super) fn serialize<S: Serializer>(ranges: &[IpNet], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(ranges.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let range = |text: &String| {
            parse(text).ok_or_else(|| Error::custom(format!("{text} is no range of addresses")))
        };
        texts.iter().map(range).collect()
    }
}
