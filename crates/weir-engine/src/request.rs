//! What is done for each request.

use std::sync::Arc;

use tracing::{debug, warn};
use weir_cluster::{DirectoryError, NewMember, NewRoom};
use weir_protocol::{
    Ack, Code, CreateRoom, Fault, JoinRoom, LeaveReason, Request, SendMessage, TrackId,
};

use crate::{
    engine::STAYED,
    id,
    member::Member,
    reply::Reply,
    room::Room,
    session::{Client, Membership, Origin},
};

/// How often an id that the server made may turn out to be taken, which does not happen by chance.
const MADE_IDS: usize = 3;

impl Client {
    /// Does what is asked for and sends the answer, unless it is an error.
    pub(crate) async fn answer(&self, request: Request, reply: &Reply<'_>) -> Result<(), Fault> {
        match request {
            Request::CreateRoom(create) => self.create(create, reply).await,
            Request::JoinRoom(join) => self.join(join, reply).await,
            Request::LeaveRoom => {
                self.membership()?;
                self.leave(LeaveReason::Left).await?;
                reply.done(Ack::Done);
                Ok(())
            }
            Request::UpdateMember(update) => {
                let membership = self.membership()?;
                let Membership { room, member } = &*membership;
                let directory = self.engine.directory();
                let member = directory
                    .update_member(&room.link.room, &member.id, update.name, update.metadata)
                    .await?;
                reply.done(Ack::Member(&member));
                Ok(())
            }
            Request::PublishTrack(publish) => {
                let membership = self.membership()?;
                let Membership { room, member } = &*membership;
                let directory = self.engine.directory();
                let limit = self.engine.options().limits.tracks_per_member;
                let track = directory
                    .publish(&room.link.room, &member.id, publish.spec, limit)
                    .await?;
                if let Err(fault) = room.published(track.id).await {
                    // As far as it is in our power, a failed request has changed nothing.
                    let _ = directory
                        .unpublish(&room.link.room, &member.id, track.id)
                        .await;
                    return Err(fault);
                }
                self.log_track(&membership, &track.id, "track published");
                reply.done(Ack::Track(&track));
                Ok(())
            }
            Request::UpdateTrack(update) => {
                let membership = self.membership()?;
                let Membership { room, member } = &*membership;
                let directory = self.engine.directory();
                let track = directory
                    .update_track(&room.link.room, &member.id, update.track, update.update)
                    .await?;
                reply.done(Ack::Track(&track));
                Ok(())
            }
            Request::UnpublishTrack(track) => {
                let membership = self.membership()?;
                let Membership { room, member } = &*membership;
                // Its last chunks come before its end.
                self.flush(room).await;
                let directory = self.engine.directory();
                directory
                    .unpublish(&room.link.room, &member.id, track)
                    .await?;
                self.log_track(&membership, &track, "track unpublished");
                reply.done(Ack::Done);
                Ok(())
            }
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
            let room = membership.room.link.room.as_str();
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
        let member = Arc::new(Member::new(
            id::member(),
            Arc::clone(&self.outlet),
            join.auto_subscribe,
            &options.limits,
        ));
        let seat = room.reserve(&member);
        let new = NewMember {
            id: member.id.clone(),
            name: join.name,
            metadata: join.metadata,
            create_missing,
        };
        let joined = directory.join(&join.room, new).await?;
        let claims = seat.learn(&joined).await;
        if let Err(fault) = seat.take(&joined, reply) {
            let reason = LeaveReason::Disconnected;
            let _ = directory.leave(&room.link.room, &member.id, reason).await;
            return Err(fault);
        }
        drop(claims);
        let Origin { session, address } = &self.origin;
        let (id, of) = (&member.id, &room.link.room);
        debug!(%session, %address, member = %id, room = %of, "member joined");
        self.enter(Membership { room, member });
        Ok(())
    }

    /// Takes the client out of its room, if it is in one.
    pub(crate) async fn leave(&self, reason: LeaveReason) -> Result<(), Fault> {
        let Some(membership) = self.exit() else {
            return Ok(());
        };
        let Membership { room, member } = &*membership;
        let Origin { session, address } = &self.origin;
        let (id, of, why) = (&member.id, &room.link.room, reason.as_str());
        debug!(%session, %address, member = %id, room = %of, reason = why, "member left");
        room.remove(&member.id);
        self.flush(room).await;
        match self
            .engine
            .directory()
            .leave(&room.link.room, &member.id, reason)
            .await
        {
            // Gone is gone, whoever was first.
            Ok(())
            | Err(
                DirectoryError::MemberNotFound(_)
                | DirectoryError::NotSeatOwner(_)
                | DirectoryError::RoomNotFound(_),
            ) => Ok(()),
            Err(error) => {
                if let Some(held_back) = STAYED.pass() {
                    let (room, member) = (&room.link.room, &member.id);
                    warn!(%error, %room, %member, held_back, "a member could not leave");
                }
                Err(error.into())
            }
        }
    }

    /// Logs a change of one of the member's tracks.
    fn log_track(&self, membership: &Membership, track: &TrackId, what: &'static str) {
        let Origin { session, address } = &self.origin;
        let (member, room) = (&membership.member.id, &membership.room.link.room);
        debug!(%session, %address, %member, %room, %track, "{what}");
    }

    /// Waits until other nodes' members are sent what was for them before they are told what comes
    /// next.
    async fn flush(&self, room: &Room) {
        if room.is_elsewhere() {
            self.engine.bus().flush().await;
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
