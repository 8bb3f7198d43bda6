//! Handles that publish and receive a track's chunks.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use weir_cluster::{BusError, ChunkPublisher, ChunkSink, Interest, Relayed};
use weir_protocol::TrackId;

use super::{
    counters::BusCounters,
    envelope::{self, Origin},
    outbox::{Outbox, OutboxMessage},
    topic::Topic,
};
use crate::connection::wire::MessageSink;

/// Publisher of a track's chunks.
#[derive(Debug)]
pub(super) struct TrackPublisher {
    pub(super) topic: Arc<Topic>,
    pub(super) origin: Origin,
    pub(super) outbox: Arc<Outbox>,
}

impl ChunkPublisher for TrackPublisher {
    fn publish(&self, chunk: &Relayed) -> Result<(), BusError> {
        let head = envelope::chunk_head(self.origin, chunk);
        let message = OutboxMessage::chunk(Arc::clone(&self.topic), head, chunk);
        self.outbox.put(message)
    }

    fn interest(&self) -> Interest {
        self.topic.interest(self.outbox.epoch())
    }
}

/// Receiver of a track's channel: decodes the messages of other nodes.
#[derive(Debug)]
pub(super) struct TrackReceiver {
    track: TrackId,
    origin: Origin,
    sink: Arc<dyn ChunkSink>,
    counters: Arc<BusCounters>,
    /// False once the subscription is dropped. The connection may still hold this receiver.
    open: AtomicBool,
}

impl TrackReceiver {
    pub(super) fn new(
        track: TrackId,
        origin: Origin,
        sink: Arc<dyn ChunkSink>,
        counters: Arc<BusCounters>,
    ) -> Self {
        Self {
            track,
            origin,
            sink,
            counters,
            open: AtomicBool::new(true),
        }
    }

    /// Stops the delivery at once.
    pub(super) fn close(&self) {
        self.open.store(false, Ordering::Relaxed);
    }
}

impl MessageSink for TrackReceiver {
    fn message(&self, payload: &[u8], more: bool) {
        if !self.open.load(Ordering::Relaxed) {
            return;
        }
        self.counters.count(payload.len());
        match envelope::chunk(self.track, self.origin, payload) {
            Ok(Some(chunk)) => self.sink.chunk(chunk, more),
            Ok(None) => {}
            Err(error) => self.counters.count_malformed(error),
        }
    }
}
