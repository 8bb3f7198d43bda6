//! Errors of connections.

use std::{io, time::Duration};

use redis::RedisError;

use crate::connection::failure::Refusal;

/// Reason why a connection failed or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    /// IO error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Error of a connection that redis-rs opened, to a Sentinel.
    #[error(transparent)]
    Client(#[from] RedisError),
    /// Error reply to a command that the connection depends on.
    #[error("{0}")]
    Refused(Refusal),
    /// TLS handshake failure.
    #[error("TLS: {0}")]
    Tls(String),
    /// Missing reply.
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
    /// Reply that fits no command.
    #[error("an unexpected reply")]
    Unexpected,
    /// Reply without slots.
    #[error("it is not part of a cluster")]
    NoCluster,
    /// Server that is a replica when it is connected to.
    #[error("the server is a replica")]
    Replica,
    /// Server that became a replica.
    #[error("the server has become a replica")]
    Demoted,
    /// Probes of the node did not come back.
    #[error("its probes did not come back")]
    Deaf,
}

impl ConnectionError {
    /// Returns whether the problem lasts until an operator changes permissions or passwords.
    pub(crate) fn needs_operator(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.needs_operator())
    }
}
