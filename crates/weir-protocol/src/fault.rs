//! What a client is told when a request fails.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct};

/// An error code of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// Malformed argument; the message names the field.
    BadRequest,
    /// Token missing, invalid or expired.
    Unauthorized,
    /// The token does not allow this.
    Forbidden,
    /// No room of that id.
    RoomNotFound,
    /// No track of that id in the room.
    TrackNotFound,
    /// No member of that id in the room.
    MemberNotFound,
    /// A room of that id is there already.
    RoomExists,
    /// The room has all the members that it takes.
    RoomFull,
    /// The connection is in a room already.
    AlreadyJoined,
    /// The connection is in no room.
    NotJoined,
    /// Media or an update on someone else's track.
    NotTrackOwner,
    /// Over a limit; the message names it and its value.
    TooLarge,
    /// More often than a limit allows.
    RateLimited,
    /// The cluster's state cannot be reached now.
    Unavailable,
    /// This node takes no new members.
    Draining,
    /// A fault of the server.
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

    /// The code as it is written on the wire.
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

    /// Whether the same request may succeed later without being changed.
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

/// Why a request failed: a code and a sentence that names the thing, the value and the limit.
///
/// Shown as `code: message`, which is also the form of a refused connection's `connect_error`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Fault {
    /// What kind of failure it is.
    pub code: Code,
    /// The sentence for people.
    pub message: String,
}

impl Fault {
    /// A fault of the given code.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A malformed argument: `field` is its name and `problem` what is wrong with it.
    #[must_use]
    pub fn field(field: &str, problem: impl fmt::Display) -> Self {
        Self::new(Code::BadRequest, format!("{field}: {problem}"))
    }

    /// `field` has `actual` units where `limit` are allowed.
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
