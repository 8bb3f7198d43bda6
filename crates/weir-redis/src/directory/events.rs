//! Receiver of a watched room's events.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use tracing::warn;
use weir_cluster::LogThrottle;

use super::{
    directory_core::DirectoryCore,
    reconcile::follow_up,
    room::{event::Event, watched::WatchedRoom},
};
use crate::connection::wire::MessageSink;

/// Limits the log: other programs may publish on the channels.
static UNPARSED: LogThrottle = LogThrottle::new();

/// Receiver of a room's channel: forwards its events to the room.
#[derive(Debug)]
pub(super) struct RoomEvents {
    pub(super) core: Weak<DirectoryCore>,
    pub(super) room: Arc<WatchedRoom>,
}

impl MessageSink for RoomEvents {
    fn message(&self, payload: &[u8], _more: bool) {
        let Some(core) = self.core.upgrade() else {
            return;
        };
        let id = &self.room.room;
        // The connection may hold this receiver after the last watch is gone.
        let watched = core.rooms.get(id);
        let Some(watched) = watched.filter(|watched| Arc::ptr_eq(watched, &self.room)) else {
            return;
        };
        match Event::parse(&Bytes::copy_from_slice(payload)) {
            Ok(event) => {
                let needed = watched.receive(event);
                follow_up(&core, watched, needed);
            }
            Err(error) => {
                if let Some(held_back) = UNPARSED.pass() {
                    warn!(%error, room = %id, held_back, "an event could not be parsed");
                }
            }
        }
    }

    fn interrupted(&self) {
        if let Some(core) = self.core.upgrade() {
            self.room.interrupted();
            // One task reconciles all rooms in doubt, which limits the load on Redis.
            core.interrupted.notify_one();
        }
    }
}
