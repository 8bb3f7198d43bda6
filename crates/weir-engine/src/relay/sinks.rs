//! Sink of a room's channel on the bus.

use std::{sync::Arc, time::Instant};

use weir_cluster::{Signal, SignalSink};

use super::inflow::Inflow;
use crate::Counters;

/// Message of a room's channel.
#[derive(Debug)]
pub(crate) enum RoomMessage {
    /// Signal of another node, with the time of its arrival.
    Signal(Arc<Signal>, Instant),
    /// The subscription was lost for a while and holds again.
    Interrupted,
}

/// Sink of a room's channel that enqueues its messages.
#[derive(Debug)]
pub(crate) struct RoomSink {
    pub(crate) inflow: Arc<Inflow<RoomMessage>>,
    pub(crate) counters: Arc<Counters>,
}

impl RoomSink {
    fn push(&self, bytes: usize, message: RoomMessage) {
        if !self.inflow.push(bytes, message) {
            self.counters.signals_overrun.add_one();
        }
    }
}

impl SignalSink for RoomSink {
    fn signal(&self, signal: Arc<Signal>) {
        self.push(signal.length(), RoomMessage::Signal(signal, Instant::now()));
    }

    fn interrupted(&self) {
        self.push(0, RoomMessage::Interrupted);
    }
}
