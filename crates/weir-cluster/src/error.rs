//! Why the directory refuses something.

use weir_protocol::{Code, Fault, MemberId, RoomId, TrackId};

/// Why an operation on the directory failed. A failed operation has changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// No room of that id.
    #[error("no room {:?}", .0.as_str())]
    RoomNotFound(RoomId),
    /// A room of that id is there already.
    #[error("room {:?} is there already", .0.as_str())]
    RoomExists(RoomId),
    /// The room has all the members that it takes.
    #[error("room {:?} is full: it takes {limit} members", .room.as_str())]
    RoomFull {
        /// Which room.
        room: RoomId,
        /// How many members it takes.
        limit: u32,
    },
    /// No member of that id in the room.
    #[error("no member {:?}", .0.as_str())]
    MemberNotFound(MemberId),
    /// Another node owns the member's seat: the write was fenced off.
    #[error("member {:?} is on another node", .0.as_str())]
    NotSeatOwner(MemberId),
    /// No track of that id in the room.
    #[error("no track {0}")]
    TrackNotFound(TrackId),
    /// The track is another member's.
    #[error("track {0} is another member's")]
    NotTrackOwner(TrackId),
    /// The member publishes all the tracks that it may.
    #[error("tracks: one more is over the limit of {limit} tracks per member")]
    TooManyTracks {
        /// How many one member may publish at a time.
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
    /// There are all the rooms that the backend takes.
    #[error("rooms: one more is over the limit of {limit} rooms; try again when others have ended")]
    TooManyRooms {
        /// How many there may be at a time.
        limit: usize,
    },
    /// The cluster's state cannot be reached now; the text says why.
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
    fn a_full_house_may_be_tried_again() {
        let fault = Fault::from(DirectoryError::TooManyRooms { limit: 7 });
        assert!(fault.code.retryable());
        assert!(fault.message.contains("7 rooms"));
    }
}
