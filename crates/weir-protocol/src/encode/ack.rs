//! Acknowledgements.

use serde::{Serialize, Serializer};

use super::{WireTrack, json};
use crate::{Fault, Frame, Member, Room, Snapshot, Track, binary::Attachments};

/// The answer to a request.
#[derive(Debug, Clone, Copy)]
pub enum Ack<'a> {
    /// `{ ok: true }`
    Done,
    /// `{ ok: true, room }`
    Room(&'a Room),
    /// `{ ok: true, room, self, members, tracks, version }`
    Joined {
        /// The joiner.
        member: &'a Member,
        /// The room's state, the joiner included.
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
    /// Encodes it as the acknowledgement of number `id`.
    #[must_use]
    pub fn frame(&self, id: i64) -> Frame {
        let attachments = Attachments::default();
        let body = json(&[WireAck {
            ack: *self,
            attachments: &attachments,
        }]);
        Frame::new(Some(id), &body, &attachments.into_vec())
    }
}

struct WireAck<'a> {
    ack: Ack<'a>,
    attachments: &'a Attachments,
}

impl Serialize for WireAck<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("ok", &!matches!(self.ack, Ack::Failed(_)))?;
        match self.ack {
            Ack::Done => {}
            Ack::Room(room) => map.serialize_entry("room", room)?,
            Ack::Joined { member, snapshot } => {
                let tracks: Vec<_> = snapshot
                    .tracks
                    .iter()
                    .map(|track| WireTrack::new(track, self.attachments))
                    .collect();
                map.serialize_entry("room", &snapshot.room)?;
                map.serialize_entry("self", member)?;
                map.serialize_entry("members", &snapshot.members)?;
                map.serialize_entry("tracks", &tracks)?;
                map.serialize_entry("version", &snapshot.version)?;
            }
            Ack::Member(member) => map.serialize_entry("member", member)?,
            Ack::Track(track) => {
                map.serialize_entry("track", &WireTrack::new(track, self.attachments))?;
            }
            Ack::Seq(seq) => map.serialize_entry("seq", &seq)?,
            Ack::Failed(fault) => map.serialize_entry("error", fault)?,
        }
        map.end()
    }
}
