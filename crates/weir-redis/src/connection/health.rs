//! Health of a connection to Redis, with the cause of a failure.

use std::sync::Arc;

/// Last known state of a connection to Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Messages and commands of this node get through.
    Works,
    /// Failure, with a short cause.
    Fails(Arc<str>),
}

impl Health {
    /// Returns a failure with this cause.
    #[must_use]
    pub fn fails(cause: &str) -> Self {
        Self::Fails(cause.into())
    }

    /// Returns whether the connection works.
    #[must_use]
    pub fn works(&self) -> bool {
        matches!(self, Self::Works)
    }

    /// Returns the cause of the failure, if any.
    #[must_use]
    pub fn cause(&self) -> Option<&Arc<str>> {
        match self {
            Self::Works => None,
            Self::Fails(cause) => Some(cause),
        }
    }
}
