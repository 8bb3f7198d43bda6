//! A room in use on this node.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::{
    sync::{OnceCell, watch},
    time::{Instant, timeout},
};
use weir_cluster::{BusError, DirectoryError, Signal, Subscription, Watch};
use weir_protocol::{Code, Fault, MemberId, RoomEvent, SendMessage, TrackId};

use super::{member::ConnectedMember, mirror::RoomMirror};
use crate::{
    ByKind,
    relay::{AbortOnDrop, RoomAddress},
    track::ActiveTrack,
};

/// Maximum wait of a subscriber until other nodes publish the tracks on the bus.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Deadline for the event of a change that this node has made.
const ECHO: Duration = Duration::from_millis(1_500);

/// A room and its members that are connected to this node.
#[derive(Debug)]
pub(crate) struct ActiveRoom {
    pub(crate) address: RoomAddress,
    /// Reference time of [`age`](Self::age).
    start: Instant,
    /// Held while members are notified of a change, so that all see one order. Never held across a
    /// call of the directory or the bus.
    mirror: Mutex<RoomMirror>,
    /// Whether the room has members on other nodes.
    elsewhere: Arc<AtomicBool>,
    /// Number of events so far.
    events: watch::Sender<u64>,
    /// Subscriptions to the room, from before the first member of this node joins.
    pub(super) subscriptions: OnceCell<(Watch, Subscription, AbortOnDrop)>,
}

impl ActiveRoom {
    pub(crate) fn new(address: RoomAddress) -> Self {
        let mirror = RoomMirror::new(address.clone());
        Self {
            elsewhere: mirror.is_elsewhere(),
            mirror: Mutex::new(mirror),
            address,
            start: Instant::now(),
            events: watch::Sender::new(0),
            subscriptions: OnceCell::new(),
        }
    }

    pub(super) fn mirror(&self) -> MutexGuard<'_, RoomMirror> {
        self.mirror.lock()
    }

    /// Returns a member that is connected to this node.
    pub(super) fn member(&self, id: &MemberId) -> Option<Arc<ConnectedMember>> {
        self.mirror().seats.get(id).cloned()
    }

    /// Returns the time since this node started to use the room.
    pub(super) fn age(&self) -> Duration {
        self.start.elapsed()
    }

    /// Handles an event of the room; events come one at a time, in order.
    pub(crate) fn event(&self, event: &Arc<RoomEvent>) {
        self.mirror().event(event);
        self.events.send_modify(|count| *count += 1);
    }

    /// Returns whether the room has members on other nodes.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.elsewhere.load(Ordering::Acquire)
    }

    /// Removes a member that has left.
    pub(crate) fn remove(&self, member: &MemberId) {
        self.mirror().remove(member);
    }

    /// Removes all members of this node, and returns their ids.
    pub(crate) fn vacate(&self) -> Vec<MemberId> {
        self.mirror().vacate()
    }

    /// Returns the number of members on this node, and adds their tracks to `tracks`.
    pub(crate) fn census(&self, tracks: &ByKind) -> u64 {
        self.mirror().census(tracks)
    }

    /// Returns a track of the room.
    ///
    /// # Errors
    /// `track_not_found`.
    pub(crate) fn track(&self, id: TrackId) -> Result<Arc<ActiveTrack>, Fault> {
        let track = self.mirror().track(id).cloned();
        track.ok_or_else(|| DirectoryError::TrackNotFound(id).into())
    }

    /// Waits until this node knows a published track, and accepts its chunks.
    ///
    /// # Errors
    /// `unavailable` after a deadline.
    pub(crate) async fn published(&self, id: TrackId) -> Result<(), Fault> {
        let mut events = self.events.subscribe();
        let known = events.wait_for(|_| self.mirror().track(id).is_some());
        match timeout(ECHO, known).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Fault::new(
                Code::Unavailable,
                format!("track {id} was published, but the rooms' events do not come in"),
            )),
        }
    }

    /// Subscribes a member to a track, right after `acknowledge` was called. Has no effect if
    /// either is gone by then.
    pub(crate) async fn subscribe(
        &self,
        track: &ActiveTrack,
        member: &MemberId,
        acknowledge: impl FnOnce(),
    ) {
        let claim = track.claim();
        if let Some(claim) = &claim {
            claim.started(PATIENCE).await;
        }
        let mirror = self.mirror();
        if let (Some(track), Some(member)) = (mirror.track(track.id), mirror.seats.get(member)) {
            let hold = track.hold();
            acknowledge();
            hold.subscribe(&member.id, &member.outlet);
        } else {
            acknowledge();
        }
    }

    /// Returns the reason why a member may not publish chunks of a track that is not its own.
    pub(crate) fn not_own(&self, track: TrackId) -> Fault {
        match self.track(track) {
            Ok(_) => DirectoryError::NotTrackOwner(track).into(),
            Err(missing) => missing,
        }
    }

    /// Sends a message to the members in `to`; without `to`, to everybody but the sender. Recipients
    /// on this node receive it once it is published to the others: if that fails, nobody does.
    ///
    /// # Errors
    /// `member_not_found` for an id in `to` without a member in the room. `unavailable` if other
    /// nodes have recipients but cannot be reached.
    pub(crate) async fn send(&self, from: &MemberId, message: &SendMessage) -> Result<(), Fault> {
        let to = message.to.as_ref().map(|to| {
            let distinct: HashSet<_> = to.iter().map(|id| MemberId::new(id)).collect();
            distinct.into_iter().collect::<Vec<_>>()
        });
        let (elsewhere, version) = self.mirror().audience(to.as_deref())?;
        let message = Arc::new(Signal::Message {
            version,
            from: from.clone(),
            to,
            topic: message.topic.clone(),
            data: message.data.clone(),
            attachments: message.attachments.clone(),
        });
        if elsewhere {
            let delivered = self.address.signals.deliver(&message).await;
            delivered.map_err(|error| unavailable(&error))?;
        }
        self.mirror().message(&message);
        Ok(())
    }
}

/// Converts an error of the bus.
pub(super) fn unavailable(error: &BusError) -> Fault {
    Fault::new(Code::Unavailable, error.to_string())
}
