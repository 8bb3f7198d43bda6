//! Port for the state of rooms.

use std::{fmt::Debug, sync::Arc};

use futures_util::future::BoxFuture;
use weir_protocol::{
    Json, LeaveReason, Member, MemberId, Room, RoomEvent, RoomId, Snapshot, Track, TrackId,
    TrackSpec, TrackUpdate,
};

use crate::{DirectoryError, Watch};

/// Room to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoom {
    /// Its id.
    pub id: RoomId,
    /// Metadata from its creator.
    pub metadata: Json,
    /// Maximum number of members, at least 1.
    pub max_members: u32,
}

/// Member to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMember {
    /// Its id, never used before in any room.
    pub id: MemberId,
    /// Display name; may be empty.
    pub name: String,
    /// Metadata from its client.
    pub metadata: Json,
    /// Maximum number of members of the room that is created, with empty metadata, if it does not
    /// exist.
    pub create_missing: Option<u32>,
}

/// Member that has joined.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    /// Record of the member.
    pub member: Member,
    /// State of the room right after the join, the member included.
    pub snapshot: Snapshot,
}

/// Shared state of all rooms of the cluster. An instance belongs to one node and dispatches events
/// to that node's [`Inbox`].
///
/// Each operation is atomic: it checks, changes and increments the room's version in one step.
/// Every node therefore sees the changes of a room in the same order. A room starts at version 0,
/// and each [`Change`](weir_protocol::Change) adds 1. A cancelled operation may or may not have
/// taken effect.
///
/// The node that a member has joined by owns its seat. Only the owner changes or removes the member.
/// Other nodes get [`DirectoryError::NotSeatOwner`], and so does the owner once another node has
/// taken over the seat.
///
/// A room without members expires some time after its creation or after the last member has left. A
/// backend that detects the expiry sends `RoomClosed` to the room's watchers; the room has no
/// members by then. A room created again under the same id starts anew.
///
/// The backend limits the size of a room's state as JSON, `{"room":…,"members":[…],"tracks":[…]}`.
/// An operation that would exceed the limit fails with [`DirectoryError::StateTooLarge`]. For
/// [`join`](Self::join) the size of the whole answer counts, which contains the member twice.
///
/// Every operation fails with [`DirectoryError::Unavailable`] if the state is unreachable. All but
/// [`create`](Self::create) and [`watch`](Self::watch) fail with [`DirectoryError::RoomNotFound`].
pub trait Directory: Send + Sync + Debug {
    /// Creates a room, without an event.
    ///
    /// # Errors
    /// `RoomExists`, `TooManyRooms`, `StateTooLarge`.
    fn create(&self, room: NewRoom) -> BoxFuture<'_, Result<Room, DirectoryError>>;

    /// Adds a member and returns the room's state right after. Joining again by the same node,
    /// under the same id, changes nothing and returns the current state.
    ///
    /// # Errors
    /// `RoomFull`, `StateTooLarge`, `NotSeatOwner`; `TooManyRooms` if the room would have to be
    /// created. A failed join creates no room.
    fn join<'a>(
        &'a self,
        room: &'a RoomId,
        member: NewMember,
    ) -> BoxFuture<'a, Result<Joined, DirectoryError>>;

    /// Removes a member: first each of its tracks, by id, then itself, each with a version of its
    /// own.
    ///
    /// # Errors
    /// `MemberNotFound`, `NotSeatOwner`.
    fn leave<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        reason: LeaveReason,
    ) -> BoxFuture<'a, Result<(), DirectoryError>>;

    /// Updates the given fields of a member. Counts as a change even if they keep their values.
    ///
    /// # Errors
    /// `MemberNotFound`, `NotSeatOwner`, `StateTooLarge`.
    fn update_member<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        name: Option<String>,
        metadata: Option<Json>,
    ) -> BoxFuture<'a, Result<Member, DirectoryError>>;

    /// Adds a track of a member that has fewer than `limit` tracks. The room's first track has id
    /// 1, and ids are never reused in a room.
    ///
    /// # Errors
    /// `MemberNotFound`, `NotSeatOwner`, `TooManyTracks`, `StateTooLarge`.
    fn publish<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        spec: TrackSpec,
        limit: usize,
    ) -> BoxFuture<'a, Result<Track, DirectoryError>>;

    /// Updates the given fields of a member's track. Counts as a change even if they keep their
    /// values.
    ///
    /// # Errors
    /// `MemberNotFound`, `NotSeatOwner`, `TrackNotFound`, `NotTrackOwner`, `StateTooLarge`.
    fn update_track<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        track: TrackId,
        update: TrackUpdate,
    ) -> BoxFuture<'a, Result<Track, DirectoryError>>;

    /// Removes a member's track.
    ///
    /// # Errors
    /// `MemberNotFound`, `NotSeatOwner`, `TrackNotFound`, `NotTrackOwner`.
    fn unpublish<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        track: TrackId,
    ) -> BoxFuture<'a, Result<(), DirectoryError>>;

    /// Returns the state of a room.
    ///
    /// # Errors
    /// Only those of every operation.
    fn snapshot<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Snapshot, DirectoryError>>;

    /// Delivers the events of a room to the node's inbox, from those after this has returned until
    /// the [`Watch`] is dropped. Each is delivered once, however many watches the node holds. The
    /// room need not exist yet, and a watch outlives it.
    ///
    /// A caller that watches, then reads a [`Snapshot`], and drops the events up to its version,
    /// misses nothing.
    ///
    /// # Errors
    /// Only `Unavailable`.
    fn watch<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Watch, DirectoryError>>;

    /// Removes the node from the cluster, after its members have left. Members that it could not
    /// remove are left to other nodes, as after a crash. No operation may follow.
    ///
    /// # Errors
    /// Only `Unavailable`; the node's lease then expires.
    fn resign(&self) -> BoxFuture<'_, Result<(), DirectoryError>>;
}

/// Receiver of the events of the rooms that a node watches.
pub trait Inbox: Send + Sync + Debug {
    /// Receives an event. Calls for one room come one at a time, in the order of versions.
    ///
    /// It must not block and must not call the directory: the room may be locked. Dropping a
    /// [`Watch`] is allowed.
    fn room_event(&self, room: &RoomId, event: &Arc<RoomEvent>);
}
