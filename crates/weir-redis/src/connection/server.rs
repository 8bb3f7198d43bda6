//! Identity of a Redis server.

use std::{fmt, sync::Arc};

/// Server that a node connects to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ServerId {
    /// The only server, or the master of Sentinels. Its address is resolved at each connection.
    Only,
    /// Primary of a Redis Cluster.
    At(Arc<str>, u16),
}

impl ServerId {
    pub(crate) fn at(host: &str, port: u16) -> Self {
        Self::At(host.into(), port)
    }

    /// Returns the server that this server names. An empty host is this server's own, and `?` an
    /// unknown one.
    pub(crate) fn neighbour(&self, host: &str, port: u16) -> Option<Self> {
        match (host, self) {
            ("", Self::At(own, _)) => Some(Self::At(Arc::clone(own), port)),
            ("", Self::Only) | ("?", _) => None,
            _ => Some(Self::at(host, port)),
        }
    }

    /// Returns a cause of failure with the server that it concerns, if there are several.
    pub(crate) fn attribute(&self, cause: &str) -> Arc<str> {
        match self {
            Self::Only => cause.into(),
            Self::At(..) => format!("{self}: {cause}").into(),
        }
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => f.write_str("the server"),
            Self::At(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::At(host, port) => write!(f, "{host}:{port}"),
        }
    }
}
