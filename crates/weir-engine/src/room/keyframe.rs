//! Key chunk requests to publishers.
//!
//! A key chunk changes the stream for everybody, so no viewer may trigger them at an arbitrary
//! rate. The publisher's node receives the requests of the whole cluster and coalesces them.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use weir_cluster::Signal;
use weir_core::Throttled;
use weir_protocol::{Fault, Notice, TrackId};

use super::active_room::{ActiveRoom, unavailable};
use crate::{outlet::notify, track::ActiveTrack};

impl ActiveRoom {
    /// Requests a key chunk from a track's publisher.
    ///
    /// # Errors
    /// `unavailable` if the publisher is on another node that cannot be reached.
    pub(crate) async fn request_keyframe(
        self: &Arc<Self>,
        track: &ActiveTrack,
    ) -> Result<(), Fault> {
        if self.request_local_keyframe(track) {
            return Ok(());
        }
        let requested = Arc::new(Signal::KeyframeRequested(track.id));
        let delivered = self.address.signals.deliver(&requested).await;
        delivered.map_err(|error| unavailable(&error))
    }

    /// Requests a key chunk from a track's publisher, at once or coalesced with other requests.
    /// Returns false if the publisher is not connected to this node.
    pub(super) fn request_local_keyframe(self: &Arc<Self>, track: &ActiveTrack) -> bool {
        let (Some(ingest), true) = (track.as_ingest(), self.member(&track.owner).is_some()) else {
            return false;
        };
        let throttled = ingest.keyframes.lock().ask(self.age());
        match throttled {
            Throttled::Now => self.notify_publisher(track),
            Throttled::After(wait) => {
                tokio::spawn(notify_later(Arc::downgrade(self), track.id, wait));
            }
            Throttled::Coalesced => {}
        }
        true
    }

    fn notify_publisher(&self, track: &ActiveTrack) {
        if let Some(owner) = self.member(&track.owner) {
            let notice = Notice::KeyframeRequested(track.id).frame();
            notify(&*owner.outlet, &self.address.counters, &notice);
        }
    }
}

/// Sends the coalesced requests to the publisher after a delay, if the track still exists then.
async fn notify_later(room: Weak<ActiveRoom>, track: TrackId, wait: Duration) {
    sleep_until(Instant::now() + wait).await;
    if let Some(room) = room.upgrade()
        && let Ok(track) = room.track(track)
        && let Some(ingest) = track.as_ingest()
    {
        ingest.keyframes.lock().release(room.age());
        room.notify_publisher(&track);
    }
}
