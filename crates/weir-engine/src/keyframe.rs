//! Requests for key chunks of a track, as they reach its publisher.
//!
//! A key chunk changes the stream for everybody, so no viewer may have one made as often as it likes.
//! The publisher's node sees the requests of the whole cluster and coalesces them.

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

/// How often a publisher is asked for a key chunk of a track at the most.
const PERIOD: Duration = Duration::from_secs(1);

/// A throttle for the requests of one track.
pub(crate) const fn throttle() -> Throttle {
    Throttle::new(PERIOD)
}

impl Room {
    /// Asks a track's publisher for a key chunk.
    ///
    /// # Errors
    /// `unavailable` if it is on another node that cannot be reached.
    pub(crate) async fn request_keyframe(self: &Arc<Self>, track: &Track) -> Result<(), Fault> {
        if self.request_keyframe_here(track) {
            return Ok(());
        }
        let requested = Arc::new(Signal::KeyframeRequested(track.id));
        let delivered = self.link.bus.deliver(&self.link.room, &requested).await;
        delivered.map_err(|error| unavailable(&error))
    }

    /// Asks a track's publisher for a key chunk, now or together with other requests, if it is
    /// connected to this node.
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

/// Tells a publisher of the requests that came meanwhile, if the track is still there then.
async fn tell_later(room: Weak<Room>, track: TrackId, wait: Duration) {
    sleep_until(Instant::now() + wait).await;
    if let Some(room) = room.upgrade()
        && let Ok(track) = room.track(track)
    {
        lock(&track.keyframes).release(room.age());
        room.tell_keyframe_requested(&track);
    }
}
