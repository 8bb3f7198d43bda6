//! State of the exchange that all rooms share: numbering, retention, and publication.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use rand::Rng;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use weir_cluster::{BusError, Signal};
use weir_protocol::RoomId;

use crate::{
    bus::{
        counters::BusCounters,
        envelope::{self, Origin},
        outbox::{DEADLINE, Outbox, OutboxMessage},
        signals::{KnownPosition, Note, retained::Retained, wire},
        topic::{ChannelKind, Topic},
    },
    keys::Keys,
};

/// Grace period after a signal's deadline, within which the outbox reports the outcome.
const GRACE: Duration = Duration::from_millis(300);

/// Sender's side of the exchange, and what the rooms report to it.
pub(crate) struct ExchangeCore {
    pub(crate) origin: Origin,
    keys: Keys,
    kind: ChannelKind,
    outbox: Arc<Outbox>,
    pub(super) counters: Arc<BusCounters>,
    /// Held while a signal is numbered and put into the outbox, so that both keep one order.
    pub(super) retained: Mutex<Retained>,
    /// Rooms with missing signals.
    pub(super) troubled: Mutex<HashSet<RoomId>>,
    /// Notified when work is due earlier than scheduled.
    pub(super) wake: Notify,
    pub(super) started: Instant,
    /// Number of signals given up.
    lost: AtomicU64,
}

/// Returns the time in milliseconds since 1970.
pub(super) fn clock() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

impl ExchangeCore {
    pub(super) fn new(
        keys: Keys,
        kind: ChannelKind,
        outbox: Arc<Outbox>,
        counters: Arc<BusCounters>,
    ) -> Self {
        Self {
            // 0 is the placeholder for an absent origin.
            origin: rand::rng().random_range(1..=Origin::MAX),
            keys,
            kind,
            outbox,
            counters,
            retained: Mutex::default(),
            troubled: Mutex::default(),
            wake: Notify::new(),
            started: Instant::now(),
            lost: AtomicU64::new(0),
        }
    }

    /// Returns the channel of a room's signals.
    pub(crate) fn topic(&self, room: &RoomId) -> Arc<Topic> {
        Topic::new(self.keys.signals(room), self.kind)
    }

    /// Returns the time since the start.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the number of other nodes' signals that were given up.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Enqueues a signal that is never retransmitted.
    pub(super) fn send(&self, topic: &Arc<Topic>, signal: &Signal) -> Result<(), BusError> {
        let note = Note::Loose(envelope::of_signal(signal));
        self.put(topic, &note)
    }

    /// Publishes a signal, retains it for retransmission, and waits for the outcome.
    pub(super) async fn deliver(
        &self,
        room: &RoomId,
        topic: &Arc<Topic>,
        signal: &Signal,
    ) -> Result<(), BusError> {
        let body = envelope::of_signal(signal);
        let (place, outcome) = {
            let mut retained = self.retained.lock();
            let (place, note) = retained.number(room, body, clock(), self.now());
            let payload = wire::encode(self.origin, &note);
            let (message, outcome) = OutboxMessage::awaited(Arc::clone(topic), payload);
            if let Err(error) = self.outbox.put(message) {
                retained.take_back(&place);
                return Err(error);
            }
            (place, outcome)
        };
        let late = "Redis did not answer in time";
        // The outbox knows the best cause, so its report has priority.
        let outcome = match timeout(DEADLINE + GRACE, outcome).await {
            Ok(outcome) => {
                outcome.unwrap_or_else(|_| Err(BusError::Unavailable("the node ends".to_owned())))
            }
            Err(_) => Err(BusError::Unavailable(late.to_owned())),
        };
        let void = {
            let mut retained = self.retained.lock();
            let before = retained.next();
            let void = retained.settle(&place, outcome.is_ok(), self.now());
            if before.is_none() {
                self.wake.notify_one();
            }
            void
        };
        if let Some(void) = void {
            // A receiver that misses this note requests it.
            let _ = self.put(topic, &void);
        }
        outcome
    }

    /// Enqueues a note on a room's channel.
    pub(super) fn put(&self, topic: &Arc<Topic>, note: &Note) -> Result<(), BusError> {
        let payload = wire::encode(self.origin, note);
        self.outbox
            .put(OutboxMessage::signal(Arc::clone(topic), payload))
    }

    /// Schedules retransmissions that another node requested.
    pub(super) fn asked(
        &self,
        room: &RoomId,
        from: Origin,
        listening: u64,
        known: &[KnownPosition],
    ) {
        let now = self.now();
        let mut retained = self.retained.lock();
        retained.asked(room, self.origin, from, listening, known, now);
        self.wake.notify_one();
    }

    /// Counts signals that were given up.
    pub(super) fn count_lost(&self, lost: u64) {
        self.lost.fetch_add(lost, Ordering::Relaxed);
    }

    /// Polls a room with missing signals.
    pub(super) fn watch(&self, room: &RoomId) {
        if self.troubled.lock().insert(room.clone()) {
            self.wake.notify_one();
        }
    }
}
