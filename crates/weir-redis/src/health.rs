//! Whether a plane of Redis works, and why not.

use std::sync::Arc;

/// The state of a plane, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// What this node sent came back.
    Works,
    /// It does not work; why, in a few words.
    Fails(Arc<str>),
}

impl Health {
    /// A failure with this cause.
    #[must_use]
    pub fn fails(cause: &str) -> Self {
        Self::Fails(cause.into())
    }

    /// Whether it works.
    #[must_use]
    pub fn works(&self) -> bool {
        matches!(self, Self::Works)
    }

    /// Why it does not work; nothing if it does.
    #[must_use]
    pub fn cause(&self) -> Option<&Arc<str>> {
        match self {
            Self::Works => None,
            Self::Fails(cause) => Some(cause),
        }
    }
}
