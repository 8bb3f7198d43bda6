//! Records as Redis holds them.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use weir_protocol::{Member, MemberId, Room, Track, TrackId, TrackSpec};

/// Redis holds something that is none of ours, or of a version that we do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {0} in Redis")]
pub(crate) struct RecordError(pub(crate) &'static str);

/// A track without its `init`, which follows it as it is.
#[derive(Serialize, Deserialize)]
struct TrackRecord {
    muted: bool,
    spec: TrackSpec,
    /// Whether an `init` follows; it may be empty.
    init: bool,
}

pub(crate) fn text(bytes: &Bytes) -> Result<&str, RecordError> {
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

pub(crate) fn member(bytes: &Bytes) -> Result<Member, RecordError> {
    serde_json::from_slice(bytes).map_err(|_| RecordError("a member"))
}

/// The length of the JSON in 4 bytes, the JSON, and `init`.
pub(crate) fn of_track(track: &Track) -> Bytes {
    let record = json(&TrackRecord {
        muted: track.muted,
        spec: track.spec.clone(),
        init: track.spec.init.is_some(),
    });
    let init = track.spec.init.as_deref().unwrap_or_default();
    let mut bytes = BytesMut::with_capacity(4 + record.len() + init.len());
    bytes.put_u32(u32::try_from(record.len()).unwrap_or(u32::MAX));
    bytes.put_slice(&record);
    bytes.put_slice(init);
    bytes.freeze()
}

pub(crate) fn track(id: TrackId, member: MemberId, bytes: &Bytes) -> Result<Track, RecordError> {
    let wrong = RecordError("a track");
    let (length, _) = bytes.split_first_chunk().ok_or(wrong)?;
    let end = 4 + u32::from_be_bytes(*length) as usize;
    let record = bytes.get(4..end).ok_or(wrong)?;
    let record: TrackRecord = serde_json::from_slice(record).map_err(|_| wrong)?;
    let mut spec = record.spec;
    // Copied, so that the message that it came in need not be kept.
    spec.init = record.init.then(|| Bytes::copy_from_slice(&bytes[end..]));
    Ok(Track {
        id,
        member,
        muted: record.muted,
        spec,
    })
}
