//! Subscriptions to Redis channels, restored after connection loss and failover.
//!
//! There is one connection per Redis server, each with its own subscriptions. Push messages of
//! Redis are authoritative. A channel is subscribed from its server's confirmation until the server
//! ends the subscription, or the connection closes.

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

/// Deadline for the confirmation of a subscription.
const CONFIRMATION: Duration = Duration::from_millis(1_500);

/// Initial and maximum backoff of connection attempts, in milliseconds.
const BACKOFF: (u64, u64) = (50, 500);

/// Number of failed attempts, about one second, after which an outage counts as lasting.
const LASTING: u32 = 5;

/// Waits with exponential backoff and jitter before the next connection attempt.
pub(crate) async fn backoff(attempt: &mut u32) {
    // The only sleep: no event signals that Redis is available again.
    #[allow(clippy::disallowed_methods)]
    tokio::time::sleep(backoff_time(attempt)).await;
}

fn backoff_time(attempt: &mut u32) -> Duration {
    let delay = (BACKOFF.0 << (*attempt).min(10)).min(BACKOFF.1);
    *attempt += 1;
    Duration::from_millis(rand::rng().random_range(delay / 2..=delay))
}

/// Logs a failed connection attempt: as a warning for the first and the lasting one, else at debug.
pub(crate) fn tell(attempt: u32, what: &'static str, target: &Target, error: &dyn fmt::Display) {
    if attempt == 0 || attempt == LASTING {
        warn!(%error, redis = %target, "{what}");
    } else {
        debug!(%error, redis = %target, "{what}");
    }
}

/// Callback for a message, with its channel and payload. It must not block.
pub(crate) type OnMessage = Arc<dyn Fn(&[u8], Bytes) + Send + Sync>;

/// Error of a subscription that Redis did not confirm in time, with the cause if known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Redis did not confirm a subscription in time{}", .0.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
pub(crate) struct Unconfirmed(Option<Arc<str>>);

/// Cause of lost subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The connection was closed, or the server did not answer.
    Connection,
    /// Redis ended the subscription, usually because the slot has moved.
    Ended,
    /// The server has become a replica.
    Role,
    /// Probes of the node did not come back.
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

/// Subscriptions to the wanted channels, restored after they are lost.
pub(crate) struct Subscriber {
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// State shared by a subscriber's connections.
struct Shared {
    on_message: OnMessage,
    channels: Mutex<Channels>,
    probe: Probe,
    /// Incremented when channels with possibly missed messages are subscribed again.
    interrupted: watch::Sender<u64>,
    /// Number of restored subscriptions.
    resubscribed: AtomicU64,
    /// Number of lost subscriptions, by [`Cause`].
    lost: [AtomicU64; 4],
    /// Number of ignored push messages by kind, of which there are few.
    unexpected: Mutex<HashMap<&'static str, u64>>,
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscriber")
    }
}

impl Subscriber {
    /// Creates a subscriber that connects in the background.
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

    /// Returns a receiver of whether probes come back from every server.
    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.shared.probe.health()
    }

    /// Starts a task that publishes probes until it is aborted.
    pub(crate) fn start_probes(&self, plane: &'static str, publish: Publish) -> AbortHandle {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(probe::keep(plane, shared, publish)).abort_handle()
    }

    /// Processes a message of an unsubscribed channel: a probe, or a late message.
    pub(crate) fn probed(&self, channel: &str, payload: &[u8]) {
        self.shared.probe.heard(channel, payload);
    }

    /// Returns a receiver that changes when channels with possibly missed messages are subscribed
    /// again.
    pub(crate) fn interrupted(&self) -> watch::Receiver<u64> {
        self.shared.interrupted.subscribe()
    }

    /// Subscribes to a channel until [`unsubscribe`](Self::unsubscribe). Returns when Redis has
    /// confirmed the subscription.
    ///
    /// # Errors
    /// If Redis does not confirm it within 1.5 s. The channel stays wanted nevertheless.
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

    /// Unsubscribes from a channel.
    pub(crate) fn unsubscribe(&self, channel: &str) {
        self.shared.channels().unwant(channel);
    }

    /// Returns the metrics of one plane: lost subscriptions by cause, restored subscriptions,
    /// ignored push messages, and probes.
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
        // The connections are tasks owned by this one.
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

    /// Counts an ignored push message, and logs the first of each kind.
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

    /// Records a connection that failed or could not be established.
    fn down(&self, server: &Server, trouble: &Trouble, unreachable: bool) {
        let mut channels = self.channels();
        channels.down(server, &trouble.to_string(), unreachable);
        drop(channels);
        self.probe.nudge.notify_one();
    }

    /// Reports that all sent commands are answered; `recovered` if messages may have been missed.
    fn answered(&self, recovered: bool) {
        if !self.probe.health().borrow().works() {
            self.probe.nudge.notify_one();
        }
        if recovered {
            self.interrupted.send_modify(|count| *count += 1);
        }
    }
}
