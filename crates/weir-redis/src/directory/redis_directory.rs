//! The port `Directory` on Redis.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
};
use weir_cluster::{
    BoxFuture, Directory, DirectoryError, Inbox, Joined, NewMember, NewRoom, Sample, Watch,
};
use weir_protocol::{
    Json, LeaveReason, Member, MemberId, Room, RoomId, Snapshot, Track, TrackId, TrackSpec,
    TrackUpdate,
};

use super::{
    counts::DirectoryCounts,
    directory_core::{DirectoryCore, cause},
    node::{lease, seats::OwnSeats},
    reconcile::reconcile_doubtful,
    room::rooms::WatchedRooms,
    store::{RoomStore, StoreLimits},
};
use crate::{
    Health, Target,
    connection::subscriber::{Publish, Subscriber},
    keys::Keys,
};

/// Options of a directory.
#[derive(Debug, Clone)]
pub struct DirectoryOptions {
    /// Prefix of all keys and channels.
    pub prefix: String,
    /// Lifetime of an empty room.
    pub empty_ttl: Duration,
    /// Maximum size of a room's state as JSON, in bytes.
    pub room_state_bytes: usize,
}

/// The rooms of a cluster, in Redis.
///
/// It connects in the background, and reconnects after an interruption. It then reconciles its rooms with Redis:
/// it restores what Redis has lost, and sends exactly the differences to its inbox.
#[derive(Debug)]
pub struct RedisDirectory {
    core: Arc<DirectoryCore>,
    tasks: Vec<AbortHandle>,
}

impl RedisDirectory {
    /// Creates a directory that sends the events of watched rooms to `inbox`.
    ///
    /// # Errors
    /// If the target is invalid; not if it is unreachable now.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(
        target: &Target,
        options: &DirectoryOptions,
        inbox: Arc<dyn Inbox>,
    ) -> Result<Self, DirectoryError> {
        let keys = Keys::new(&options.prefix, target.database);
        let counts = Arc::new(DirectoryCounts::default());
        let limits = StoreLimits {
            empty_ttl: options.empty_ttl,
            state_bytes: options.room_state_bytes,
        };
        let store = RoomStore::new(target, keys, limits, Arc::clone(&counts))?;
        let (health, _) = watch::channel(Health::fails("it was not reached yet"));
        let seats = Arc::new(OwnSeats::new());
        let probes = store.keys.probes(seats.owner().node());
        let core = Arc::new(DirectoryCore {
            store,
            subscriber: Subscriber::new(target, probes),
            rooms: WatchedRooms::new(inbox, Arc::clone(&seats)),
            seats,
            health,
            counts,
            interrupted: Notify::new(),
            audit_due: AtomicBool::new(false),
        });
        let lease = tokio::spawn(lease::keep(Arc::clone(&core)));
        let resubscribed = tokio::spawn(resubscribed(Arc::clone(&core)));
        let probing = core.subscriber.start_probes("events", publish(&core));
        Ok(Self {
            core,
            tasks: vec![lease.abort_handle(), resubscribed.abort_handle(), probing],
        })
    }

    /// Returns a receiver of the directory's health.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.core.health.subscribe()
    }

    /// Returns a receiver of whether every server delivers messages of this node's scripts back to
    /// it.
    pub fn hears(&self) -> watch::Receiver<Health> {
        self.core.subscriber.health()
    }

    /// Returns the node's id, which all of its incarnations share.
    #[must_use]
    pub fn node_id(&self) -> String {
        self.core.seats.owner().node().to_owned()
    }

    /// Returns the node's current incarnation, `NODE.EPOCH`. The epoch increases when its lease has expired.
    #[must_use]
    pub fn node(&self) -> String {
        self.core.seats.owner().to_string()
    }

    /// Returns the counters of leases, the reaper and reconciliations as metrics.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = self.core.counts.samples();
        samples.extend(self.core.subscriber.samples("events"));
        samples
    }
}

impl Drop for RedisDirectory {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Reconciles the rooms whose subscriptions were interrupted, since events may be missing. Requests
/// an audit, since a fail-over may have lost writes.
async fn resubscribed(core: Arc<DirectoryCore>) {
    loop {
        core.interrupted.notified().await;
        core.audit_due.store(true, Ordering::Relaxed);
        reconcile_doubtful(&core).await;
    }
}

/// Returns the function that publishes this node's probes.
fn publish(core: &Arc<DirectoryCore>) -> Publish {
    let core = Arc::clone(core);
    Arc::new(move |channel: Arc<str>, payload| {
        let core = Arc::clone(&core);
        Box::pin(async move {
            let published = core.store.probe(&channel, payload).await;
            published.map_err(|error| cause(&error))
        })
    })
}

impl Directory for RedisDirectory {
    fn create(&self, new: NewRoom) -> BoxFuture<'_, Result<Room, DirectoryError>> {
        Box::pin(self.core.create(new))
    }

    fn join<'a>(
        &'a self,
        room: &'a RoomId,
        member: NewMember,
    ) -> BoxFuture<'a, Result<Joined, DirectoryError>> {
        Box::pin(self.core.join(room, member))
    }

    fn leave<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        reason: LeaveReason,
    ) -> BoxFuture<'a, Result<(), DirectoryError>> {
        Box::pin(self.core.leave(room, member, reason))
    }

    fn update_member<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        name: Option<String>,
        metadata: Option<Json>,
    ) -> BoxFuture<'a, Result<Member, DirectoryError>> {
        Box::pin(self.core.update_member(room, member, name, metadata))
    }

    fn publish<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        spec: TrackSpec,
        limit: usize,
    ) -> BoxFuture<'a, Result<Track, DirectoryError>> {
        Box::pin(self.core.publish(room, member, spec, limit))
    }

    fn update_track<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        track: TrackId,
        update: TrackUpdate,
    ) -> BoxFuture<'a, Result<Track, DirectoryError>> {
        Box::pin(self.core.update_track(room, member, track, update))
    }

    fn unpublish<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        track: TrackId,
    ) -> BoxFuture<'a, Result<(), DirectoryError>> {
        Box::pin(self.core.unpublish(room, member, track))
    }

    fn snapshot<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Snapshot, DirectoryError>> {
        Box::pin(async move {
            let found = self.core.store.snapshot(room).await?;
            Ok(found.snapshot())
        })
    }

    fn watch<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Watch, DirectoryError>> {
        Box::pin(self.core.watch(room))
    }

    fn resign(&self) -> BoxFuture<'_, Result<(), DirectoryError>> {
        // A later heartbeat would find the lease lost, and start another incarnation.
        self.tasks.iter().for_each(AbortHandle::abort);
        Box::pin(async move { self.core.store.resign(&self.core.seats.owner()).await })
    }
}
