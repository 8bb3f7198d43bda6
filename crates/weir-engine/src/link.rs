//! Addresses of rooms and tracks on the bus.

use std::{fmt, sync::Arc, time::Instant};

use weir_cluster::{
    Bus, ChunkPublisher, ChunkSink, Hop, Relayed, Signal, SignalSender, SignalSink, TrackKey,
};
use weir_protocol::{RoomId, TrackId};

use crate::{Counters, inflow::Inflow};

/// Chunk from the bus, with its time of arrival if its latency is measured.
pub(crate) type Arrival = (Relayed, Option<Instant>);

/// Message from the bus to a room.
#[derive(Debug)]
pub(crate) enum FromBus {
    /// Signal of another node.
    Signal(Arc<Signal>),
    /// The subscription was lost for a while and holds again.
    Interrupted,
}

/// Address of a room on the bus.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) room: RoomId,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) signals: Arc<dyn SignalSender>,
    pub(crate) counters: Arc<Counters>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.room).finish()
    }
}

/// Address of a track on the bus.
#[derive(Clone)]
pub(crate) struct TrackLink {
    pub(crate) key: TrackKey,
    pub(crate) bus: Arc<dyn Bus>,
    /// Sender of the room's signals.
    pub(crate) signals: Arc<dyn SignalSender>,
    pub(crate) counters: Arc<Counters>,
}

impl fmt::Debug for TrackLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TrackLink").field(&self.key).finish()
    }
}

impl Link {
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
    pub(crate) fn track(&self, track: TrackId) -> TrackLink {
        TrackLink {
            key: TrackKey {
                room: self.room.clone(),
                track,
            },
            bus: Arc::clone(&self.bus),
            signals: Arc::clone(&self.signals),
            counters: Arc::clone(&self.counters),
        }
    }
}

impl TrackLink {
    /// Returns a handle that publishes the track's chunks.
    pub(crate) fn publisher(&self) -> Arc<dyn ChunkPublisher> {
        self.bus.publisher(&self.key)
    }
}

/// Sink of a channel that enqueues its messages.
#[derive(Debug)]
pub(crate) struct InflowSink<T> {
    pub(crate) inflow: Arc<Inflow<T>>,
    pub(crate) counters: Arc<Counters>,
}

impl ChunkSink for InflowSink<Arrival> {
    fn chunk(&self, chunk: Relayed) {
        let bytes = chunk.chunk.payload.len();
        let measured = Hop::is_measured(chunk.chunk.seq) || chunk.trace.is_some();
        let arrived = measured.then(Instant::now);
        if !self.inflow.push(bytes, (chunk, arrived)) {
            // Subscribers see the gap in the sequence numbers.
            self.counters.chunks_overrun.add_one();
        }
    }
}

impl SignalSink for InflowSink<FromBus> {
    fn signal(&self, signal: Arc<Signal>) {
        if !self.inflow.push(signal.length(), FromBus::Signal(signal)) {
            self.counters.signals_overrun.add_one();
        }
    }

    fn interrupted(&self) {
        if !self.inflow.push(0, FromBus::Interrupted) {
            self.counters.signals_overrun.add_one();
        }
    }
}
