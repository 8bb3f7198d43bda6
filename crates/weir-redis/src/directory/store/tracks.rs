//! Calls that concern a track. Each is refused unless the writer owns the seat of the track's member.

use weir_cluster::DirectoryError;
use weir_protocol::{MemberId, RoomId, Track, TrackId};

use super::{
    room_store::{Answer, RoomStore, number, text, unreadable},
    script,
};
use crate::directory::{
    node::incarnation::Incarnation,
    room::record::{self, RecordError},
};

impl RoomStore {
    /// Adds a track and returns its id.
    pub(crate) async fn publish(
        &self,
        room: &RoomId,
        owner: &Incarnation,
        track: &Track,
        limit: usize,
    ) -> Result<TrackId, DirectoryError> {
        let arguments = [
            text(track.member.as_str()),
            record::of_track(track).into(),
            number(limit),
        ];
        let answer = self.call(&script::PUBLISH, room, Some(owner), arguments);
        match answer.await? {
            Answer::Done(rest) => {
                let id = rest.into_iter().next().and_then(|id| id.as_u64());
                let id = id.and_then(|id| u32::try_from(id).ok());
                id.map(TrackId)
                    .ok_or_else(|| unreadable(RecordError("a track's id")))
            }
            Answer::Refused(why, _) if why == "too many" => {
                Err(DirectoryError::TooManyTracks { limit })
            }
            Answer::Refused(why, _) => Err(self.refused(&why, room, &track.member, None)),
        }
    }

    /// Replaces a track's record, if it is still the expected one. Returns false if it is not.
    pub(crate) async fn update_track(
        &self,
        room: &RoomId,
        owner: &Incarnation,
        expected: &Track,
        new: &Track,
    ) -> Result<bool, DirectoryError> {
        let member = &expected.member;
        let arguments = [
            text(member.as_str()),
            number(expected.id),
            record::of_track(expected).into(),
            record::of_track(new).into(),
        ];
        let answer = self.call(&script::UPDATE_TRACK, room, Some(owner), arguments);
        match answer.await? {
            Answer::Done(_) => Ok(true),
            Answer::Refused(why, _) if why == "changed" => Ok(false),
            Answer::Refused(why, _) => Err(self.refused(&why, room, member, Some(expected.id))),
        }
    }

    pub(crate) async fn unpublish(
        &self,
        room: &RoomId,
        owner: &Incarnation,
        member: &MemberId,
        track: TrackId,
    ) -> Result<(), DirectoryError> {
        let arguments = [text(member.as_str()), number(track)];
        let answer = self.call(&script::UNPUBLISH, room, Some(owner), arguments);
        match answer.await? {
            Answer::Done(_) => Ok(()),
            Answer::Refused(why, _) => Err(self.refused(&why, room, member, Some(track))),
        }
    }
}
