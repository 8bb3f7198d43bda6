//! Where a Redis is, and of which kind: the one reader of its URL, for both planes.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// The port of a Redis whose URL has none.
const PORT: u16 = 6379;

/// The port of a Sentinel whose URL has none.
const SENTINEL_PORT: u16 = 26379;

/// The database beyond which Redis is hardly ever configured; it has 16 by default.
const LAST_DATABASE: u8 = 255;

/// A Redis, as a URL names it:
///
/// - `redis://[user:password@]host[:6379][/database]`: one server.
/// - `redis-sentinel://[user:password@]host[:26379][/database]?master=NAME[&node=host:port]…`: the
///   master of that name, found by Sentinels. User and password are the master's.
/// - `redis-cluster://[user:password@]host[:6379][?node=host:port]…`: a Redis Cluster, by some of
///   its nodes.
///
/// With `rediss` in place of `redis` connections are encrypted with TLS. A host may be an IPv6
/// address in brackets. User, password and the values of parameters may be percent-encoded (RFC
/// 3986, section 2.1), and `+` is itself. Shown without credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// Whether connections are encrypted.
    pub(crate) tls: bool,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    /// Credentials of the Sentinels themselves, which have users of their own.
    pub(crate) sentinel: Credentials,
    /// The number of the database; 0 for a Redis Cluster, which has no other.
    pub(crate) database: u8,
    /// Hosts and ports, one or more: of the server, of Sentinels, or of nodes of the cluster. IPv6
    /// addresses are without brackets.
    pub(crate) nodes: Vec<(String, u16)>,
    pub(crate) topology: Topology,
}

/// A user and its password, as far as there are any.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
}

/// What the nodes of a target are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Topology {
    /// The one server.
    Standalone,
    /// Sentinels, which know where the master of that name is.
    Sentinel { master: String },
    /// Nodes of a Redis Cluster, which know each other.
    Cluster,
}

/// Why a URL names no Redis.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It is no URL.
    #[error("is not a URL: {0}")]
    Url(url::ParseError),
    /// The scheme is another.
    #[error(
        "the scheme {0:?} is none of redis, redis-sentinel, redis-cluster, or these with rediss"
    )]
    Scheme(String),
    /// No host.
    #[error("has no host")]
    Host,
    /// A user name or password with a character that ends it in a URL.
    #[error(
        "the user name or password contains {character:?}, which a URL ends it at; write {escaped} instead"
    )]
    Unescaped {
        /// The character.
        character: char,
        /// Its percent-encoding.
        escaped: String,
    },
    /// A character that URLs cannot contain: their readers leave it out.
    #[error("contains the control character {character:?}; write {escaped} instead")]
    Control {
        /// The character.
        character: char,
        /// Its percent-encoding.
        escaped: String,
    },
    /// What is percent-encoded is not UTF-8.
    #[error("the {0} is not UTF-8 once its %XX are decoded; a % itself is written %25")]
    NotUtf8(&'static str),
    /// A fragment, which nothing of a Redis is.
    #[error("contains '#', which begins a fragment; if it belongs to a value, write %23 instead")]
    Fragment,
    /// The path is not the number of a database.
    #[error("{path:?} is not a database's number from 0 to {LAST_DATABASE}")]
    Database {
        /// The path, without its slash.
        path: String,
    },
    /// A Redis Cluster has database 0 only.
    #[error("a Redis Cluster has no database {0}, only 0")]
    ClusterDatabase(u8),
    /// A parameter that this kind of target does not have, or a malformed one.
    #[error("the parameter {name:?} is unknown or malformed: {right}")]
    Parameter {
        /// The parameter's name. Its value may be a secret.
        name: String,
        /// What would be right.
        right: &'static str,
    },
    /// Sentinels without the name of a master.
    #[error("names Sentinels, but no master; add ?master=NAME")]
    Master,
}

impl Target {
    /// Whether Sentinels say where the server is.
    #[must_use]
    pub fn has_sentinels(&self) -> bool {
        matches!(self.topology, Topology::Sentinel { .. })
    }

    /// The same target, with credentials for its Sentinels, which do not share the server's users.
    /// Empty ones are none.
    #[must_use]
    pub fn with_sentinel_credentials(mut self, username: &str, password: &str) -> Self {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        self.sentinel = Credentials {
            username: given(username),
            password: given(password),
        };
        self
    }

    /// What it is, as the scheme of its URL says: `redis`, `redis-sentinel` or `redis-cluster`.
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
        read(text).map_err(|error| unescaped(text).unwrap_or(error))
    }
}

fn read(text: &str) -> Result<Target, TargetError> {
    let url = Url::parse(text).map_err(TargetError::Url)?;
    let (tls, kind) = match url.scheme().strip_prefix("rediss") {
        Some(kind) => (true, kind),
        None => match url.scheme().strip_prefix("redis") {
            Some(kind) => (false, kind),
            None => return Err(TargetError::Scheme(url.scheme().to_owned())),
        },
    };
    let (mut topology, port) = match kind {
        "" => (Topology::Standalone, PORT),
        "-sentinel" => (
            Topology::Sentinel {
                master: String::new(),
            },
            SENTINEL_PORT,
        ),
        "-cluster" => (Topology::Cluster, PORT),
        _ => return Err(TargetError::Scheme(url.scheme().to_owned())),
    };
    if url.fragment().is_some() {
        return Err(TargetError::Fragment);
    }
    let mut nodes = vec![host_and_port(&url, port).ok_or(TargetError::Host)?];
    let parameters = url.query().unwrap_or_default().split('&');
    for parameter in parameters.filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = decoded("value of a parameter", value)?;
        let refused = |right| TargetError::Parameter {
            name: name.to_owned(),
            right,
        };
        match (name, &mut topology) {
            ("node", Topology::Sentinel { .. } | Topology::Cluster) => {
                let node = Url::parse(&format!("redis://{value}")).ok();
                let plain = |url: &Url| url.path().is_empty() && url.username().is_empty();
                let node = node
                    .filter(plain)
                    .and_then(|node| host_and_port(&node, port));
                nodes.push(node.ok_or_else(|| refused("this target has node=HOST:PORT"))?);
            }
            ("master", Topology::Sentinel { master }) => value.clone_into(master),
            (_, Topology::Standalone) => return Err(refused("this target has no parameters")),
            (_, Topology::Sentinel { .. }) => {
                return Err(refused("this target has master=NAME and node=HOST:PORT"));
            }
            (_, Topology::Cluster) => return Err(refused("this target has node=HOST:PORT")),
        }
    }
    if topology
        == (Topology::Sentinel {
            master: String::new(),
        })
    {
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

/// A URL's host and port; an IPv6 address is without brackets, as it is resolved and as
/// certificates name it.
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

/// Decodes what a URL holds percent-encoded.
fn decoded(what: &'static str, text: &str) -> Result<String, TargetError> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(Into::into).map_err(|_| TargetError::NotUtf8(what))
}

fn escaped(character: char) -> String {
    format!("%{:02X}", u32::from(character))
}

/// Explains a URL that is not understood by a password that is not escaped, if there is an `@`
/// behind what ends the URL's authority (RFC 3986, section 3.2).
fn unescaped(text: &str) -> Option<TargetError> {
    let (_, rest) = text.split_once("://")?;
    let end = rest.find(['/', '?', '#'])?;
    let (before, behind) = rest.split_at(end);
    let character = behind.chars().next()?;
    // Without a colon there is no password before a question mark, but parameters behind it.
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
    fn credentials_hold_every_character() {
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
    fn ipv6_addresses_are_kept_without_brackets() {
        let one = target("redis://[::1]:7000");
        assert_eq!(one.nodes, [("::1".to_owned(), 7000)]);
        assert_eq!(one.to_string(), "redis://[::1]:7000/0");
        let many = target("rediss-cluster://[2001:db8::1]?node=[::2]:3&node=%5B::4%5D");
        let hosts: Vec<_> = many.nodes.iter().map(|(host, _)| host.as_str()).collect();
        assert_eq!(hosts, ["2001:db8::1", "::2", "::4"]);
    }

    #[test]
    fn sentinels_have_credentials_of_their_own() {
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
    fn refusals_say_what_would_be_right() {
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
