//! Addresses of rooms and tracks on the bus.

use std::{fmt, sync::Arc};

use weir_cluster::{Bus, SignalSender, TrackKey};
use weir_protocol::{RoomId, TrackId};

use crate::Counters;

/// Address of a room on the bus.
#[derive(Clone)]
pub(crate) struct RoomAddress {
    pub(crate) room: RoomId,
    pub(crate) bus: Arc<dyn Bus>,
    /// Sender of the room's signals.
    pub(crate) signals: Arc<dyn SignalSender>,
    pub(crate) counters: Arc<Counters>,
}

/// Address of a track on the bus.
#[derive(Clone)]
pub(crate) struct TrackAddress {
    pub(crate) key: TrackKey,
    pub(crate) bus: Arc<dyn Bus>,
    /// Sender of the room's signals.
    pub(crate) signals: Arc<dyn SignalSender>,
    pub(crate) counters: Arc<Counters>,
}

impl fmt::Debug for RoomAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RoomAddress").field(&self.room).finish()
    }
}

impl fmt::Debug for TrackAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TrackAddress").field(&self.key).finish()
    }
}

impl RoomAddress {
    /// Creates the address of a room.
    pub(crate) fn new(room: &RoomId, bus: &Arc<dyn Bus>, counters: &Arc<Counters>) -> Self {
        Self {
            room: room.clone(),
            signals: bus.signals(room),
            bus: Arc::clone(bus),
            counters: Arc::clone(counters),
        }
    }

    /// Returns the address of one of the room's tracks.
    pub(crate) fn track(&self, track: TrackId) -> TrackAddress {
        let room = self.room.clone();
        TrackAddress {
            key: TrackKey { room, track },
            bus: Arc::clone(&self.bus),
            signals: Arc::clone(&self.signals),
            counters: Arc::clone(&self.counters),
        }
    }
}
