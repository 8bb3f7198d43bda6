//! The directory on Redis.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::{sync::watch, task::AbortHandle};
use tracing::{info, warn};
use weir_cluster::{
    BoxFuture, Directory, DirectoryError, Inbox, Joined, NewMember, NewRoom, Sample, Seldom, Watch,
};
use weir_protocol::{
    Json, LeaveReason, Member, MemberId, Room, RoomId, Snapshot, Track, TrackId, TrackSpec,
    TrackUpdate,
};

use super::{
    counts::Counts,
    event::Event,
    lease::{self, node_id},
    reconcile::Left,
    store::Store,
    watched::{Entry, Rooms, Watched},
};
use crate::{
    Health, Target,
    connection::subscriber::{Publish, Subscriber},
    keys::Keys,
};

/// How often an operation is tried whose record somebody else changes at the same time.
pub(crate) const ATTEMPTS: usize = 8;

/// What else writes to Redis must not fill the log.
static STRANGE: Seldom = Seldom::new();

/// How a directory behaves.
#[derive(Debug, Clone)]
pub struct DirectoryOptions {
    /// What the names of all keys and channels begin with.
    pub prefix: String,
    /// How long an empty room is kept.
    pub empty_ttl: Duration,
    /// Maximum size of a room's state as JSON, in bytes.
    pub room_state_bytes: usize,
}

/// The rooms of a cluster, in Redis.
///
/// It connects in the background, and again whenever it has to. After it has, it compares what it
/// knows of the rooms with what Redis does, gives back what Redis has lost, and tells its inbox
/// exactly the differences.
#[derive(Debug)]
pub struct RedisDirectory {
    shared: Arc<Shared>,
    tasks: Vec<AbortHandle>,
}

/// What a directory's tasks share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    subscriber: Subscriber,
    inbox: Arc<dyn Inbox>,
    /// Locked to look a room up, to put one in or to take one out.
    rooms: Mutex<Rooms>,
    /// This node's id, which changes when its lease has run out.
    node: Mutex<String>,
    /// Members that left while Redis was away.
    pub(crate) left: Mutex<Vec<Left>>,
    health: watch::Sender<Health>,
    pub(crate) counts: Counts,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns why an operation failed, without the context that the caller already states.
pub(crate) fn cause(error: &DirectoryError) -> String {
    match error {
        DirectoryError::Unavailable(why) => why.clone(),
        other => other.to_string(),
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

impl RedisDirectory {
    /// A directory that tells `inbox` what happens in the rooms that it watches.
    ///
    /// # Errors
    /// If the target cannot be used at all; not if it cannot be reached now.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(
        target: &Target,
        options: &DirectoryOptions,
        inbox: Arc<dyn Inbox>,
    ) -> Result<Self, DirectoryError> {
        let keys = Keys::new(&options.prefix, target.database);
        let store = Store::new(target, keys, options)?;
        let (health, _) = watch::channel(Health::fails("it was not reached yet"));
        let probes = store.keys.probes(&node_id());
        let shared = Arc::new_cyclic(|shared: &std::sync::Weak<Shared>| {
            let shared = shared.clone();
            let on_message = move |channel: &[u8], payload: Bytes| {
                if let Some(shared) = shared.upgrade() {
                    shared.message(channel, &payload);
                }
            };
            Shared {
                store,
                subscriber: Subscriber::new(target, probes, Arc::new(on_message)),
                inbox,
                rooms: Mutex::default(),
                node: Mutex::new(node_id()),
                left: Mutex::default(),
                health,
                counts: Counts::default(),
            }
        });
        let lease = tokio::spawn(lease::keep(Arc::clone(&shared)));
        let resubscribed = tokio::spawn(resubscribed(Arc::clone(&shared)));
        let publish: Publish = {
            let shared = Arc::clone(&shared);
            Arc::new(move |channel: Arc<str>, payload| {
                let shared = Arc::clone(&shared);
                Box::pin(async move {
                    let published = shared.store.probe(&channel, payload).await;
                    published.map_err(|error| cause(&error))
                })
            })
        };
        let probing = shared.subscriber.start_probes("events", publish);
        Ok(Self {
            shared,
            tasks: vec![lease.abort_handle(), resubscribed.abort_handle(), probing],
        })
    }

    /// Returns a receiver of the directory's health.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// Returns a receiver of whether every server delivers messages of this node's scripts back to
    /// it.
    pub fn hears(&self) -> watch::Receiver<Health> {
        self.shared.subscriber.health()
    }

    /// Returns the node's current id in the cluster, which changes after the node was considered
    /// dead.
    #[must_use]
    pub fn node(&self) -> String {
        self.shared.node()
    }

    /// As metrics: how often the lease was renewed, and was not; whom this node has reaped; and how
    /// often rooms were compared with Redis.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = self.shared.counts.samples();
        samples.extend(self.shared.subscriber.samples("events"));
        samples
    }
}

impl Drop for RedisDirectory {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Repairs all rooms whenever their channels were subscribed to again: events may be missing.
async fn resubscribed(shared: Arc<Shared>) {
    let mut interrupted = shared.subscriber.interrupted();
    while interrupted.changed().await.is_ok() {
        shared.repair_all().await;
    }
}

impl Shared {
    /// This node's id now.
    pub(crate) fn node(&self) -> String {
        lock(&self.node).clone()
    }

    /// Takes another id: the old one is taken for dead.
    pub(crate) fn renew_node(&self) -> String {
        let id = node_id();
        lock(&self.node).clone_from(&id);
        id
    }

    pub(crate) fn set_health(&self, health: Health) {
        self.health.send_if_modified(|known| {
            let changed = *known != health;
            if changed && health.works() {
                info!("the directory is reached");
            }
            *known = health;
            changed
        });
    }

    pub(crate) fn watched(&self, room: &RoomId) -> Option<Arc<Watched>> {
        let rooms = lock(&self.rooms);
        rooms.get(room).map(|entry| Arc::clone(&entry.watched))
    }

    /// The rooms that are watched.
    pub(crate) fn all(&self) -> Vec<Arc<Watched>> {
        let rooms = lock(&self.rooms);
        rooms
            .values()
            .map(|entry| Arc::clone(&entry.watched))
            .collect()
    }

    /// Takes a message of a room's channel.
    fn message(self: &Arc<Self>, channel: &[u8], payload: &Bytes) {
        let channel = std::str::from_utf8(channel).unwrap_or_default();
        let Some(room) = self.store.keys.room_of(channel) else {
            return self.subscriber.probed(channel, payload);
        };
        let Some(watched) = self.watched(&room) else {
            return;
        };
        match Event::read(payload) {
            Ok(event) => {
                if watched.take(event) {
                    tokio::spawn(Arc::clone(self).repair(watched));
                }
            }
            Err(error) => {
                if let Some(held_back) = STRANGE.pass() {
                    let room = &watched.room;
                    warn!(%error, %room, held_back, "an event was not understood");
                }
            }
        }
    }

    async fn join(
        self: &Arc<Self>,
        room: &RoomId,
        new: NewMember,
    ) -> Result<Joined, DirectoryError> {
        let node = self.node();
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
        let entry = Keys::held_entry(room, &member.id);
        // Before it is one, so that a node that dies in between leaves no ghost.
        self.store.hold(&node, vec![entry.clone()]).await?;
        let joined = self.store.join(room, &member, &node, create.as_ref()).await;
        let found = match joined {
            Ok(found) => found,
            Err(error @ DirectoryError::Unavailable(_)) => {
                // It may have happened all the same.
                let left = Left::new(room, &member.id, LeaveReason::Disconnected);
                lock(&self.left).push(left);
                return Err(error);
            }
            Err(error) => {
                let _ = self.store.let_go(&node, entry).await;
                return Err(error);
            }
        };
        let seated = found.members.get(&member.id);
        let member = seated.map_or(member, |seated| seated.member.clone());
        let snapshot = found.snapshot();
        if let Some(watched) = self.watched(room)
            && watched.joined(&member.id, found)
        {
            tokio::spawn(Arc::clone(self).repair(watched));
        }
        Ok(Joined { member, snapshot })
    }

    async fn update_member(
        &self,
        room: &RoomId,
        member: &MemberId,
        name: Option<String>,
        metadata: Option<Json>,
    ) -> Result<Member, DirectoryError> {
        let mut known = self
            .watched(room)
            .and_then(|watched| watched.member(member));
        for _ in 0..ATTEMPTS {
            let was = match known.take() {
                Some(known) => known,
                None => {
                    let mut found = self.store.snapshot(room).await?;
                    let seated = found.members.remove(member);
                    let missing = || DirectoryError::MemberNotFound(member.clone());
                    seated.ok_or_else(missing)?.member
                }
            };
            let mut shall_be = was.clone();
            if let Some(name) = &name {
                shall_be.name.clone_from(name);
            }
            if let Some(metadata) = &metadata {
                shall_be.metadata = metadata.clone();
            }
            if self.store.update(room, &was, &shall_be).await? {
                return Ok(shall_be);
            }
        }
        Err(DirectoryError::Unavailable(
            "the member changes too fast".to_owned(),
        ))
    }

    async fn update_track(
        &self,
        room: &RoomId,
        member: &MemberId,
        track: TrackId,
        update: TrackUpdate,
    ) -> Result<Track, DirectoryError> {
        let mut known = self.watched(room).and_then(|watched| watched.track(track));
        for _ in 0..ATTEMPTS {
            let was = match known.take() {
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
            if was.member != *member {
                return Err(DirectoryError::NotTrackOwner(track));
            }
            let mut shall_be = was.clone();
            update.apply(&mut shall_be);
            if self.store.update_track(room, &was, &shall_be).await? {
                return Ok(shall_be);
            }
        }
        Err(DirectoryError::Unavailable(
            "the track changes too fast".to_owned(),
        ))
    }

    /// Takes a room into watch; answers once its events are told.
    async fn watch(self: &Arc<Self>, room: &RoomId) -> Result<Watch, DirectoryError> {
        let watched = {
            let mut rooms = lock(&self.rooms);
            let entry = rooms.entry(room.clone()).or_insert_with(|| Entry {
                watched: Arc::new(Watched::new(room.clone(), Arc::clone(&self.inbox))),
                guards: 0,
            });
            entry.guards += 1;
            Arc::clone(&entry.watched)
        };
        let shared = Arc::clone(self);
        let room = room.clone();
        // From here on the guard counts the room out again, whatever happens.
        let watch = Watch::new(move || {
            let mut rooms = lock(&shared.rooms);
            if let Some(entry) = rooms.get_mut(&room) {
                entry.guards -= 1;
                if entry.guards == 0 {
                    rooms.remove(&room);
                    shared
                        .subscriber
                        .unsubscribe(&shared.store.keys.events(&room));
                }
            }
        });
        let channel = self.store.keys.events(&watched.room);
        self.subscriber
            .subscribe(&channel)
            .await
            .map_err(|error| DirectoryError::Unavailable(error.to_string()))?;
        Ok(watch)
    }
}

impl Directory for RedisDirectory {
    fn create(&self, new: NewRoom) -> BoxFuture<'_, Result<Room, DirectoryError>> {
        Box::pin(async move {
            let room = Room {
                id: new.id,
                metadata: new.metadata,
                max_members: new.max_members,
                created_at: now(),
            };
            self.shared.store.create(&room).await?;
            Ok(room)
        })
    }

    fn join<'a>(
        &'a self,
        room: &'a RoomId,
        member: NewMember,
    ) -> BoxFuture<'a, Result<Joined, DirectoryError>> {
        Box::pin(self.shared.join(room, member))
    }

    fn leave<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        reason: LeaveReason,
    ) -> BoxFuture<'a, Result<(), DirectoryError>> {
        Box::pin(async move {
            let watched = self.shared.watched(room);
            if let Some(watched) = &watched {
                watched.leaving(member);
            }
            match self.shared.remove(Left::new(room, member, reason)).await {
                // It is done when Redis is back; there is nothing that the caller could do.
                Err(DirectoryError::Unavailable(_)) => Ok(()),
                left => left,
            }
        })
    }

    fn update_member<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        name: Option<String>,
        metadata: Option<Json>,
    ) -> BoxFuture<'a, Result<Member, DirectoryError>> {
        Box::pin(self.shared.update_member(room, member, name, metadata))
    }

    fn publish<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        spec: TrackSpec,
        limit: usize,
    ) -> BoxFuture<'a, Result<Track, DirectoryError>> {
        Box::pin(async move {
            let mut track = Track {
                id: TrackId(0),
                member: member.clone(),
                muted: false,
                spec,
            };
            track.id = self.shared.store.publish(room, &track, limit).await?;
            Ok(track)
        })
    }

    fn update_track<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        track: TrackId,
        update: TrackUpdate,
    ) -> BoxFuture<'a, Result<Track, DirectoryError>> {
        Box::pin(self.shared.update_track(room, member, track, update))
    }

    fn unpublish<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        track: TrackId,
    ) -> BoxFuture<'a, Result<(), DirectoryError>> {
        Box::pin(async move {
            if let Some(watched) = self.shared.watched(room) {
                watched.unpublishing(track);
            }
            self.shared.store.unpublish(room, member, track).await
        })
    }

    fn snapshot<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Snapshot, DirectoryError>> {
        Box::pin(async move {
            let found = self.shared.store.snapshot(room).await?;
            Ok(found.snapshot())
        })
    }

    fn watch<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Watch, DirectoryError>> {
        Box::pin(self.shared.watch(room))
    }

    fn resign(&self) -> BoxFuture<'_, Result<(), DirectoryError>> {
        // Whoever renewed the lease after this would take itself for dead.
        self.tasks.iter().for_each(AbortHandle::abort);
        Box::pin(async move { self.shared.store.resign(&self.shared.node()).await })
    }
}
