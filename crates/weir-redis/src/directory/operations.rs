//! Operations on rooms that this node's members ask for.

use std::{sync::Arc, time::SystemTime};

use weir_cluster::{DirectoryError, Joined, NewMember, NewRoom, Watch};
use weir_protocol::{
    Json, LeaveReason, Member, MemberId, Room, RoomId, Track, TrackId, TrackSpec, TrackUpdate,
};

use super::{
    directory_core::{ATTEMPTS, DirectoryCore},
    events::RoomEvents,
    reconcile::follow_up,
    room::watched::{FollowUp, WatchedRoom},
};
use crate::keys::Keys;

/// Returns the time in milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

impl DirectoryCore {
    pub(crate) async fn create(&self, new: NewRoom) -> Result<Room, DirectoryError> {
        let room = Room {
            id: new.id,
            metadata: new.metadata,
            max_members: new.max_members,
            created_at: now(),
        };
        self.store.create(&room).await?;
        Ok(room)
    }

    pub(crate) async fn join(
        self: &Arc<Self>,
        room: &RoomId,
        new: NewMember,
    ) -> Result<Joined, DirectoryError> {
        let member = Member {
            id: new.id,
            name: new.name,
            metadata: new.metadata,
            joined_at: now(),
        };
        let create = new.create_missing.map(|max_members| Room {
            id: room.clone(),
            metadata: Json::empty_object(),
            max_members,
            created_at: now(),
        });
        let joining = self.seats.join(room, &member.id);
        let owner = self.seats.owner();
        let entry = Keys::held_entry(room, &member.id);
        // Precedes the seat, so that a reaper finds every seat of a dead node.
        self.store.hold(&owner, vec![entry.clone()]).await?;
        let joined = self.store.join(room, &member, &owner, create.as_ref());
        let found = match joined.await {
            Ok(found) => found,
            // The outcome is unknown: dropping `joining` removes the seat once Redis answers.
            Err(error @ DirectoryError::Unavailable(_)) => return Err(error),
            Err(error) => {
                joining.refused();
                let _ = self.store.let_go(&owner, entry).await;
                return Err(self.explain_missing(room, error));
            }
        };
        let seated = found.members.get(&member.id);
        let member = seated.map_or(member, |seated| seated.member.clone());
        joining.seated(member.clone());
        let snapshot = found.snapshot();
        if let Some(watched) = self.rooms.get(room) {
            let needed = watched.joined(&member.id, found);
            follow_up(self, Arc::clone(&watched), needed);
            // The lease has expired since: the seat is to move to the new incarnation, too.
            if owner != self.seats.owner() {
                self.reconcile_soon(watched);
            }
        }
        Ok(Joined { member, snapshot })
    }

    /// Returns the error of a join. A room that has members of this node exists, whatever Redis says.
    fn explain_missing(self: &Arc<Self>, room: &RoomId, error: DirectoryError) -> DirectoryError {
        if !matches!(error, DirectoryError::RoomNotFound(_)) || self.seats.held(room).is_empty() {
            return error;
        }
        if let Some(watched) = self.rooms.get(room) {
            self.reconcile_soon(watched);
        }
        let why = "Redis has lost the room, which is being restored".to_owned();
        DirectoryError::Unavailable(why)
    }

    fn reconcile_soon(self: &Arc<Self>, watched: Arc<WatchedRoom>) {
        if watched.doubt() {
            follow_up(self, watched, FollowUp::Reconcile);
        }
    }

    /// Removes a member. While Redis is away, the departure stays pending, and the caller need not wait for it.
    pub(crate) async fn leave(
        &self,
        room: &RoomId,
        member: &MemberId,
        reason: LeaveReason,
    ) -> Result<(), DirectoryError> {
        if let Some(watched) = self.rooms.get(room) {
            watched.leaving(member);
        }
        match self.depart(self.seats.depart(room, member, reason)).await {
            Err(DirectoryError::Unavailable(_)) => Ok(()),
            left => left,
        }
    }

    pub(crate) async fn update_member(
        &self,
        room: &RoomId,
        member: &MemberId,
        name: Option<String>,
        metadata: Option<Json>,
    ) -> Result<Member, DirectoryError> {
        let watched = self.rooms.get(room);
        let mut known = watched.and_then(|watched| watched.member(member));
        for _ in 0..ATTEMPTS {
            let old = match known.take() {
                Some(known) => known,
                None => {
                    let mut found = self.store.snapshot(room).await?;
                    let seated = found.members.remove(member);
                    let missing = || DirectoryError::MemberNotFound(member.clone());
                    seated.ok_or_else(missing)?.member
                }
            };
            let mut new = old.clone();
            if let Some(name) = &name {
                new.name.clone_from(name);
            }
            if let Some(metadata) = &metadata {
                new.metadata = metadata.clone();
            }
            let owner = self.seats.owner();
            if self.store.update(room, &owner, &old, &new).await? {
                return Ok(new);
            }
        }
        let why = "the member changes too fast".to_owned();
        Err(DirectoryError::Unavailable(why))
    }

    pub(crate) async fn publish(
        &self,
        room: &RoomId,
        member: &MemberId,
        spec: TrackSpec,
        limit: usize,
    ) -> Result<Track, DirectoryError> {
        let mut track = Track {
            id: TrackId(0),
            member: member.clone(),
            muted: false,
            spec,
        };
        let owner = self.seats.owner();
        track.id = self.store.publish(room, &owner, &track, limit).await?;
        Ok(track)
    }

    pub(crate) async fn update_track(
        &self,
        room: &RoomId,
        member: &MemberId,
        track: TrackId,
        update: TrackUpdate,
    ) -> Result<Track, DirectoryError> {
        let mut known = self
            .rooms
            .get(room)
            .and_then(|watched| watched.track(track));
        for _ in 0..ATTEMPTS {
            let old = match known.take() {
                Some(known) => known,
                None => {
                    let mut found = self.store.snapshot(room).await?;
                    if !found.members.contains_key(member) {
                        return Err(DirectoryError::MemberNotFound(member.clone()));
                    }
                    let found = found.tracks.remove(&track);
                    found.ok_or(DirectoryError::TrackNotFound(track))?
                }
            };
            if old.member != *member {
                return Err(DirectoryError::NotTrackOwner(track));
            }
            let mut new = old.clone();
            update.apply(&mut new);
            let owner = self.seats.owner();
            if self.store.update_track(room, &owner, &old, &new).await? {
                return Ok(new);
            }
        }
        let why = "the track changes too fast".to_owned();
        Err(DirectoryError::Unavailable(why))
    }

    pub(crate) async fn unpublish(
        &self,
        room: &RoomId,
        member: &MemberId,
        track: TrackId,
    ) -> Result<(), DirectoryError> {
        if let Some(watched) = self.rooms.get(room) {
            watched.unpublishing(track);
        }
        let owner = self.seats.owner();
        self.store.unpublish(room, &owner, member, track).await
    }

    /// Watches a room. Returns once its events reach the inbox.
    pub(crate) async fn watch(self: &Arc<Self>, room: &RoomId) -> Result<Watch, DirectoryError> {
        let events = self.rooms.enter(room, |room| {
            let core = Arc::downgrade(self);
            Arc::new(RoomEvents { core, room })
        });
        let (core, id) = (Arc::clone(self), room.clone());
        // The guard counts, even if the subscription fails or this future is dropped.
        let entered = Watch::new(move || core.rooms.exit(&id));
        let channel = self.store.keys.events(room).into();
        let subscribed = self.subscriber.subscribe(channel, events).await;
        let subscribed =
            subscribed.map_err(|error| DirectoryError::Unavailable(error.to_string()))?;
        Ok(Watch::new(move || {
            drop(entered);
            drop(subscribed);
        }))
    }
}
