//! This node's lease, and what is done at each of its renewals.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::warn;
use weir_cluster::DirectoryError;

use super::reaper::reap;
use crate::{
    Health,
    directory::{
        counts::count,
        directory_core::{DirectoryCore, cause},
        reconcile::{reconcile_all, reconcile_doubtful},
        store::{Beat, LEASE, LIVE_TTL},
    },
};

/// Interval of heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// Interval of attempts while Redis does not answer.
const RETRY: Duration = Duration::from_millis(250);

/// Number of failures in a row that are logged.
const LASTING: u32 = 2;

/// Interval at which a node touches what it holds.
const TOUCH: Duration = Duration::from_secs(LIVE_TTL.as_secs() / 4);

/// State of a node's lease.
#[derive(Debug)]
struct Lease {
    core: Arc<DirectoryCore>,
    /// The incarnation has no lease yet.
    new: bool,
    failures: u32,
    /// Start of the current period in which Redis has answered every heartbeat.
    stable: Option<Instant>,
    touched: Instant,
}

/// Keeps this node's lease, reaps dead nodes, and reconciles rooms after an interruption.
pub(crate) async fn keep(core: Arc<DirectoryCore>) {
    let mut ticks = interval(RETRY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut lease = Lease {
        core,
        new: true,
        failures: 0,
        stable: None,
        touched: Instant::now(),
    };
    let mut next = Instant::now();
    loop {
        ticks.tick().await;
        if Instant::now() < next {
            continue;
        }
        match lease.beat().await {
            Ok(beat) => {
                next = Instant::now() + HEARTBEAT;
                lease.renewed(beat).await;
            }
            Err(error) => lease.failed(&error),
        }
    }
}

impl Lease {
    /// Renews the lease. If it had expired, starts the next incarnation.
    async fn beat(&mut self) -> Result<Beat, DirectoryError> {
        let Self { core, new, .. } = self;
        let beat = core.store.heartbeat(&core.seats.owner(), *new).await?;
        if beat == Beat::Lost {
            let owner = core.seats.renew();
            warn!(node = %owner, "this node was taken for dead; it takes another id");
            // From here on the lease may exist, whatever the answer says.
            *new = true;
            core.store.heartbeat(&owner, true).await?;
        }
        Ok(beat)
    }

    async fn renewed(&mut self, beat: Beat) {
        let core = &self.core;
        let lost = beat == Beat::Lost;
        let counter = if lost {
            &core.counts.leases_lost
        } else {
            &core.counts.renewed
        };
        count(counter, 1);
        // At the first heartbeat of the process there is nothing to reconcile.
        let back = self.stable.is_none() && !std::mem::take(&mut self.new);
        self.new = false;
        self.failures = 0;
        let stable = *self.stable.get_or_insert_with(Instant::now);
        core.set_health(Health::Works);
        if back || lost {
            reconcile_all(core).await;
        } else {
            reconcile_doubtful(core).await;
        }
        core.finish_departures().await;
        let due = core.audit_due.swap(false, Ordering::Relaxed);
        if (due || back || lost || beat == Beat::Audit)
            && let Err(error) = core.audit().await
        {
            warn!(%error, "the ledger could not be audited yet");
            core.audit_due.store(true, Ordering::Relaxed);
        }
        // Every node that is alive has had the time for a heartbeat.
        if stable.elapsed() > LEASE {
            reap(core).await;
        }
        if self.touched.elapsed() > TOUCH {
            self.touched = Instant::now();
            core.touch().await;
        }
    }

    fn failed(&mut self, error: &DirectoryError) {
        self.stable = None;
        count(&self.core.counts.renewals_failed, 1);
        self.failures += 1;
        if self.failures == LASTING {
            warn!(%error, "the directory cannot be reached");
        }
        self.core.set_health(Health::fails(&cause(error)));
    }
}
