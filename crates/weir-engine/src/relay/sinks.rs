//! Sinks that enqueue what comes from the bus.

use std::{sync::Arc, time::Instant};

use weir_cluster::{ChunkSink, Hop, Relayed, Signal, SignalSink};

use super::inflow::Inflow;
use crate::Counters;

/// Chunk that has come from the bus.
#[derive(Debug)]
pub(crate) struct ArrivedChunk {
    pub(crate) relayed: Relayed,
    /// Time of arrival, if the latency is measured.
    pub(crate) at: Option<Instant>,
}

/// Message of a room's channel.
#[derive(Debug)]
pub(crate) enum RoomMessage {
    /// Signal of another node, with the time of its arrival.
    Signal(Arc<Signal>, Instant),
    /// The subscription was lost for a while and holds again.
    Interrupted,
}

/// Sink of a channel that enqueues its messages.
#[derive(Debug)]
pub(crate) struct InflowSink<T> {
    pub(crate) inflow: Arc<Inflow<T>>,
    pub(crate) counters: Arc<Counters>,
}

impl ChunkSink for InflowSink<ArrivedChunk> {
    fn chunk(&self, relayed: Relayed) {
        let bytes = relayed.chunk.payload.len();
        let measured = Hop::is_measured(relayed.chunk.seq) || relayed.trace.is_some();
        let at = measured.then(Instant::now);
        if !self.inflow.push(bytes, ArrivedChunk { relayed, at }) {
            // Subscribers see the gap in the sequence numbers.
            self.counters.chunks_overrun.add_one();
        }
    }
}

impl InflowSink<RoomMessage> {
    fn push(&self, bytes: usize, message: RoomMessage) {
        if !self.inflow.push(bytes, message) {
            self.counters.signals_overrun.add_one();
        }
    }
}

impl SignalSink for InflowSink<RoomMessage> {
    fn signal(&self, signal: Arc<Signal>) {
        self.push(signal.length(), RoomMessage::Signal(signal, Instant::now()));
    }

    fn interrupted(&self) {
        self.push(0, RoomMessage::Interrupted);
    }
}
