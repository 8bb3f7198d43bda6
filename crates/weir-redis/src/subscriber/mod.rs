//! Channels of Redis that a node receives, whatever becomes of the connections.
//!
//! There is one connection per Redis server, each with subscriptions of its own. What Redis pushes is
//! the truth: a channel is subscribed to when its server has confirmed it, until that server ends it or
//! the connection does.

mod channels;
mod probe;
mod reader;
mod refusal;
mod resp;
mod session;
mod slots;
mod topology;
mod wire;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use rand::Rng;
use tokio::{sync::watch, task::AbortHandle, time::timeout};
use tracing::{debug, warn};
use weir_cluster::Sample;

use crate::{Health, Target, keys::Probes, target::Topology};
use channels::Channels;
use probe::Probe;
pub(crate) use probe::Publish;
use slots::Server;
use wire::Trouble;
pub(crate) use wire::is_replica;

/// How long a subscription may take to be confirmed.
const CONFIRMATION: Duration = Duration::from_millis(1_500);

/// How long to wait before the first attempt to connect again, in milliseconds, and at the most.
const BACKOFF: (u64, u64) = (50, 500);

/// After so many attempts, about a second, trouble is not a moment's.
const LASTING: u32 = 5;

/// Waits before another attempt to connect: longer after each, and not all nodes at once.
pub(crate) async fn backoff(attempt: &mut u32) {
    // The one place that waits for time to pass: nothing tells when Redis is back.
    #[allow(clippy::disallowed_methods)]
    tokio::time::sleep(backoff_time(attempt)).await;
}

fn backoff_time(attempt: &mut u32) -> Duration {
    let delay = (BACKOFF.0 << (*attempt).min(10)).min(BACKOFF.1);
    *attempt += 1;
    Duration::from_millis(rand::rng().random_range(delay / 2..=delay))
}

/// Logs why an attempt to connect has failed: loudly at first, and once more if it goes on.
pub(crate) fn tell(attempt: u32, what: &'static str, target: &Target, error: &dyn fmt::Display) {
    if attempt == 0 || attempt == LASTING {
        warn!(%error, redis = %target, "{what}");
    } else {
        debug!(%error, redis = %target, "{what}");
    }
}

/// What takes a message: the channel and what was published. It must not block.
pub(crate) type OnMessage = Arc<dyn Fn(&[u8], Bytes) + Send + Sync>;

/// Redis has not confirmed a subscription; why, if that is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Redis did not confirm a subscription in time{}", .0.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
pub(crate) struct Unconfirmed(Option<Arc<str>>);

/// Why subscriptions were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The connection was closed, or the server did not answer.
    Connection,
    /// Redis ended it, mostly since the slot has moved.
    Ended,
    /// The server has become a replica.
    Role,
    /// What the node published did not come back.
    Deaf,
}

impl Cause {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Connection, "connection"),
        (Self::Ended, "ended"),
        (Self::Role, "role"),
        (Self::Deaf, "deaf"),
    ];
}

/// Subscriptions to what is wanted, made again after they were lost.
pub(crate) struct Subscriber {
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// What the connections of a subscriber share.
struct Shared {
    on_message: OnMessage,
    channels: Mutex<Channels>,
    probe: Probe,
    /// Raised when channels are subscribed to again that messages may have been missed of.
    interrupted: watch::Sender<u64>,
    /// Channels that were subscribed to again.
    resubscribed: AtomicU64,
    /// Losses of subscriptions, by [`Cause`].
    lost: [AtomicU64; 4],
    /// Pushes that nothing is done with, by their kind; few kinds.
    unexpected: Mutex<HashMap<&'static str, u64>>,
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscriber")
    }
}

impl Subscriber {
    /// A subscriber that connects in the background.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn new(target: &Target, probes: Probes, on_message: OnMessage) -> Self {
        let cluster = target.topology == Topology::Cluster;
        let shared = Arc::new(Shared {
            on_message,
            channels: Mutex::new(Channels::new(cluster, Some(probes))),
            probe: Probe::new(),
            interrupted: watch::channel(0).0,
            resubscribed: AtomicU64::new(0),
            lost: Default::default(),
            unexpected: Mutex::default(),
        });
        let task = tokio::spawn(topology::keep(target.clone(), Arc::clone(&shared)));
        Self {
            shared,
            task: task.abort_handle(),
        }
    }

    /// Whether what is published comes back, from every server.
    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.shared.probe.health()
    }

    /// Publishes probes from now on, until the task is aborted.
    pub(crate) fn start_probes(&self, plane: &'static str, publish: Publish) -> AbortHandle {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(probe::keep(plane, shared, publish)).abort_handle()
    }

    /// Takes a message of a channel that nobody subscribed to: a probe, or one that is late.
    pub(crate) fn probed(&self, channel: &str, payload: &[u8]) {
        self.shared.probe.heard(channel, payload);
    }

    /// Changes when channels are subscribed to again that messages may have been missed of.
    pub(crate) fn interrupted(&self) -> watch::Receiver<u64> {
        self.shared.interrupted.subscribe()
    }

    /// Subscribes to a channel until it is [unsubscribed](Self::unsubscribe) from; answers when
    /// Redis has confirmed it.
    ///
    /// # Errors
    /// If Redis does not within 1.5 s. The channel is wanted all the same.
    pub(crate) async fn subscribe(&self, channel: &str) -> Result<(), Unconfirmed> {
        let Some(confirmed) = self.shared.channels().want(channel) else {
            return Ok(());
        };
        if let Ok(Ok(())) = timeout(CONFIRMATION, confirmed).await {
            return Ok(());
        }
        let mut channels = self.shared.channels();
        Err(Unconfirmed(channels.doubt(channel)))
    }

    /// Ends a subscription.
    pub(crate) fn unsubscribe(&self, channel: &str) {
        self.shared.channels().unwant(channel);
    }

    /// As metrics, for one plane: why subscriptions were lost, how many channels were subscribed to
    /// again, and pushes that nothing is done with.
    pub(crate) fn samples(&self, plane: &'static str) -> Vec<Sample> {
        let shared = &self.shared;
        let plane = ("plane", plane);
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let resubscribed = value(&shared.resubscribed);
        let mut samples = vec![Sample::new(
            "weir.redis.resubscribed",
            &[plane],
            resubscribed,
        )];
        for (cause, name) in Cause::ALL {
            let lost = value(&shared.lost[cause as usize]);
            let attributes = [plane, ("cause", name)];
            samples.push(Sample::new("weir.redis.interruptions", &attributes, lost));
        }
        let unexpected = shared.unexpected();
        let count = unexpected.values().sum();
        samples.push(Sample::new("weir.redis.pushes.unexpected", &[plane], count));
        samples.extend(shared.probe.samples(plane.1));
        samples
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // The connections are its tasks.
        self.task.abort();
    }
}

impl Shared {
    fn channels(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unexpected(&self) -> MutexGuard<'_, HashMap<&'static str, u64>> {
        let unexpected = self.unexpected.lock();
        unexpected.unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a push that nothing is done with; the first of each kind is logged.
    fn count_unexpected(&self, kind: &'static str) {
        let mut unexpected = self.unexpected();
        let count = unexpected.entry(kind).or_default();
        *count += 1;
        if *count == 1 {
            warn!(
                kind,
                "the first push of a kind that nothing is done with; others are counted"
            );
        }
    }

    fn count_lost(&self, cause: Cause) {
        self.lost[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The connection to a server has failed, or could not be made.
    fn down(&self, server: &Server, trouble: &Trouble, unreachable: bool) {
        let mut channels = self.channels();
        channels.down(server, &trouble.to_string(), unreachable);
        drop(channels);
        self.probe.nudge.notify_one();
    }

    /// All that a server was asked for is answered; `recovered` if messages may have been missed.
    fn answered(&self, recovered: bool) {
        if !self.probe.health().borrow().works() {
            self.probe.nudge.notify_one();
        }
        if recovered {
            self.interrupted.send_modify(|count| *count += 1);
        }
    }
}
