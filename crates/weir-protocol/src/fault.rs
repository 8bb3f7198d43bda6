//! Errors of requests, as clients receive them.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct};

/// Error code of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// Malformed argument. The message names the field.
    BadRequest,
    /// Token missing, invalid or expired.
    Unauthorized,
    /// The token does not allow this.
    Forbidden,
    /// No room has this id.
    RoomNotFound,
    /// No track in the room has this id.
    TrackNotFound,
    /// No member of the room has this id.
    MemberNotFound,
    /// A room with this id exists.
    RoomExists,
    /// The room has its maximum of members.
    RoomFull,
    /// The connection is already in a room.
    AlreadyJoined,
    /// The connection is in no room.
    NotJoined,
    /// Media or an update on someone else's track.
    NotTrackOwner,
    /// Over a limit. The message names the limit and its value.
    TooLarge,
    /// Over a rate limit.
    RateLimited,
    /// The cluster's state is temporarily unavailable.
    Unavailable,
    /// The node drains and accepts no new members.
    Draining,
    /// Error of the server.
    Internal,
}

impl Code {
    /// Every code, in the contract's order.
    pub const ALL: &[Self] = &[
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::RoomNotFound,
        Self::TrackNotFound,
        Self::MemberNotFound,
        Self::RoomExists,
        Self::RoomFull,
        Self::AlreadyJoined,
        Self::NotJoined,
        Self::NotTrackOwner,
        Self::TooLarge,
        Self::RateLimited,
        Self::Unavailable,
        Self::Draining,
        Self::Internal,
    ];

    /// Returns the code as written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::RoomNotFound => "room_not_found",
            Self::TrackNotFound => "track_not_found",
            Self::MemberNotFound => "member_not_found",
            Self::RoomExists => "room_exists",
            Self::RoomFull => "room_full",
            Self::AlreadyJoined => "already_joined",
            Self::NotJoined => "not_joined",
            Self::NotTrackOwner => "not_track_owner",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Draining => "draining",
            Self::Internal => "internal",
        }
    }

    /// Whether the same request may succeed later, unchanged.
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited | Self::Unavailable | Self::Draining | Self::Internal
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Error of a request: a code, and a message that names the object, the value and the limit.
///
/// Displayed as `code: message`, which is also the form of a refused connection's `connect_error`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Fault {
    /// Kind of error.
    pub code: Code,
    /// Message for people.
    pub message: String,
}

impl Fault {
    /// Creates a fault.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// Creates a `bad_request` fault: `problem` describes what is wrong with `field`.
    #[must_use]
    pub fn field(field: &str, problem: impl fmt::Display) -> Self {
        Self::new(Code::BadRequest, format!("{field}: {problem}"))
    }

    /// Creates a `too_large` fault: `field` has `actual` units, of which `limit` are allowed.
    #[must_use]
    pub fn too_large(field: &str, actual: usize, limit: usize, unit: &str) -> Self {
        Self::new(
            Code::TooLarge,
            format!("{field}: {actual} {unit} are over the limit of {limit} {unit}"),
        )
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fault = serializer.serialize_struct("Fault", 3)?;
        fault.serialize_field("code", self.code.as_str())?;
        fault.serialize_field("message", &self.message)?;
        fault.serialize_field("retryable", &self.code.retryable())?;
        fault.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_the_contracts_shape() {
        let json = serde_json::to_string(&Fault::new(Code::RoomNotFound, "no room \"abc\""));
        assert_eq!(
            json.expect("strings serialise"),
            r#"{"code":"room_not_found","message":"no room \"abc\"","retryable":false}"#
        );
    }
}
