//! Calls that concern a whole room.

use bytes::Bytes;
use fred::types::Value;
use weir_cluster::DirectoryError;
use weir_protocol::{Room, RoomId};

use super::{
    room_store::{Answer, RoomStore, number, refusal, text, unreadable},
    script,
};
use crate::directory::room::{
    mirror::Mirror,
    record::{self, RecordError},
};

impl RoomStore {
    pub(crate) async fn create(&self, room: &Room) -> Result<(), DirectoryError> {
        let arguments = [record::of_room(room).into(), number(room.max_members)];
        let answer = self.call(&script::CREATE, &room.id, None, arguments);
        match answer.await? {
            Answer::Done(_) => Ok(()),
            Answer::Refused(why, _) => Err(refusal(&why, &room.id)),
        }
    }

    pub(crate) async fn snapshot(&self, room: &RoomId) -> Result<Mirror, DirectoryError> {
        match self.call(&script::SNAPSHOT, room, None, []).await? {
            Answer::Done(hashes) => mirror(hashes),
            Answer::Refused(why, _) => Err(refusal(&why, room)),
        }
    }

    /// Writes a room as a node knows it, unless Redis has the same or a later version.
    pub(crate) async fn restore(&self, known: &Mirror) -> Result<(), DirectoryError> {
        let mut arguments = vec![
            number(known.version),
            record::of_room(&known.room).into(),
            number(known.room.max_members),
            number(known.last_track),
            number(known.arrivals),
            number(known.members.len()),
        ];
        for (id, seated) in &known.members {
            arguments.push(text(id.as_str()));
            arguments.push(seated.seat().into());
            arguments.push(record::of_member(&seated.member).into());
        }
        for (id, track) in &known.tracks {
            arguments.push(number(id));
            arguments.push(text(track.member.as_str()));
            arguments.push(record::of_track(track).into());
        }
        // A refusal means that Redis has the version by now.
        let answer = self.call(&script::RESTORE, &known.room.id, None, arguments);
        answer.await.map(drop)
    }

    /// Raises a room's version, so that there is one for each of so many changes.
    pub(crate) async fn raise(&self, room: &RoomId, by: usize) -> Result<(), DirectoryError> {
        match self.call(&script::RAISE, room, None, [number(by)]).await? {
            Answer::Done(_) => Ok(()),
            Answer::Refused(why, _) => Err(refusal(&why, room)),
        }
    }

    /// Restarts a room's lifetime.
    pub(crate) async fn touch(&self, room: &RoomId) -> Result<(), DirectoryError> {
        self.call(&script::TOUCH, room, None, []).await.map(drop)
    }
}

/// Parses the hashes of a room.
pub(super) fn mirror(hashes: Vec<Value>) -> Result<Mirror, DirectoryError> {
    let hashes: Option<Vec<_>> = hashes.into_iter().map(hash).collect();
    let hashes = hashes.and_then(|hashes| hashes.try_into().ok());
    let hashes = hashes.ok_or_else(|| unreadable(RecordError("a snapshot")))?;
    Mirror::parse(hashes).map_err(unreadable)
}

fn hash(value: Value) -> Option<Vec<(Bytes, Bytes)>> {
    let mut pairs = Vec::new();
    let mut flat = value.into_array().into_iter();
    while let Some(key) = flat.next() {
        pairs.push((
            key.into_owned_bytes()?.into(),
            flat.next()?.into_owned_bytes()?.into(),
        ));
    }
    Some(pairs)
}
