//! Rate limit of a track's key chunk requests to its publisher.
//!
//! A key chunk changes the stream for everybody, so no viewer may trigger them at an arbitrary
//! rate. The publisher's node receives the requests of the whole cluster and coalesces them.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use weir_cluster::Signal;
use weir_core::{Throttle, Throttled};
use weir_protocol::{Fault, Notice, TrackId};

use crate::{
    lock,
    reply::notify,
    room::{Room, unavailable},
    track::Track,
};

/// Minimum interval between key chunk requests to a publisher, per track.
const PERIOD: Duration = Duration::from_secs(1);

/// Returns a throttle for the requests of one track.
pub(crate) const fn throttle() -> Throttle {
    Throttle::new(PERIOD)
}

impl Room {
    /// Requests a key chunk from a track's publisher.
    ///
    /// # Errors
    /// `unavailable` if the publisher is on another node that cannot be reached.
    pub(crate) async fn request_keyframe(self: &Arc<Self>, track: &Track) -> Result<(), Fault> {
        if self.request_keyframe_here(track) {
            return Ok(());
        }
        let requested = Arc::new(Signal::KeyframeRequested(track.id));
        let delivered = self.link.signals.deliver(&requested).await;
        delivered.map_err(|error| unavailable(&error))
    }

    /// Requests a key chunk from a track's publisher, at once or coalesced with other requests.
    /// Returns false if the publisher is not connected to this node.
    pub(crate) fn request_keyframe_here(self: &Arc<Self>, track: &Track) -> bool {
        if self.seated(&track.owner).is_none() {
            return false;
        }
        let throttled = lock(&track.keyframes).ask(self.age());
        match throttled {
            Throttled::Now => self.tell_keyframe_requested(track),
            Throttled::After(wait) => {
                tokio::spawn(tell_later(Arc::downgrade(self), track.id, wait));
            }
            Throttled::Coalesced => {}
        }
        true
    }

    fn tell_keyframe_requested(&self, track: &Track) {
        if let Some(owner) = self.seated(&track.owner) {
            let notice = Notice::KeyframeRequested(track.id).frame();
            notify(&*owner.outlet, &self.link.counters, &notice);
        }
    }
}

/// Sends the coalesced requests to the publisher after a delay, if the track still exists then.
async fn tell_later(room: Weak<Room>, track: TrackId, wait: Duration) {
    sleep_until(Instant::now() + wait).await;
    if let Some(room) = room.upgrade()
        && let Ok(track) = room.track(track)
    {
        lock(&track.keyframes).release(room.age());
        room.tell_keyframe_requested(&track);
    }
}
