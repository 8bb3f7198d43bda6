//! Records in Redis.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use weir_protocol::{Member, MemberId, Room, Track, TrackId, TrackSpec};

/// A value in Redis is not Weir's, or of an unknown version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {0} in Redis")]
pub(crate) struct RecordError(pub(crate) &'static str);

/// Track as seen by clients, without its id, which Redis assigns, and its publisher's.
#[derive(Serialize, Deserialize)]
struct TrackRecord {
    #[serde(flatten)]
    spec: TrackSpec,
    muted: bool,
}

pub(crate) fn text(bytes: &[u8]) -> Result<&str, RecordError> {
    std::str::from_utf8(bytes).map_err(|_| RecordError("text"))
}

fn json(value: &impl Serialize) -> Bytes {
    let json = serde_json::to_vec(value);
    json.expect("records have string keys and finite numbers")
        .into()
}

pub(crate) fn of_room(room: &Room) -> Bytes {
    json(room)
}

pub(crate) fn room(bytes: &Bytes) -> Result<Room, RecordError> {
    serde_json::from_slice(bytes).map_err(|_| RecordError("a room"))
}

pub(crate) fn of_member(member: &Member) -> Bytes {
    json(member)
}

pub(crate) fn member(bytes: &[u8]) -> Result<Member, RecordError> {
    serde_json::from_slice(bytes).map_err(|_| RecordError("a member"))
}

pub(crate) fn of_track(track: &Track) -> Bytes {
    json(&TrackRecord {
        spec: track.spec.clone(),
        muted: track.muted,
    })
}

pub(crate) fn track(id: TrackId, member: MemberId, bytes: &Bytes) -> Result<Track, RecordError> {
    let TrackRecord { spec, muted } =
        serde_json::from_slice(bytes).map_err(|_| RecordError("a track"))?;
    Ok(Track {
        id,
        member,
        spec,
        muted,
    })
}
