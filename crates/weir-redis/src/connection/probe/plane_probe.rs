//! End-to-end health of a plane: the messages that a node publishes to itself must come back from
//! every server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tracing::{info, warn};
use weir_cluster::Sample;

use super::rounds::{DueProbes, ProbeRounds, ProbedServer, WAITING};
use crate::{
    Health,
    connection::{server::ServerId, wire::MessageSink},
};

/// Probes of a plane.
#[derive(Debug)]
pub(crate) struct PlaneProbe {
    rounds: Mutex<ProbeRounds>,
    health: watch::Sender<Health>,
    /// Notified when the state may change before the next poll.
    pub(crate) nudge: Notify,
    heard: AtomicU64,
    failed: AtomicU64,
    round_trip_micros: AtomicU64,
}

impl PlaneProbe {
    pub(crate) fn new() -> Self {
        Self {
            rounds: Mutex::default(),
            health: watch::channel(Health::fails(WAITING)).0,
            nudge: Notify::new(),
            heard: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            round_trip_micros: AtomicU64::new(0),
        }
    }

    /// Returns a receiver of the plane's health.
    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Returns the sink of a probe channel.
    pub(crate) fn sink(self: &Arc<Self>, channel: &Arc<str>) -> Arc<dyn MessageSink> {
        Arc::new(ProbeSink {
            probe: Arc::clone(self),
            channel: Arc::clone(channel),
        })
    }

    /// Processes a message that may be a probe of this node.
    fn returned(&self, channel: &str, payload: &[u8]) {
        let took = self
            .rounds
            .lock()
            .returned(channel, payload, Instant::now());
        if let Some(took) = took {
            self.heard.fetch_add(1, Ordering::Relaxed);
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            self.round_trip_micros.store(micros, Ordering::Relaxed);
            if !self.health.borrow().works() {
                self.nudge.notify_one();
            }
        }
    }

    /// Counts overdue probes as failed, and returns the probes to send.
    pub(crate) fn poll(&self, probed: &[ProbedServer]) -> DueProbes {
        let due = self.rounds.lock().poll(probed, Instant::now());
        self.failed.fetch_add(due.failed, Ordering::Relaxed);
        due
    }

    /// Records a probe that could not be published.
    pub(crate) fn refused(&self, server: &ServerId, channel: &str, number: u64, why: &str) {
        let mut rounds = self.rounds.lock();
        let failed = rounds.refused(server, channel, number, why, Instant::now());
        self.failed.fetch_add(failed, Ordering::Relaxed);
    }

    /// Updates the health from the last outcomes. `unknown` is the reason why no server is known,
    /// if any.
    pub(crate) fn update_health(&self, plane: &'static str, unknown: Option<Arc<str>>) {
        let health = match unknown {
            Some(why) => Health::Fails(why),
            None => self.rounds.lock().health(&self.health.borrow()),
        };
        self.health.send_if_modified(|known| {
            let changed = *known != health;
            match (&*known, &health) {
                (Health::Works, Health::Fails(cause)) => {
                    warn!(plane, %cause, "Redis does not deliver the messages of this node");
                }
                (Health::Fails(_), Health::Works) => {
                    info!(plane, "Redis delivers the messages of this node");
                }
                _ => {}
            }
            *known = health;
            changed
        });
    }

    /// Returns metrics: probes by outcome, and the last round-trip time.
    pub(crate) fn samples(&self, plane: &'static str) -> [Sample; 3] {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (heard, failed) = (value(&self.heard), value(&self.failed));
        let took = Duration::from_micros(value(&self.round_trip_micros));
        let plane = ("plane", plane);
        let of = |outcome, count| {
            Sample::new("weir.redis.probes", &[plane, ("outcome", outcome)], count)
        };
        [
            of("heard", heard),
            of("failed", failed),
            Sample::seconds("weir.redis.probe.round_trip", &[plane], took),
        ]
    }
}

/// Receiver of one probe channel.
#[derive(Debug)]
struct ProbeSink {
    probe: Arc<PlaneProbe>,
    channel: Arc<str>,
}

impl MessageSink for ProbeSink {
    fn message(&self, payload: &[u8], _more: bool) {
        self.probe.returned(&self.channel, payload);
    }
}
