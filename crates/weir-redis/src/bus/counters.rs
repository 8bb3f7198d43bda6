//! Counters of received messages.

use std::sync::atomic::{AtomicU64, Ordering};

use tracing::warn;
use weir_cluster::Sample;

use super::envelope::EnvelopeError;

/// Counters of the messages that the bus received.
#[derive(Debug, Default)]
pub(super) struct BusCounters {
    messages: AtomicU64,
    bytes: AtomicU64,
    malformed: AtomicU64,
}

impl BusCounters {
    /// Counts a received message.
    pub(super) fn count(&self, bytes: usize) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a message that could not be decoded, and logs the first one.
    pub(super) fn count_malformed(&self, error: EnvelopeError) {
        if self.malformed.fetch_add(1, Ordering::Relaxed) == 0 {
            warn!(%error, "dropped a malformed message of the bus; more of them are counted");
        }
    }

    /// Returns the metrics of received messages.
    pub(super) fn samples(&self) -> [Sample; 3] {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let refused = [("reason", "refused")];
        [
            Sample::new("weir.bus.messages", &[], value(&self.messages)),
            Sample::new("weir.bus.payload", &[], value(&self.bytes)),
            Sample::new("weir.bus.dropped", &refused, value(&self.malformed)),
        ]
    }
}
