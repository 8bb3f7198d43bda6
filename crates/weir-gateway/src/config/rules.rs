//! Rules of the keys: their types and valid values.

use std::fmt;
use std::net::SocketAddr;

use toml::Value;
use tracing_subscriber::EnvFilter;
use weir_protocol::Limits;
use weir_redis::Target;

use super::{formats::ranges, origins};

/// Type and range of a value.
#[derive(Debug)]
pub(super) enum Rule {
    /// Whole number of a unit, between two bounds.
    Number {
        unit: &'static str,
        min: u32,
        max: u64,
    },
    /// `true` or `false`.
    Switch,
    /// Address to listen on.
    Address,
    /// Word from a list.
    Choice(&'static [&'static str]),
    /// Log filter.
    LogFilter,
    /// Redis URL, possibly empty.
    Redis,
    /// Prefix of names in Redis.
    Prefix,
    /// HTTP URL, possibly empty.
    Endpoint,
    /// User name or password, possibly empty.
    Credential,
    /// Address ranges, as a list or as comma-separated text.
    Ranges,
    /// Page origins, in the same form.
    Origins,
}

const fn bytes(min: u32) -> Rule {
    Rule::Number {
        unit: "bytes",
        min,
        max: 1 << 30,
    }
}

const fn count(unit: &'static str, max: u64) -> Rule {
    Rule::Number { unit, min: 1, max }
}

/// Timeout that depends on a client: at most a day.
const TIMEOUT: Rule = count("milliseconds", 24 * 60 * 60 * 1000);

/// Time of a graceful shutdown: at most an hour.
const DRAIN_TIME: Rule = Rule::Number {
    unit: "milliseconds",
    min: 0,
    max: 60 * 60 * 1000,
};

/// Every key with its rule, in the order of the documentation.
pub(super) const KEYS: &[(&str, Rule)] = &[
    ("server.listen", Rule::Address),
    ("server.ops_listen", Rule::Address),
    ("server.max_connections", count("connections", 10_000_000)),
    (
        "server.max_connections_per_address",
        Rule::Number {
            unit: "connections",
            min: 0,
            max: 10_000_000,
        },
    ),
    ("server.trusted_proxies", Rule::Ranges),
    ("server.proxy_protocol", Rule::Choice(&["off", "required"])),
    ("server.header_timeout_ms", TIMEOUT),
    ("server.keep_alive_ms", TIMEOUT),
    ("server.cors_origins", Rule::Origins),
    (
        "server.threads",
        Rule::Number {
            unit: "threads",
            min: 0,
            max: 1024,
        },
    ),
    ("socketio.ping_interval_ms", TIMEOUT),
    ("socketio.ping_timeout_ms", TIMEOUT),
    ("socketio.connect_timeout_ms", TIMEOUT),
    ("socketio.upgrade_timeout_ms", TIMEOUT),
    ("limits.chunk_bytes", bytes(1)),
    // `{"track":16,"ts":1700000000000000,"key":true,"dur":33333}` takes 57.
    ("limits.media_header_bytes", bytes(64)),
    ("limits.websocket_message_bytes", bytes(1024)),
    // Ids that the node generates are shorter.
    (
        "limits.room_id_chars",
        Rule::Number {
            unit: "characters",
            min: 32,
            max: 256,
        },
    ),
    ("limits.name_chars", count("characters", 65_536)),
    // The shortest metadata is `{}`.
    ("limits.metadata_bytes", bytes(2)),
    ("limits.init_bytes", bytes(1)),
    ("limits.message_bytes", bytes(2)),
    // Stock clients have this limit, and close their connection at one more.
    (
        "limits.message_attachments",
        Rule::Number {
            unit: "attachments",
            min: 0,
            max: Limits::MOST_ATTACHMENTS as u64,
        },
    ),
    ("limits.members_per_room", count("members", 1_000_000)),
    // Some clients have this limit, and close their connection at a longer message.
    (
        "limits.room_state_bytes",
        Rule::Number {
            unit: "bytes",
            min: 1024,
            max: Limits::MOST_STATE_BYTES as u64,
        },
    ),
    ("limits.tracks_per_member", count("tracks", 10_000)),
    (
        "limits.ingest_bits_per_second",
        count("bits a second", 1_000_000_000_000),
    ),
    (
        "limits.chunks_per_second",
        count("chunks a second", 10_000_000),
    ),
    (
        "limits.requests_per_second",
        count("requests a second", 10_000_000),
    ),
    ("limits.request_burst", count("requests", 10_000_000)),
    ("egress.queue_bytes", bytes(1)),
    // Below a page, every write would wait until the previous one is acknowledged.
    ("egress.unsent_bytes", bytes(4096)),
    // A year at most.
    (
        "rooms.empty_ttl_ms",
        count("milliseconds", 365 * 24 * 60 * 60 * 1000),
    ),
    ("rooms.create_on_join", Rule::Switch),
    ("rooms.max_rooms", count("rooms", 1_000_000_000)),
    ("redis.url", Rule::Redis),
    ("redis.directory_url", Rule::Redis),
    ("redis.bus_url", Rule::Redis),
    ("redis.sentinel_username", Rule::Credential),
    ("redis.sentinel_password", Rule::Credential),
    ("redis.prefix", Rule::Prefix),
    ("drain.pause_ms", DRAIN_TIME),
    ("drain.window_ms", DRAIN_TIME),
    ("drain.deadline_ms", DRAIN_TIME),
    ("log.format", Rule::Choice(&["auto", "human", "json"])),
    ("log.filter", Rule::LogFilter),
    ("telemetry.otlp_endpoint", Rule::Endpoint),
    ("telemetry.otlp_protocol", Rule::Choice(&["grpc", "http"])),
    (
        "telemetry.chunk_sampling",
        Rule::Number {
            unit: "chunks per traced chunk",
            min: 0,
            max: 1_000_000_000,
        },
    ),
];

impl Rule {
    /// Validates a value. The error describes the valid values.
    pub(super) fn check(&self, value: &Value) -> Result<(), String> {
        let fits = match (self, value) {
            (Self::Number { min, max, .. }, Value::Integer(number)) => {
                u64::try_from(*number).is_ok_and(|n| n >= u64::from(*min) && n <= *max)
            }
            (Self::Address, Value::String(text)) => text.parse::<SocketAddr>().is_ok(),
            (Self::Choice(words), Value::String(text)) => words.contains(&text.as_str()),
            (Self::LogFilter, Value::String(text)) => {
                return check_filter(text).map_err(|why| format!("must be {self} ({why})"));
            }
            (Self::Redis, Value::String(text)) if !text.is_empty() => {
                let target = text.parse::<Target>();
                return target
                    .map(drop)
                    .map_err(|why| format!("must be {self} ({why})"));
            }
            (Self::Switch, Value::Boolean(_))
            | (Self::Redis | Self::Credential, Value::String(_)) => true,
            (Self::Endpoint, Value::String(text)) => {
                let url = text.parse::<http::Uri>().ok();
                let scheme = url.as_ref().and_then(http::Uri::scheme_str);
                let host = url.as_ref().and_then(http::Uri::host);
                text.is_empty() || host.is_some() && scheme == Some("http")
            }
            (Self::Ranges, Value::Array(texts)) => texts.iter().all(|text| {
                let range = text.as_str().and_then(ranges::parse);
                range.is_some()
            }),
            (Self::Origins, Value::Array(texts)) => origins::fit(texts),
            (Self::Prefix, Value::String(text)) => {
                let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
                (1..=64).contains(&text.len()) && text.chars().all(allowed)
            }
            _ => false,
        };
        if fits {
            Ok(())
        } else {
            Err(format!("must be {self}"))
        }
    }

    /// Parses text from the environment or a flag. Text that does not parse stays text, which
    /// [`Rule::check`] refuses.
    pub(super) fn parse(&self, text: &str) -> Value {
        let typed = match self {
            Self::Number { .. } => text.parse().ok().map(Value::Integer),
            Self::Switch => text.parse().ok().map(Value::Boolean),
            Self::Ranges | Self::Origins => {
                let texts = text
                    .split(',')
                    .map(str::trim)
                    .filter(|text| !text.is_empty());
                let texts = texts.map(|text| Value::String(text.to_owned()));
                Some(Value::Array(texts.collect()))
            }
            Self::Address
            | Self::Choice(_)
            | Self::LogFilter
            | Self::Redis
            | Self::Prefix
            | Self::Credential
            | Self::Endpoint => None,
        };
        typed.unwrap_or_else(|| Value::String(text.to_owned()))
    }
}

fn check_filter(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("it is empty; use off to log nothing".to_owned());
    }
    EnvFilter::builder()
        .parse(text)
        .map(drop)
        .map_err(|error| error.to_string())
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number {
                unit: unit @ "connections",
                min: 0,
                max,
            } => {
                write!(
                    f,
                    "a whole number of {unit} from 1 to {max}, or 0 for no limit"
                )
            }
            Self::Number { unit, min, max } => {
                write!(f, "a whole number of {unit} from {min} to {max}")
            }
            Self::Switch => f.write_str("true or false"),
            Self::Address => {
                f.write_str("an IP address and a port, such as \"0.0.0.0:8080\" or \"[::1]:0\"")
            }
            Self::Choice(words) => write!(f, "one of \"{}\"", words.join("\", \"")),
            Self::Redis => f.write_str(
                "a URL such as \"redis://localhost:6379\", \"redis-sentinel://…?master=NAME\" or \
                 \"redis-cluster://…\", or empty",
            ),
            Self::Endpoint => f.write_str("a URL such as \"http://localhost:4317\", or empty"),
            Self::Credential => f.write_str("unescaped text, or empty"),
            Self::Origins => f.write_str(
                "a list of origins in the form of browsers, such as [\"https://app.example\", \
                 \"http://localhost:5173\"], or [\"*\"] for all; in a variable, separated by commas",
            ),
            Self::Ranges => f.write_str(
                "a list of addresses and ranges, such as [\"127.0.0.1\", \"10.0.0.0/8\", \"fd00::/8\"]; in \
                 a variable, separated by commas",
            ),
            Self::Prefix => f.write_str("1 to 64 characters of A-Z a-z 0-9 _ - . :"),
            Self::LogFilter => f.write_str(
                "a level (error, warn, info, debug, trace, off) or directives such as \
                 \"info,weir_engine=debug\"",
            ),
        }
    }
}
