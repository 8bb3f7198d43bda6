//! Signals between the nodes of a room.

use std::sync::Arc;

use futures_util::future::try_join;
use weir_cluster::{Directory, Signal};
use weir_protocol::{Fault, TrackId};

use super::active_room::{ActiveRoom, unavailable};
use crate::relay::{AbortOnDrop, Inflow, RoomMessage, RoomSink};

/// Capacity of the queue of signals from the bus, in bytes.
const SIGNALS_BYTES: usize = 8 * 1024 * 1024;

impl ActiveRoom {
    /// Subscribes to the room's events and signals, unless this node is subscribed.
    pub(crate) async fn listen(self: &Arc<Self>, directory: &dyn Directory) -> Result<(), Fault> {
        let address = &self.address;
        let listen = || async {
            let inflow = Arc::new(Inflow::new(SIGNALS_BYTES));
            let (this, drained) = (Arc::downgrade(self), Arc::clone(&inflow));
            let handling = tokio::spawn(async move {
                let handle = |message| {
                    if let Some(room) = this.upgrade() {
                        room.handle(message);
                    }
                };
                drained.drain(handle).await;
            });
            let handling = AbortOnDrop(handling.abort_handle());
            let counters = Arc::clone(&address.counters);
            let sink = Arc::new(RoomSink { inflow, counters });
            let listening = async {
                let listening = address.bus.listen(&address.room, sink).await;
                listening.map_err(|error| unavailable(&error))
            };
            let watching = async { directory.watch(&address.room).await.map_err(Fault::from) };
            let (watch, subscription) = try_join(watching, listening).await?;
            Ok((watch, subscription, handling))
        };
        self.subscriptions.get_or_try_init(listen).await.map(|_| ())
    }

    /// Handles a message from the bus.
    fn handle(self: &Arc<Self>, message: RoomMessage) {
        let (signal, arrival) = match message {
            RoomMessage::Signal(signal, arrival) => (signal, arrival),
            RoomMessage::Interrupted => return self.repeat_interest(),
        };
        match *signal {
            Signal::Message { .. } => self.mirror().message(&signal),
            Signal::KeyframeRequested(track) => {
                if let Ok(track) = self.track(track) {
                    self.request_local_keyframe(&track);
                }
            }
            Signal::Wanted { track, beginning } => self.announce(track, beginning),
            Signal::Position {
                track,
                last,
                earlier,
            } => {
                if let Ok(track) = self.track(track) {
                    track.position(last, earlier, arrival);
                }
            }
        }
    }

    /// Publishes to another node that wants a track the chunks that it has missed, then the
    /// position.
    fn announce(&self, id: TrackId, beginning: bool) {
        let Ok(track) = self.track(id) else { return };
        let Some(ingest) = track.as_ingest() else {
            return;
        };
        ingest.announce(beginning, |last, earlier| {
            let position = Signal::Position {
                track: id,
                last,
                earlier,
            };
            // The other node asks again if it is lost.
            let _ = self.address.signals.send(&position);
        });
    }

    /// Tells the publishers' nodes again which tracks this node wants, since they may have
    /// concluded that it wants none.
    fn repeat_interest(&self) {
        let tracks: Vec<_> = self.mirror().tracks().cloned().collect();
        for track in tracks {
            if track.is_subscribed() {
                let (track, beginning) = (track.id, false);
                // Without it, they notice with their next probe.
                let _ = self
                    .address
                    .signals
                    .send(&Signal::Wanted { track, beginning });
            }
        }
    }
}
