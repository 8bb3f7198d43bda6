//! A node's directory in memory.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use weir_protocol::{
    Json, LeaveReason, Member, MemberId, Room, RoomId, Snapshot, Track, TrackId, TrackSpec,
    TrackUpdate,
};

use super::{
    hub::{HubState, MemoryHub},
    room::RoomState,
};
use crate::{Directory, DirectoryError, Inbox, Joined, NewMember, NewRoom, Watch};

/// A node's handle on the rooms of a [`MemoryHub`]. Operations never wait.
#[derive(Debug)]
pub struct MemoryDirectory {
    hub: MemoryHub,
    node: u64,
    inbox: Arc<dyn Inbox>,
}

impl MemoryHub {
    /// Returns the directory of a new node, which reports to `inbox`.
    #[must_use]
    pub fn directory(&self, inbox: Arc<dyn Inbox>) -> MemoryDirectory {
        let (hub, node) = (self.clone(), self.shared().number());
        MemoryDirectory { hub, node, inbox }
    }
}

impl MemoryDirectory {
    fn shared(&self) -> &HubState {
        self.hub.shared()
    }

    /// Adds a member to an existing room.
    fn join_room(&self, room: &mut RoomState, new: &NewMember) -> Result<Joined, DirectoryError> {
        let shared = self.shared();
        if let Some(member) = room.own_member(&new.id, self.node)? {
            let snapshot = room.snapshot();
            return Ok(Joined { member, snapshot });
        }
        let member = Member {
            id: new.id.clone(),
            name: new.name.clone(),
            metadata: new.metadata.clone(),
            joined_at: shared.now(),
        };
        room.join(member.clone(), self.node, &shared.watchers)?;
        if let Some(ticket) = room.ticket.take() {
            shared.expiry.cancel(ticket);
        }
        let snapshot = room.snapshot();
        Ok(Joined { member, snapshot })
    }

    fn join_now(&self, id: &RoomId, new: &NewMember) -> Result<Joined, DirectoryError> {
        let shared = self.shared();
        loop {
            let joined = shared.with_room(id, |_, room| self.join_room(room, new));
            let (Err(DirectoryError::RoomNotFound(_)), Some(max_members)) =
                (&joined, new.create_missing)
            else {
                return joined;
            };
            let room = NewRoom {
                id: id.clone(),
                metadata: Json::empty_object(),
                max_members,
            };
            match shared.create_with(room, |room| self.join_room(room, new)) {
                // Another join created the room first. It may be gone again.
                Err(DirectoryError::RoomExists(_)) => {}
                outcome => return outcome,
            }
        }
    }

    fn leave_now(
        &self,
        id: &RoomId,
        member: &MemberId,
        reason: LeaveReason,
    ) -> Result<(), DirectoryError> {
        let shared = self.shared();
        shared.with_room(id, |cell, room| {
            room.leave(member, self.node, reason, &shared.watchers)?;
            if room.is_empty() {
                room.ticket = shared.expiry.enter(cell);
            }
            Ok(())
        })
    }
}

impl Directory for MemoryDirectory {
    fn create(&self, room: NewRoom) -> BoxFuture<'_, Result<Room, DirectoryError>> {
        Box::pin(async move { self.shared().create(room) })
    }

    fn join<'a>(
        &'a self,
        room: &'a RoomId,
        member: NewMember,
    ) -> BoxFuture<'a, Result<Joined, DirectoryError>> {
        Box::pin(async move { self.join_now(room, &member) })
    }

    fn leave<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        reason: LeaveReason,
    ) -> BoxFuture<'a, Result<(), DirectoryError>> {
        Box::pin(async move { self.leave_now(room, member, reason) })
    }

    fn update_member<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        name: Option<String>,
        metadata: Option<Json>,
    ) -> BoxFuture<'a, Result<Member, DirectoryError>> {
        Box::pin(async move {
            let shared = self.shared();
            shared.with_room(room, |_, state| {
                state.update_member(member, self.node, name, metadata, &shared.watchers)
            })
        })
    }

    fn publish<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        spec: TrackSpec,
        limit: usize,
    ) -> BoxFuture<'a, Result<Track, DirectoryError>> {
        Box::pin(async move {
            let shared = self.shared();
            shared.with_room(room, |_, state| {
                state.publish(member, self.node, spec, limit, &shared.watchers)
            })
        })
    }

    fn update_track<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        track: TrackId,
        update: TrackUpdate,
    ) -> BoxFuture<'a, Result<Track, DirectoryError>> {
        Box::pin(async move {
            let shared = self.shared();
            shared.with_room(room, |_, state| {
                state.update_track(member, self.node, track, &update, &shared.watchers)
            })
        })
    }

    fn unpublish<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        track: TrackId,
    ) -> BoxFuture<'a, Result<(), DirectoryError>> {
        Box::pin(async move {
            let shared = self.shared();
            shared.with_room(room, |_, state| {
                state.unpublish(member, self.node, track, &shared.watchers)
            })
        })
    }

    fn snapshot<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Snapshot, DirectoryError>> {
        Box::pin(async move {
            self.shared()
                .with_room(room, |_, state| Ok(state.snapshot()))
        })
    }

    fn watch<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Watch, DirectoryError>> {
        Box::pin(async move {
            let shared = Arc::clone(self.hub.shared());
            shared.watchers.enter(room, self.node, &self.inbox);
            let (room, node) = (room.clone(), self.node);
            Ok(Watch::new(move || shared.watchers.exit(&room, node)))
        })
    }

    fn resign(&self) -> BoxFuture<'_, Result<(), DirectoryError>> {
        Box::pin(async { Ok(()) })
    }
}
