//! What changes in a room, and in which order.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Member, MemberId, Room, Track, TrackId, event};

/// Why a member is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeaveReason {
    /// It left.
    Left,
    /// Its connection is gone.
    Disconnected,
    /// It was made to leave.
    Kicked,
    /// Its node is gone.
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

    /// The reason as it is written on the wire.
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

/// Why a room was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CloseReason {
    /// Nobody had been in it for longer than an empty room is kept.
    Expired,
    /// Somebody with the right to do so closed it.
    Closed,
}

/// One change of a room's state.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Somebody became a member.
    MemberJoined(Member),
    /// A member changed its name or metadata.
    MemberUpdated(Member),
    /// A member is gone. Its tracks were unpublished by changes before this one.
    MemberLeft {
        /// Who.
        id: MemberId,
        /// Why.
        reason: LeaveReason,
    },
    /// A track is there.
    TrackPublished(Track),
    /// A track changed.
    TrackUpdated(Track),
    /// A track is gone.
    TrackUnpublished {
        /// Which.
        id: TrackId,
        /// Who published it.
        member: MemberId,
    },
    /// The room's record changed.
    RoomUpdated(Room),
    /// The room is gone.
    RoomClosed {
        /// Why.
        reason: CloseReason,
    },
}

impl Change {
    /// The name of the event that tells it.
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

/// A change and the room's version after it.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomEvent {
    /// The room's version: 1 for its first change, one more for each.
    pub version: u64,
    /// What changed.
    pub change: Change,
}

/// The whole state of a room at one version.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The room's record.
    pub room: Room,
    /// Its members, by order of arrival.
    pub members: Vec<Member>,
    /// Its tracks, by id.
    pub tracks: Vec<Track>,
    /// The version that this is the state at; 0 if nothing has changed since the room was created.
    pub version: u64,
}
