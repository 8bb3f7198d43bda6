//! Calls that concern a member. Each is refused unless the writer owns the member's seat.

use weir_cluster::DirectoryError;
use weir_protocol::{LeaveReason, Member, MemberId, Room, RoomId, StateSize, Track};

use super::{
    room_store::{Answer, RoomStore, number, text},
    rooms::mirror,
    script,
};
use crate::directory::{
    node::incarnation::Incarnation,
    room::{mirror::Mirror, record},
};

/// Outcome of reclaiming a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reclaimed {
    /// The member has a seat of the current incarnation.
    Seated,
    /// Another node owns the seat.
    OtherNode,
    /// The reaper has removed the seat: this incarnation counts as dead.
    Reaped,
}

impl RoomStore {
    /// Adds a member; `create` is the room to create if it is missing.
    pub(crate) async fn join(
        &self,
        room: &RoomId,
        member: &Member,
        owner: &Incarnation,
        create: Option<&Room>,
    ) -> Result<Mirror, DirectoryError> {
        let arguments = [
            text(member.id.as_str()),
            record::of_member(member).into(),
            create.map_or_else(|| text(""), |room| record::of_room(room).into()),
            create.map_or_else(|| text(""), |room| number(room.max_members)),
            number(StateSize::ANSWER),
        ];
        let answer = self.call(&script::JOIN, room, Some(owner), arguments);
        match answer.await? {
            Answer::Done(hashes) => mirror(hashes),
            Answer::Refused(why, rest) if why == "full" => {
                let limit = rest.into_iter().next().and_then(|limit| limit.as_u64());
                let limit = limit.and_then(|limit| u32::try_from(limit).ok());
                let room = room.clone();
                let limit = limit.unwrap_or_default();
                Err(DirectoryError::RoomFull { room, limit })
            }
            Answer::Refused(why, _) => Err(self.refused(&why, room, &member.id, None)),
        }
    }

    /// Removes a member. With `fence`, delayed writes of the owner no longer seat it again.
    pub(crate) async fn leave(
        &self,
        room: &RoomId,
        owner: &Incarnation,
        member: &MemberId,
        reason: LeaveReason,
        fence: bool,
    ) -> Result<(), DirectoryError> {
        match self.remove(room, owner, member, reason, fence).await? {
            Answer::Done(_) => Ok(()),
            Answer::Refused(why, _) => Err(self.refused(&why, room, member, None)),
        }
    }

    /// Removes the seat of a dead node, or a ghost, and keeps out delayed writes. Returns false if there was no such
    /// seat, or it has another owner by now.
    pub(crate) async fn evict(
        &self,
        room: &RoomId,
        owner: &Incarnation,
        member: &MemberId,
        reason: LeaveReason,
    ) -> Result<bool, DirectoryError> {
        match self.remove(room, owner, member, reason, true).await? {
            Answer::Done(_) => Ok(true),
            Answer::Refused(..) => Ok(false),
        }
    }

    async fn remove(
        &self,
        room: &RoomId,
        owner: &Incarnation,
        member: &MemberId,
        reason: LeaveReason,
        fence: bool,
    ) -> Result<Answer, DirectoryError> {
        let arguments = [
            text(member.as_str()),
            text(reason.as_str()),
            text(if fence { "fence" } else { "" }),
        ];
        let answer = self.call(&script::LEAVE, room, Some(owner), arguments);
        answer.await
    }

    /// Replaces a member's record, if it is still the expected one. Returns false if it is not.
    pub(crate) async fn update(
        &self,
        room: &RoomId,
        owner: &Incarnation,
        expected: &Member,
        new: &Member,
    ) -> Result<bool, DirectoryError> {
        let arguments = [
            text(expected.id.as_str()),
            record::of_member(expected).into(),
            record::of_member(new).into(),
        ];
        let answer = self.call(&script::UPDATE, room, Some(owner), arguments);
        match answer.await? {
            Answer::Done(_) => Ok(true),
            Answer::Refused(why, _) if why == "changed" => Ok(false),
            Answer::Refused(why, _) => Err(self.refused(&why, room, &expected.id, None)),
        }
    }

    /// Seats a member of this node again, with its tracks, or moves its seat to the current incarnation.
    pub(crate) async fn reclaim(
        &self,
        room: &RoomId,
        owner: &Incarnation,
        member: &Member,
        tracks: impl Iterator<Item = &Track>,
    ) -> Result<Reclaimed, DirectoryError> {
        let mut arguments = vec![text(member.id.as_str()), record::of_member(member).into()];
        for track in tracks {
            arguments.push(number(track.id));
            arguments.push(record::of_track(track).into());
        }
        let answer = self.call(&script::RECLAIM, room, Some(owner), arguments);
        match answer.await? {
            Answer::Done(_) => Ok(Reclaimed::Seated),
            Answer::Refused(why, _) if why == "reaped" => Ok(Reclaimed::Reaped),
            Answer::Refused(why, _) => match self.refused(&why, room, &member.id, None) {
                DirectoryError::NotSeatOwner(_) => Ok(Reclaimed::OtherNode),
                error => Err(error),
            },
        }
    }
}
