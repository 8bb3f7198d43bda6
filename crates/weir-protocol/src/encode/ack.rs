//! Acknowledgements.

use serde::{Serialize, Serializer};

use super::{frame::Frame, text::json};
use crate::{Fault, Member, Room, Snapshot, Track};

/// Acknowledgement of a request.
#[derive(Debug, Clone, Copy)]
pub enum Ack<'a> {
    /// `{ ok: true }`
    Done,
    /// `{ ok: true, room }`
    Room(&'a Room),
    /// `{ ok: true, room, self, members, tracks, version }`
    Joined {
        /// Member that joined.
        member: &'a Member,
        /// State of the room, including the member.
        snapshot: &'a Snapshot,
    },
    /// `{ ok: true, member }`
    Member(&'a Member),
    /// `{ ok: true, track }`
    Track(&'a Track),
    /// `{ ok: true, seq }`
    Seq(u64),
    /// `{ ok: false, error }`
    Failed(&'a Fault),
}

impl Ack<'_> {
    /// Encodes the acknowledgement of this id.
    #[must_use]
    pub fn frame(&self, id: i64) -> Frame {
        let array = match self {
            // One per chunk, so it bypasses the serializer.
            Self::Seq(seq) => format!(r#"[{{"ok":true,"seq":{seq}}}]"#),
            _ => json(&[self]),
        };
        Frame::new(Some(id), &array, &[])
    }
}

impl Serialize for Ack<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("ok", &!matches!(self, Self::Failed(_)))?;
        match *self {
            Self::Done => {}
            Self::Room(room) => map.serialize_entry("room", room)?,
            Self::Joined { member, snapshot } => {
                map.serialize_entry("room", &snapshot.room)?;
                map.serialize_entry("self", member)?;
                map.serialize_entry("members", &snapshot.members)?;
                map.serialize_entry("tracks", &snapshot.tracks)?;
                map.serialize_entry("version", &snapshot.version)?;
            }
            Self::Member(member) => map.serialize_entry("member", member)?,
            Self::Track(track) => map.serialize_entry("track", track)?,
            Self::Seq(seq) => map.serialize_entry("seq", &seq)?,
            Self::Failed(fault) => map.serialize_entry("error", fault)?,
        }
        map.end()
    }
}
