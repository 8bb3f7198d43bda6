//! What a directory counts.

use std::sync::atomic::{AtomicU64, Ordering};

use weir_cluster::Sample;

/// What a directory counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) renewed: AtomicU64,
    pub(crate) renewals_failed: AtomicU64,
    pub(crate) leases_lost: AtomicU64,
    pub(crate) nodes_reaped: AtomicU64,
    pub(crate) members_reaped: AtomicU64,
    pub(crate) repairs: AtomicU64,
    pub(crate) repairs_failed: AtomicU64,
}

/// Adds to what a directory counts.
pub(crate) fn count(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Ordering::Relaxed);
}

impl Counts {
    /// All of it, as metrics.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let Self {
            renewed,
            renewals_failed,
            leases_lost,
            nodes_reaped,
            members_reaped,
            repairs,
            repairs_failed,
        } = self;
        let sample = |metric, attributes: &[_], counter: &AtomicU64| {
            Sample::new(metric, attributes, counter.load(Ordering::Relaxed))
        };
        vec![
            sample("weir.lease.renewals", &[("outcome", "done")], renewed),
            sample(
                "weir.lease.renewals",
                &[("outcome", "failed")],
                renewals_failed,
            ),
            sample("weir.lease.renewals", &[("outcome", "lost")], leases_lost),
            sample("weir.reaper.nodes", &[], nodes_reaped),
            sample("weir.reaper.members", &[], members_reaped),
            sample("weir.directory.repairs", &[("outcome", "done")], repairs),
            sample(
                "weir.directory.repairs",
                &[("outcome", "failed")],
                repairs_failed,
            ),
        ]
    }
}
