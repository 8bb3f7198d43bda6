//! Handlers of requests.

use std::sync::Arc;

use tracing::{debug, warn};
use weir_cluster::{DirectoryError, NewMember, NewRoom};
use weir_protocol::{
    Ack, Code, CreateRoom, Fault, JoinRoom, LeaveReason, Request, SendMessage, TrackId, TrackSpec,
    UpdateMember, UpdateTrack,
};

use super::{
    reply::Reply,
    session::{Membership, SessionIdentity, SessionState},
};
use crate::{
    engine::LEAVE_FAILED,
    id,
    room::{ActiveRoom, ConnectedMember},
};

/// Maximum number of attempts to create a room with a generated id.
const MADE_IDS: usize = 3;

impl SessionState {
    /// Handles a request, and sends the answer, unless it is an error.
    pub(super) async fn answer(&self, request: Request, reply: &Reply<'_>) -> Result<(), Fault> {
        match request {
            Request::CreateRoom(create) => self.create(create, reply).await,
            Request::JoinRoom(join) => self.join(join, reply).await,
            Request::LeaveRoom => {
                self.membership()?;
                self.leave(LeaveReason::Left).await?;
                reply.done(Ack::Done);
                Ok(())
            }
            Request::UpdateMember(update) => self.update_member(update, reply).await,
            Request::PublishTrack(publish) => self.publish_track(publish.spec, reply).await,
            Request::UpdateTrack(update) => self.update_track(update, reply).await,
            Request::UnpublishTrack(track) => self.unpublish_track(track, reply).await,
            Request::Subscribe(track) => self.subscribe(track, reply).await,
            Request::Unsubscribe(track) => {
                let membership = self.membership()?;
                let Membership { room, member } = &*membership;
                room.track(track)?.unsubscribe(&member.id);
                reply.done(Ack::Done);
                Ok(())
            }
            Request::RequestKeyframe(track) => self.request_keyframe(track, reply).await,
            Request::SendMessage(message) => self.send(&message, reply).await,
        }
    }

    async fn update_member(&self, update: UpdateMember, reply: &Reply<'_>) -> Result<(), Fault> {
        let membership = self.membership()?;
        let Membership { room, member } = &*membership;
        let directory = self.engine.directory();
        let member = directory
            .update_member(&room.address.room, &member.id, update.name, update.metadata)
            .await?;
        reply.done(Ack::Member(&member));
        Ok(())
    }

    async fn publish_track(&self, spec: TrackSpec, reply: &Reply<'_>) -> Result<(), Fault> {
        let membership = self.membership()?;
        let Membership { room, member } = &*membership;
        let directory = self.engine.directory();
        let limit = self.engine.options().limits.tracks_per_member;
        let track = directory
            .publish(&room.address.room, &member.id, spec, limit)
            .await?;
        if let Err(fault) = room.published(track.id).await {
            // Best effort: a failed request changes nothing.
            let _ = directory
                .unpublish(&room.address.room, &member.id, track.id)
                .await;
            return Err(fault);
        }
        self.log_track(&membership, &track.id, "track published");
        reply.done(Ack::Track(&track));
        Ok(())
    }

    async fn update_track(&self, update: UpdateTrack, reply: &Reply<'_>) -> Result<(), Fault> {
        let membership = self.membership()?;
        let Membership { room, member } = &*membership;
        let directory = self.engine.directory();
        let track = directory
            .update_track(&room.address.room, &member.id, update.track, update.update)
            .await?;
        reply.done(Ack::Track(&track));
        Ok(())
    }

    async fn unpublish_track(&self, track: TrackId, reply: &Reply<'_>) -> Result<(), Fault> {
        let membership = self.membership()?;
        let Membership { room, member } = &*membership;
        // Its last chunks come before its end.
        self.flush(room).await;
        let directory = self.engine.directory();
        directory
            .unpublish(&room.address.room, &member.id, track)
            .await?;
        self.log_track(&membership, &track, "track unpublished");
        reply.done(Ack::Done);
        Ok(())
    }

    async fn create(&self, create: CreateRoom, reply: &Reply<'_>) -> Result<(), Fault> {
        let mut made = 0;
        let room = loop {
            let new = NewRoom {
                id: create.id.clone().unwrap_or_else(id::room),
                metadata: create.metadata.clone(),
                max_members: create.max_members,
            };
            made += 1;
            match self.engine.directory().create(new).await {
                Err(DirectoryError::RoomExists(_)) if create.id.is_none() && made < MADE_IDS => {}
                created => break created?,
            }
        };
        reply.done(Ack::Room(&room));
        Ok(())
    }

    async fn join(&self, join: JoinRoom, reply: &Reply<'_>) -> Result<(), Fault> {
        if let Ok(membership) = self.membership() {
            let room = membership.room.address.room.as_str();
            let message = format!("this connection is in room {room:?}; leave it first");
            return Err(Fault::new(Code::AlreadyJoined, message));
        }
        if self.engine.is_draining() {
            let message = "this node takes no new members; connect again to reach another";
            return Err(Fault::new(Code::Draining, message));
        }
        let options = self.engine.options();
        let create = join.create.unwrap_or(options.create_on_join);
        let create_missing =
            create.then(|| u32::try_from(options.limits.members_per_room).unwrap_or(u32::MAX));
        let room = self.engine.room(&join.room);
        let directory = self.engine.directory();
        room.listen(directory).await?;
        let member = Arc::new(ConnectedMember::new(
            id::member(),
            Arc::clone(&self.outlet),
            join.auto_subscribe,
            Arc::clone(&self.publishing),
            &options.limits,
        ));
        let reservation = room.reserve(&member);
        let new = NewMember {
            id: member.id.clone(),
            name: join.name,
            metadata: join.metadata,
            create_missing,
        };
        let joined = directory.join(&join.room, new).await?;
        let claims = reservation.learn(&joined).await;
        if let Err(fault) = reservation.take(&joined, reply) {
            let reason = LeaveReason::Disconnected;
            let _ = directory
                .leave(&room.address.room, &member.id, reason)
                .await;
            return Err(fault);
        }
        drop(claims);
        let SessionIdentity { session, address } = &self.identity;
        let (id, of) = (&member.id, &room.address.room);
        debug!(%session, %address, member = %id, room = %of, "member joined");
        self.enter(Membership { room, member });
        Ok(())
    }

    /// Removes the client from its room, if it is in one.
    pub(super) async fn leave(&self, reason: LeaveReason) -> Result<(), Fault> {
        let Some(membership) = self.exit() else {
            return Ok(());
        };
        let Membership { room, member } = &*membership;
        let SessionIdentity { session, address } = &self.identity;
        let (id, of, why) = (&member.id, &room.address.room, reason.as_str());
        debug!(%session, %address, member = %id, room = %of, reason = why, "member left");
        room.remove(&member.id);
        self.flush(room).await;
        match self
            .engine
            .directory()
            .leave(&room.address.room, &member.id, reason)
            .await
        {
            // Another node, or the end of the room, was first.
            Ok(())
            | Err(
                DirectoryError::MemberNotFound(_)
                | DirectoryError::NotSeatOwner(_)
                | DirectoryError::RoomNotFound(_),
            ) => Ok(()),
            Err(error) => {
                if let Some(held_back) = LEAVE_FAILED.pass() {
                    let (room, member) = (&room.address.room, &member.id);
                    warn!(%error, %room, %member, held_back, "a member could not leave");
                }
                Err(error.into())
            }
        }
    }

    /// Logs a change of one of the member's tracks.
    fn log_track(&self, membership: &Membership, track: &TrackId, what: &'static str) {
        let SessionIdentity { session, address } = &self.identity;
        let (member, room) = (&membership.member.id, &membership.room.address.room);
        debug!(%session, %address, %member, %room, %track, "{what}");
    }

    /// Waits until everything that was sent to other nodes is on the bus, so that later changes
    /// follow it there.
    async fn flush(&self, room: &ActiveRoom) {
        if room.is_elsewhere() {
            self.engine.bus().flush(&room.address.room).await;
        }
    }

    async fn subscribe(&self, track: TrackId, reply: &Reply<'_>) -> Result<(), Fault> {
        let membership = self.membership()?;
        let Membership { room, member } = &*membership;
        let track = room.track(track)?;
        if track.owner == member.id {
            let problem = format!("{} is this member's own", track.id);
            return Err(Fault::field("track", problem));
        }
        room.subscribe(&track, &member.id, || reply.done(Ack::Done))
            .await;
        Ok(())
    }

    async fn request_keyframe(&self, track: TrackId, reply: &Reply<'_>) -> Result<(), Fault> {
        let membership = self.membership()?;
        let room = &membership.room;
        room.request_keyframe(&*room.track(track)?).await?;
        reply.done(Ack::Done);
        Ok(())
    }

    async fn send(&self, message: &SendMessage, reply: &Reply<'_>) -> Result<(), Fault> {
        let membership = self.membership()?;
        let Membership { room, member } = &*membership;
        room.send(&member.id, message).await?;
        reply.done(Ack::Done);
        Ok(())
    }
}
