//! The way from a room to the same room on other nodes.

use std::{fmt, sync::Arc};

use weir_cluster::{Bus, TrackKey};
use weir_protocol::{RoomId, TrackId};

use crate::Counters;

/// A room's name on the bus, and the bus.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) room: RoomId,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) counters: Arc<Counters>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.room).finish()
    }
}

/// A track's name on the bus, and the bus.
#[derive(Clone)]
pub(crate) struct TrackLink {
    pub(crate) key: TrackKey,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) counters: Arc<Counters>,
}

impl fmt::Debug for TrackLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TrackLink").field(&self.key).finish()
    }
}

impl Link {
    /// The link of one of the room's tracks.
    pub(crate) fn track(&self, track: TrackId) -> TrackLink {
        TrackLink {
            key: TrackKey {
                room: self.room.clone(),
                track,
            },
            bus: Arc::clone(&self.bus),
            counters: Arc::clone(&self.counters),
        }
    }
}
