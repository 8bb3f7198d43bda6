//! Names of things: rooms, members, tracks.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Fault, Limits};

/// A room's id: 1 to [`Limits::room_id_chars`] characters of `A–Z a–z 0–9 _ -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoomId(Arc<str>);

impl RoomId {
    /// Takes `id` as a room's id; `field` is the name that an error gives it.
    ///
    /// # Errors
    /// `bad_request` for an empty id or other characters, `too_large` for one that is too long.
    pub fn parse(field: &str, id: &str, limits: &Limits) -> Result<Self, Fault> {
        let length = id.chars().count();
        if length > limits.room_id_chars {
            let limit = limits.room_id_chars;
            return Err(Fault::too_large(field, length, limit, "characters"));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if id.is_empty() || !id.chars().all(allowed) {
            let wanted = format!(
                "{id:?} is not 1 to {} characters of A-Z a-z 0-9 _ -",
                limits.room_id_chars
            );
            return Err(Fault::field(field, wanted));
        }
        Ok(Self(id.into()))
    }

    /// An id that is made by the server, which only uses the allowed characters.
    #[must_use]
    pub fn made(id: &str) -> Self {
        Self(id.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A member's id, made by the server and never used again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemberId(Arc<str>);

impl MemberId {
    /// Wraps an id that the server made, or that a client names and that may match none.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A track's id: a small integer, unique in its room and never used there again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrackId(pub u32);

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
