//! Counters of a directory.

use std::sync::atomic::{AtomicU64, Ordering};

use weir_cluster::Sample;

/// Counters of a directory.
#[derive(Debug, Default)]
pub(crate) struct DirectoryCounts {
    pub(crate) renewed: AtomicU64,
    pub(crate) renewals_failed: AtomicU64,
    pub(crate) leases_lost: AtomicU64,
    pub(crate) nodes_reaped: AtomicU64,
    pub(crate) members_reaped: AtomicU64,
    pub(crate) repairs: AtomicU64,
    pub(crate) repairs_failed: AtomicU64,
    pub(crate) fenced: AtomicU64,
    pub(crate) ghosts: AtomicU64,
}

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Ordering::Relaxed);
}

impl DirectoryCounts {
    /// Returns all counters as metrics.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let sample = |metric, attributes: &[_], counter: &AtomicU64| {
            Sample::new(metric, attributes, counter.load(Ordering::Relaxed))
        };
        let renewals =
            |outcome, counter| sample("weir.lease.renewals", &[("outcome", outcome)], counter);
        let repairs =
            |outcome, counter| sample("weir.directory.repairs", &[("outcome", outcome)], counter);
        vec![
            renewals("done", &self.renewed),
            renewals("failed", &self.renewals_failed),
            renewals("lost", &self.leases_lost),
            sample("weir.reaper.nodes", &[], &self.nodes_reaped),
            sample("weir.reaper.members", &[], &self.members_reaped),
            repairs("done", &self.repairs),
            repairs("failed", &self.repairs_failed),
            sample("weir.directory.fenced", &[], &self.fenced),
            sample("weir.directory.ghosts", &[], &self.ghosts),
        ]
    }
}
