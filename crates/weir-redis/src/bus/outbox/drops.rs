//! Counters of dropped messages.

use std::sync::atomic::{AtomicU64, Ordering};

use weir_cluster::Sample;

/// Reason for dropping a message.
#[derive(Debug, Clone, Copy)]
pub(super) enum DropReason {
    /// The queue was at capacity.
    Full,
    /// There was no connection.
    Unavailable,
    /// The message exceeded its deadline.
    Old,
    /// The connection was lost before the reply; the message may have been delivered.
    Lost,
    /// Redis replied with an error.
    Rejected,
}

impl DropReason {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Full, "full"),
        (Self::Unavailable, "unavailable"),
        (Self::Old, "old"),
        (Self::Lost, "lost"),
        (Self::Rejected, "rejected"),
    ];
}

/// Number of dropped messages, by [`DropReason`].
#[derive(Debug, Default)]
pub(super) struct DropCounters([AtomicU64; 5]);

impl DropCounters {
    /// Counts dropped messages.
    pub(super) fn count(&self, reason: DropReason, count: usize) {
        self.0[reason as usize].fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Returns the metrics, by reason.
    pub(super) fn samples(&self) -> impl Iterator<Item = Sample> {
        DropReason::ALL.into_iter().map(|(reason, name)| {
            let dropped = self.0[reason as usize].load(Ordering::Relaxed);
            Sample::new("weir.bus.dropped", &[("reason", name)], dropped)
        })
    }
}
