//! Errors of the directory.

use weir_protocol::{Code, Fault, MemberId, RoomId, TrackId};

/// Error of an operation on the directory. A failed operation has no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// The room does not exist.
    #[error("no room {:?}", .0.as_str())]
    RoomNotFound(RoomId),
    /// A room with that id exists.
    #[error("room {:?} is there already", .0.as_str())]
    RoomExists(RoomId),
    /// The room has its maximum number of members.
    #[error("room {:?} is full: it takes {limit} members", .room.as_str())]
    RoomFull {
        /// Id of the room.
        room: RoomId,
        /// Maximum number of members.
        limit: u32,
    },
    /// The room has no member with that id.
    #[error("no member {:?}", .0.as_str())]
    MemberNotFound(MemberId),
    /// Another node owns the member's seat: the write was fenced off.
    #[error("member {:?} is on another node", .0.as_str())]
    NotSeatOwner(MemberId),
    /// The room has no track with that id.
    #[error("no track {0}")]
    TrackNotFound(TrackId),
    /// Another member publishes the track.
    #[error("track {0} is another member's")]
    NotTrackOwner(TrackId),
    /// The member publishes its maximum number of tracks.
    #[error("tracks: one more is over the limit of {limit} tracks per member")]
    TooManyTracks {
        /// Maximum number of tracks per member.
        limit: usize,
    },
    /// The room's state would exceed its size limit.
    #[error("room state: {bytes} bytes are over the limit of {limit} bytes")]
    StateTooLarge {
        /// Resulting size as JSON; for a join, size of the answer.
        bytes: usize,
        /// Maximum size.
        limit: usize,
    },
    /// The backend has its maximum number of rooms.
    #[error("rooms: one more is over the limit of {limit} rooms; try again when others have ended")]
    TooManyRooms {
        /// Maximum number of rooms.
        limit: usize,
    },
    /// The state is unreachable, for the reason in the text.
    #[error("the directory is unavailable: {0}")]
    Unavailable(String),
}

impl From<DirectoryError> for Fault {
    fn from(error: DirectoryError) -> Self {
        let code = match error {
            DirectoryError::RoomNotFound(_) => Code::RoomNotFound,
            DirectoryError::RoomExists(_) => Code::RoomExists,
            DirectoryError::RoomFull { .. } => Code::RoomFull,
            // For the client it is the same: its member is not seated here any more.
            DirectoryError::MemberNotFound(_) | DirectoryError::NotSeatOwner(_) => {
                Code::MemberNotFound
            }
            DirectoryError::TrackNotFound(_) => Code::TrackNotFound,
            DirectoryError::NotTrackOwner(_) => Code::NotTrackOwner,
            DirectoryError::TooManyTracks { .. } | DirectoryError::StateTooLarge { .. } => {
                Code::TooLarge
            }
            // Not `too_large`: rooms end, so the same request may succeed later.
            DirectoryError::TooManyRooms { .. } => Code::RateLimited,
            DirectoryError::Unavailable(_) => Code::Unavailable,
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_the_thing_and_the_limit() {
        let shown = |error: DirectoryError| Fault::from(error).to_string();
        let room = RoomId::made("abc");
        assert_eq!(
            shown(DirectoryError::RoomNotFound(room.clone())),
            "room_not_found: no room \"abc\""
        );
        assert_eq!(
            shown(DirectoryError::RoomFull { room, limit: 3 }),
            "room_full: room \"abc\" is full: it takes 3 members"
        );
        assert_eq!(
            shown(DirectoryError::TooManyTracks { limit: 16 }),
            "too_large: tracks: one more is over the limit of 16 tracks per member"
        );
    }

    #[test]
    fn a_full_backend_may_be_tried_again() {
        let fault = Fault::from(DirectoryError::TooManyRooms { limit: 7 });
        assert!(fault.code.retryable());
        assert!(fault.message.contains("7 rooms"));
    }
}
