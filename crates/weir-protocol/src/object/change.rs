//! Changes of a room, and their order.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Member, MemberId, Room, Track, TrackId, event};

/// Reason for a member's leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeaveReason {
    /// It left by request.
    Left,
    /// Its connection ended.
    Disconnected,
    /// It was removed.
    Kicked,
    /// Its node failed.
    NodeLost,
    /// The room was closed.
    RoomClosed,
}

impl LeaveReason {
    /// Every reason.
    pub const ALL: &[Self] = &[
        Self::Left,
        Self::Disconnected,
        Self::Kicked,
        Self::NodeLost,
        Self::RoomClosed,
    ];

    /// Returns the reason as written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Disconnected => "disconnected",
            Self::Kicked => "kicked",
            Self::NodeLost => "node-lost",
            Self::RoomClosed => "room-closed",
        }
    }
}

impl fmt::Display for LeaveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reason for a room's closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CloseReason {
    /// It was empty for longer than empty rooms are kept.
    Expired,
    /// A client with the permission closed it.
    Closed,
}

/// Change of a room's state.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A member joined.
    MemberJoined(Member),
    /// A member changed its name or metadata.
    MemberUpdated(Member),
    /// A member left. Earlier changes unpublished its tracks.
    MemberLeft {
        /// Member.
        id: MemberId,
        /// Reason.
        reason: LeaveReason,
    },
    /// A track was published.
    TrackPublished(Track),
    /// A track changed.
    TrackUpdated(Track),
    /// A track was unpublished.
    TrackUnpublished {
        /// Track.
        id: TrackId,
        /// Its publisher.
        member: MemberId,
    },
    /// The room's record changed.
    RoomUpdated(Room),
    /// The room was closed.
    RoomClosed {
        /// Reason.
        reason: CloseReason,
    },
}

impl Change {
    /// Returns the name of the change's event.
    #[must_use]
    pub fn event(&self) -> &'static str {
        match self {
            Self::MemberJoined(_) => event::MEMBER_JOINED,
            Self::MemberUpdated(_) => event::MEMBER_UPDATED,
            Self::MemberLeft { .. } => event::MEMBER_LEFT,
            Self::TrackPublished(_) => event::TRACK_PUBLISHED,
            Self::TrackUpdated(_) => event::TRACK_UPDATED,
            Self::TrackUnpublished { .. } => event::TRACK_UNPUBLISHED,
            Self::RoomUpdated(_) => event::ROOM_UPDATED,
            Self::RoomClosed { .. } => event::ROOM_CLOSED,
        }
    }
}

/// Change of a room, with the room's version after it.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomEvent {
    /// Version of the room: 1 for its first change, then one more for each.
    pub version: u64,
    /// Change.
    pub change: Change,
}

/// State of a room at one version.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Record of the room.
    pub room: Room,
    /// Members, in order of arrival.
    pub members: Vec<Member>,
    /// Tracks, by id.
    pub tracks: Vec<Track>,
    /// Version of the room: 0 if it has not changed since its creation.
    pub version: u64,
}
