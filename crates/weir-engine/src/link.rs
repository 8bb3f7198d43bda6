//! The way from a room to the same room on other nodes.

use std::{fmt, sync::Arc, time::Instant};

use weir_cluster::{Bus, Relayed, Signal, TrackKey};
use weir_protocol::{RoomId, TrackId};

use crate::{Counters, inflow::Inflows};

/// What comes from the bus of a track.
#[derive(Debug)]
pub(crate) enum FromBus {
    /// A chunk, and when it came if its way is measured.
    Chunk(Arc<Relayed>, Option<Instant>),
    /// The publisher's node puts all chunks after `last` on the bus; `beginning` says whether all
    /// before came once more.
    Position { last: u64, beginning: bool },
}

/// What comes from the bus, by track.
pub(crate) type TrackInflows = Inflows<TrackKey, FromBus>;

/// The signals of other nodes, by room.
pub(crate) type RoomInflows = Inflows<RoomId, Arc<Signal>>;

/// A room's name on the bus, and the bus.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) room: RoomId,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) signals: Arc<RoomInflows>,
    pub(crate) chunks: Arc<TrackInflows>,
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
    pub(crate) chunks: Arc<TrackInflows>,
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
            chunks: Arc::clone(&self.chunks),
        }
    }
}
