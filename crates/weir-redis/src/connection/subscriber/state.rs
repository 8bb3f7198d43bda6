//! State that a subscriber shares with its connections.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tracing::warn;
use weir_cluster::Sample;

use super::channels::ChannelTable;
use crate::{
    connection::{probe::PlaneProbe, server::ServerId, wire::ConnectionError},
    keys::Probes,
};

/// Cause of lost subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interruption {
    /// The connection was closed, or the server did not answer.
    Connection,
    /// Redis ended the subscription, usually because the slot has moved.
    Ended,
    /// The server has become a replica.
    Role,
    /// Probes of the node did not come back.
    Deaf,
}

impl Interruption {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Connection, "connection"),
        (Self::Ended, "ended"),
        (Self::Role, "role"),
        (Self::Deaf, "deaf"),
    ];
}

/// Wanted channels, probes and counters of a subscriber.
#[derive(Debug)]
pub(super) struct SubscriberState {
    /// Held only to read or update the table.
    pub(super) channels: Mutex<ChannelTable>,
    pub(super) probe: Arc<PlaneProbe>,
    /// Number of restored subscriptions.
    pub(super) resubscribed: AtomicU64,
    /// Number of lost subscriptions, by [`Interruption`].
    lost: [AtomicU64; 4],
    /// Number of ignored push messages by kind, of which there are few.
    unexpected: Mutex<HashMap<&'static str, u64>>,
}

impl SubscriberState {
    pub(super) fn new(cluster: bool, probes: Probes) -> Self {
        let probe = Arc::new(PlaneProbe::new());
        Self {
            channels: Mutex::new(ChannelTable::new(
                cluster,
                Some((probes, Arc::clone(&probe))),
            )),
            probe,
            resubscribed: AtomicU64::new(0),
            lost: Default::default(),
            unexpected: Mutex::default(),
        }
    }

    /// Counts an ignored push message, and logs the first of each kind.
    pub(super) fn count_unexpected(&self, kind: &'static str) {
        let mut unexpected = self.unexpected.lock();
        let count = unexpected.entry(kind).or_default();
        *count += 1;
        if *count == 1 {
            warn!(
                kind,
                "ignored a push message of Redis; more of this kind are counted"
            );
        }
    }

    pub(super) fn count_lost(&self, cause: Interruption) {
        self.lost[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Records a connection that failed or could not be established.
    pub(super) fn down(&self, server: &ServerId, error: &ConnectionError, unreachable: bool) {
        let why = error.to_string();
        self.channels.lock().down(server, &why, unreachable);
        self.probe.nudge.notify_one();
    }

    /// Returns the metrics of one plane: lost subscriptions by cause, restored subscriptions,
    /// ignored push messages, and probes.
    pub(super) fn samples(&self, plane: &'static str) -> Vec<Sample> {
        let plane = ("plane", plane);
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let resubscribed = value(&self.resubscribed);
        let mut samples = vec![Sample::new(
            "weir.redis.resubscribed",
            &[plane],
            resubscribed,
        )];
        for (cause, name) in Interruption::ALL {
            let lost = value(&self.lost[cause as usize]);
            let attributes = [plane, ("cause", name)];
            samples.push(Sample::new("weir.redis.interruptions", &attributes, lost));
        }
        let count = self.unexpected.lock().values().sum();
        samples.push(Sample::new("weir.redis.pushes.unexpected", &[plane], count));
        samples.extend(self.probe.samples(plane.1));
        samples
    }
}
