//! Where a Redis is, and of which kind.

use std::{fmt, str::FromStr};

use url::Url;

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
///   master of that name, found by Sentinels.
/// - `redis-cluster://[user:password@]host[:6379][?node=host:port]…`: a Redis Cluster, by some of
///   its nodes.
///
/// With `rediss` in place of `redis` connections are encrypted with TLS. Shown without the
/// password.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// Whether connections are encrypted.
    pub(crate) tls: bool,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    /// The number of the database; 0 for a Redis Cluster, which has no other.
    pub(crate) database: u8,
    /// Hosts and ports, one or more: of the server, of Sentinels, or of nodes of the cluster.
    pub(crate) nodes: Vec<(String, u16)>,
    pub(crate) topology: Topology,
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
    Url(#[from] url::ParseError),
    /// The scheme is another.
    #[error(
        "the scheme {0:?} is none of redis, redis-sentinel, redis-cluster, or these with rediss"
    )]
    Scheme(String),
    /// No host.
    #[error("has no host")]
    Host,
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
    #[error("{name}={value} is not a parameter that this target takes: {right}")]
    Parameter {
        /// The parameter's name.
        name: String,
        /// Its value.
        value: String,
        /// What would be right.
        right: &'static str,
    },
    /// Sentinels without the name of a master.
    #[error("names Sentinels, but no master; add ?master=NAME")]
    Master,
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let url = Url::parse(text)?;
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
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or(TargetError::Host)?.to_owned();
        let mut nodes = vec![(host, url.port().unwrap_or(port))];
        for (name, value) in url.query_pairs() {
            let refused = |right| TargetError::Parameter {
                name: name.to_string(),
                value: value.to_string(),
                right,
            };
            match (&*name, &mut topology) {
                ("node", Topology::Sentinel { .. } | Topology::Cluster) => {
                    let node = host_and_port(&value, port);
                    nodes.push(node.ok_or_else(|| refused("node=HOST:PORT"))?);
                }
                ("master", Topology::Sentinel { master }) => value.as_ref().clone_into(master),
                (_, Topology::Standalone) => return Err(refused("there are none")),
                (_, Topology::Sentinel { .. }) => {
                    return Err(refused("master=NAME, node=HOST:PORT"));
                }
                (_, Topology::Cluster) => return Err(refused("node=HOST:PORT")),
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
        let decoded = |text: &str| percent_decoded(text);
        Ok(Self {
            tls,
            username: Some(decoded(url.username())).filter(|name| !name.is_empty()),
            password: url.password().map(decoded),
            database,
            nodes,
            topology,
        })
    }
}

fn host_and_port(text: &str, port: u16) -> Option<(String, u16)> {
    // The parser of URLs knows IPv6 addresses in brackets.
    let url = Url::parse(&format!("redis://{text}")).ok()?;
    let host = url.host_str().filter(|host| !host.is_empty())?;
    Some((host.to_owned(), url.port().unwrap_or(port)))
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

/// A user's name or password as it was before it was put into a URL.
fn percent_decoded(text: &str) -> String {
    // What follows the first `=` of a query is decoded, `+` apart, as it is here.
    let query = format!("={}", text.replace('+', "%2B"));
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
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
        write!(f, "redis{s}{kind}://{host}:{port}/{}", self.database)
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
    fn refusals_say_what_would_be_right() {
        for (url, part) in [
            ("localhost", "is not a URL"),
            ("http://localhost", "none of redis"),
            ("redis-ring://localhost", "none of redis"),
            ("redis:///0", "no host"),
            ("redis://localhost/x", "database's number"),
            ("redis://localhost/256", "database's number"),
            ("redis://localhost?node=a", "there are none"),
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
