//! Address and topology of a Redis. Both planes parse their URL here.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// Default port of a Redis server.
const PORT: u16 = 6379;

/// Default port of a Sentinel.
const SENTINEL_PORT: u16 = 26379;

/// Highest accepted database number. Redis has 16 databases by default, and hardly ever more than
/// 256.
const LAST_DATABASE: u8 = 255;

/// Address, credentials and topology of a Redis, parsed from a URL:
///
/// - `redis://[user:password@]host[:6379][/database]`: one server.
/// - `redis-sentinel://[user:password@]host[:26379][/database]?master=NAME[&node=host:port]…`: the
///   named master, located by Sentinels. User and password are the master's.
/// - `redis-cluster://[user:password@]host[:6379][?node=host:port]…`: a Redis Cluster, with some of
///   its nodes as seeds.
///
/// The schemes with `rediss` instead of `redis` encrypt connections with TLS. A host may be an IPv6
/// address in brackets. User, password and parameter values may be percent-encoded (RFC 3986, section
/// 2.1). `+` stands for itself. `Display` omits credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// True if connections are encrypted.
    pub(crate) tls: bool,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    /// Credentials of the Sentinels themselves, which have their own users.
    pub(crate) sentinel: Credentials,
    /// Database number; always 0 for a Redis Cluster, which has no other.
    pub(crate) database: u8,
    /// Hosts and ports, one or more: of the server, of Sentinels, or of nodes of the cluster. IPv6
    /// addresses have no brackets.
    pub(crate) nodes: Vec<(String, u16)>,
    pub(crate) topology: Topology,
}

/// User name and password, each optional.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
}

/// Kind of the target's nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Topology {
    /// Single server.
    Standalone,
    /// Sentinels that know the address of the named master.
    Sentinel { master: String },
    /// Nodes of a Redis Cluster, which know each other.
    Cluster,
}

/// Reason why a URL is not accepted as a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Malformed URL.
    #[error("is not a URL: {0}")]
    Url(url::ParseError),
    /// Unsupported scheme.
    #[error(
        "the scheme {0:?} is none of redis, redis-sentinel, redis-cluster, or these with rediss"
    )]
    Scheme(String),
    /// Missing host.
    #[error("has no host")]
    Host,
    /// Reserved character in the user name or password, at which a URL parser ends it.
    #[error(
        "the user name or password contains {character:?}, which a URL ends it at; write {escaped} instead"
    )]
    Unescaped {
        /// The character.
        character: char,
        /// Its percent-encoding.
        escaped: String,
    },
    /// Control character. URLs cannot contain one, and their parsers drop it.
    #[error("contains the control character {character:?}; write {escaped} instead")]
    Control {
        /// The character.
        character: char,
        /// Its percent-encoding.
        escaped: String,
    },
    /// Percent-encoded bytes that are not UTF-8.
    #[error("the {0} is not UTF-8 once its %XX are decoded; a % itself is written %25")]
    NotUtf8(&'static str),
    /// Fragment, which no part of a target uses.
    #[error("contains '#', which begins a fragment; if it belongs to a value, write %23 instead")]
    Fragment,
    /// Path that is not a database number.
    #[error("{path:?} is not a database's number from 0 to {LAST_DATABASE}")]
    Database {
        /// The path, without its slash.
        path: String,
    },
    /// Database of a Redis Cluster other than 0.
    #[error("a Redis Cluster has no database {0}, only 0")]
    ClusterDatabase(u8),
    /// Parameter that is malformed, or that this kind of target does not have.
    #[error("the parameter {name:?} is unknown or malformed: {right}")]
    Parameter {
        /// Name of the parameter. Its value may be a secret.
        name: String,
        /// Description of the valid parameters.
        right: &'static str,
    },
    /// Sentinels without the name of a master.
    #[error("names Sentinels, but no master; add ?master=NAME")]
    Master,
}

impl Target {
    /// Returns whether Sentinels provide the server's address.
    #[must_use]
    pub fn has_sentinels(&self) -> bool {
        matches!(self.topology, Topology::Sentinel { .. })
    }

    /// Sets the credentials of the Sentinels, which do not share the server's users. An empty
    /// string means no credential.
    #[must_use]
    pub fn with_sentinel_credentials(mut self, username: &str, password: &str) -> Self {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        self.sentinel = Credentials {
            username: given(username),
            password: given(password),
        };
        self
    }

    /// Returns the kind of target as in the scheme of its URL: `redis`, `redis-sentinel` or
    /// `redis-cluster`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.topology {
            Topology::Standalone => "redis",
            Topology::Sentinel { .. } => "redis-sentinel",
            Topology::Cluster => "redis-cluster",
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if let Some(character) = text.chars().find(char::is_ascii_control) {
            return Err(TargetError::Control {
                character,
                escaped: escaped(character),
            });
        }
        parse(text).map_err(|error| unescaped(text).unwrap_or(error))
    }
}

fn parse(text: &str) -> Result<Target, TargetError> {
    let url = Url::parse(text).map_err(TargetError::Url)?;
    let (tls, mut topology, port) = scheme(url.scheme())?;
    if url.fragment().is_some() {
        return Err(TargetError::Fragment);
    }
    let mut nodes = vec![host_and_port(&url, port).ok_or(TargetError::Host)?];
    let parameters = url.query().unwrap_or_default().split('&');
    for parameter in parameters.filter(|parameter| !parameter.is_empty()) {
        nodes.extend(apply(parameter, &mut topology, port)?);
    }
    if matches!(&topology, Topology::Sentinel { master } if master.is_empty()) {
        return Err(TargetError::Master);
    }
    let database = database(url.path())?;
    if topology == Topology::Cluster && database != 0 {
        return Err(TargetError::ClusterDatabase(database));
    }
    let username = decoded("user name", url.username())?;
    let password = url.password().map(|text| decoded("password", text));
    Ok(Target {
        tls,
        username: Some(username).filter(|name| !name.is_empty()),
        password: password.transpose()?,
        sentinel: Credentials::default(),
        database,
        nodes,
        topology,
    })
}

/// Parses a scheme: whether it encrypts, the topology, and the default port.
fn scheme(scheme: &str) -> Result<(bool, Topology, u16), TargetError> {
    let unsupported = || TargetError::Scheme(scheme.to_owned());
    let (tls, kind) = match scheme.strip_prefix("rediss") {
        Some(kind) => (true, kind),
        None => (false, scheme.strip_prefix("redis").ok_or_else(unsupported)?),
    };
    let (topology, port) = match kind {
        "" => (Topology::Standalone, PORT),
        "-sentinel" => {
            let master = String::new();
            (Topology::Sentinel { master }, SENTINEL_PORT)
        }
        "-cluster" => (Topology::Cluster, PORT),
        _ => return Err(unsupported()),
    };
    Ok((tls, topology, port))
}

/// Applies a parameter to the topology, or returns the node that it names.
fn apply(
    parameter: &str,
    topology: &mut Topology,
    port: u16,
) -> Result<Option<(String, u16)>, TargetError> {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    let value = decoded("value of a parameter", value)?;
    let refused = |right| TargetError::Parameter {
        name: name.to_owned(),
        right,
    };
    match (name, topology) {
        ("node", Topology::Sentinel { .. } | Topology::Cluster) => {
            let node = Url::parse(&format!("redis://{value}")).ok();
            let plain = |url: &Url| url.path().is_empty() && url.username().is_empty();
            let node = node.filter(plain);
            let node = node.and_then(|node| host_and_port(&node, port));
            let node = node.ok_or_else(|| refused("this target has node=HOST:PORT"))?;
            Ok(Some(node))
        }
        ("master", Topology::Sentinel { master }) => {
            *master = value;
            Ok(None)
        }
        (_, Topology::Standalone) => Err(refused("this target has no parameters")),
        (_, Topology::Sentinel { .. }) => {
            Err(refused("this target has master=NAME and node=HOST:PORT"))
        }
        (_, Topology::Cluster) => Err(refused("this target has node=HOST:PORT")),
    }
}

/// Returns a URL's host and port. An IPv6 address has no brackets, as for resolution and in
/// certificates.
fn host_and_port(url: &Url, port: u16) -> Option<(String, u16)> {
    let host = match url.host()? {
        Host::Domain("") => return None,
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    Some((host, url.port().unwrap_or(port)))
}

fn database(path: &str) -> Result<u8, TargetError> {
    let path = path.trim_matches('/');
    if path.is_empty() {
        return Ok(0);
    }
    path.parse().map_err(|_| TargetError::Database {
        path: path.to_owned(),
    })
}

/// Percent-decodes a part of a URL.
fn decoded(what: &'static str, text: &str) -> Result<String, TargetError> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(Into::into).map_err(|_| TargetError::NotUtf8(what))
}

fn escaped(character: char) -> String {
    format!("%{:02X}", u32::from(character))
}

/// Attributes a parse error to an unescaped password, if an `@` follows the end of the URL's
/// authority (RFC 3986, section 3.2).
fn unescaped(text: &str) -> Option<TargetError> {
    let (_, rest) = text.split_once("://")?;
    let end = rest.find(['/', '?', '#'])?;
    let (before, behind) = rest.split_at(end);
    let character = behind.chars().next()?;
    // Without a colon there is no password before a question mark, but parameters after it.
    let likely = character != '?' || before.contains(':');
    (likely && behind.contains('@')).then(|| TargetError::Unescaped {
        character,
        escaped: escaped(character),
    })
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.topology {
            Topology::Standalone => "",
            Topology::Sentinel { .. } => "-sentinel",
            Topology::Cluster => "-cluster",
        };
        let s = if self.tls { "s" } else { "" };
        let (host, port) = &self.nodes[0];
        let (open, close) = if host.contains(':') {
            ("[", "]")
        } else {
            ("", "")
        };
        let database = self.database;
        write!(f, "redis{s}{kind}://{open}{host}{close}:{port}/{database}")
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        url.parse().unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn urls_name_servers_sentinels_and_clusters() {
        let one = target("rediss://me:p%40ss+word@cache.local/3");
        assert!(one.tls);
        assert_eq!(one.username.as_deref(), Some("me"));
        assert_eq!(one.password.as_deref(), Some("p@ss+word"));
        assert_eq!(one.database, 3);
        assert_eq!(one.nodes, [("cache.local".to_owned(), 6379)]);
        assert_eq!(one.to_string(), "rediss://cache.local:6379/3");
        let sentinel = target("redis-sentinel://a:1?node=b&node=[::1]:2&master=m");
        assert_eq!(
            sentinel.topology,
            Topology::Sentinel {
                master: "m".to_owned()
            }
        );
        let ports: Vec<_> = sentinel.nodes.iter().map(|(_, port)| *port).collect();
        assert_eq!(ports, [1, 26379, 2]);
        let cluster = target("redis-cluster://:secret@a?node=b:7");
        assert_eq!(cluster.topology, Topology::Cluster);
        assert_eq!(cluster.password.as_deref(), Some("secret"));
        assert_eq!(cluster.nodes.len(), 2);
    }

    #[test]
    fn credentials_may_contain_every_character() {
        let printable = (' '..='~').chain(['ä', '語', '🗝']);
        let every: String = printable.clone().collect();
        let texts = printable.map(|character| format!("a{character}b"));
        for text in texts.chain([every]) {
            let escaped =
                percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC);
            let one = target(&format!("redis://{escaped}:{escaped}@h:1/2"));
            assert_eq!(one.username.as_deref(), Some(&*text));
            assert_eq!(one.password.as_deref(), Some(&*text));
            assert_eq!(one.nodes, [("h".to_owned(), 1)]);
            let raw = format!("redis://u:{text}@h:1/2").parse::<Target>();
            match raw {
                Ok(raw) => assert_eq!(raw.password.as_deref(), Some(&*text)),
                Err(error) => {
                    let refused = error.to_string();
                    let ends = text
                        .chars()
                        .find(|one| "/?#".contains(*one))
                        .expect(&refused);
                    let advice = format!("write %{:02X}", u32::from(ends));
                    assert!(refused.contains(&advice), "{text}: {refused}");
                }
            }
        }
    }

    #[test]
    fn ipv6_addresses_have_no_brackets() {
        let one = target("redis://[::1]:7000");
        assert_eq!(one.nodes, [("::1".to_owned(), 7000)]);
        assert_eq!(one.to_string(), "redis://[::1]:7000/0");
        let many = target("rediss-cluster://[2001:db8::1]?node=[::2]:3&node=%5B::4%5D");
        let hosts: Vec<_> = many.nodes.iter().map(|(host, _)| host.as_str()).collect();
        assert_eq!(hosts, ["2001:db8::1", "::2", "::4"]);
    }

    #[test]
    fn sentinels_have_separate_credentials() {
        let one = target("redis-sentinel://u:p@a?master=m+1%262");
        assert_eq!(
            one.topology,
            Topology::Sentinel {
                master: "m+1&2".to_owned()
            }
        );
        assert!(one.has_sentinels());
        assert!(one.sentinel == Credentials::default());
        let one = one.with_sentinel_credentials("", "s");
        assert_eq!(one.sentinel.username, None);
        assert_eq!(one.sentinel.password.as_deref(), Some("s"));
        assert_eq!(one.password.as_deref(), Some("p"));
        assert_eq!(format!("{one:?}"), "Target(redis-sentinel://a:26379/0)");
    }

    #[test]
    fn errors_name_the_valid_form() {
        for (url, part) in [
            ("redis://:p/w@localhost", "write %2F"),
            ("redis://:12/3@localhost", "write %2F"),
            ("redis://u:12?3@localhost", "write %3F"),
            ("redis://u:12#3@localhost", "write %23"),
            ("redis://u:p@localhost#x", "begins a fragment"),
            ("redis://u:p%FF@localhost", "not UTF-8"),
            ("redis://u:p\tw@localhost", "write %09"),
            ("redis-cluster://a?node=u@b", "node=HOST:PORT"),
            ("localhost", "is not a URL"),
            ("http://localhost", "none of redis"),
            ("redis-ring://localhost", "none of redis"),
            ("redis:///0", "no host"),
            ("redis://localhost/x", "database's number"),
            ("redis://localhost/256", "database's number"),
            ("redis://localhost?node=a", "has no parameters"),
            ("redis-cluster://localhost/1", "no database 1"),
            ("redis-cluster://localhost?master=a", "node=HOST:PORT"),
            ("redis-sentinel://localhost", "?master=NAME"),
            (
                "redis-sentinel://localhost?master=a&node=",
                "node=HOST:PORT",
            ),
        ] {
            let error = url.parse::<Target>().expect_err(url).to_string();
            assert!(error.contains(part), "{url}: {error}");
        }
    }
}
