//! Messages for one server, and the state of its connection.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::message::OutboxMessage;
use crate::{
    Health,
    connection::{cluster::Slot, server::ServerId},
};

/// Grace period after a lost connection, during which new signals are still enqueued.
const INTERRUPTION: Duration = Duration::from_secs(1);

/// Limits of one batch. Replies take long on a busy machine, and the messages that gather meanwhile
/// must not need many round trips.
const BATCH: usize = 2_048;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Cause of failure before the first connection.
pub(super) const NOT_YET: &str = "there is no connection yet";

/// Messages for one server. They keep their order, also when a slot is handed to another lane.
#[derive(Debug)]
pub(super) struct ServerLane {
    /// Server of the lane; `None` for the slots of a Redis Cluster whose owner was never known.
    pub(super) server: Option<ServerId>,
    pub(super) queue: VecDeque<OutboxMessage>,
    /// Signals to retry at `retry_at`, which is set if there are any.
    pub(super) retry: VecDeque<OutboxMessage>,
    pub(super) retry_at: Option<Instant>,
    pub(super) link: LaneLink,
    /// True from removing a batch until its replies.
    pub(super) in_flight: bool,
    /// Number of owned slots.
    pub(super) slots: usize,
    /// Slots to hand over once nothing is in flight, with the lanes that are to own them.
    pub(super) leaving: HashMap<Slot, usize>,
    /// True while a task publishes the messages.
    pub(super) served: bool,
    /// Number of messages ever enqueued, and of those answered, dropped or handed over.
    pub(super) put: u64,
    pub(super) done: u64,
    /// Notified when a message becomes due, or the last slot is handed over.
    pub(super) filled: Arc<Notify>,
}

/// State of a lane's connection.
#[derive(Debug)]
pub(super) enum LaneLink {
    /// The first attempt to connect is under way. Messages gather meanwhile.
    Opening,
    /// The connection works.
    Works,
    /// There is no connection.
    Down(Outage),
}

#[derive(Debug)]
pub(super) struct Outage {
    pub(super) cause: Arc<str>,
    /// Time at which messages stopped being accepted, if they ever were.
    lost: Option<Instant>,
}

impl Outage {
    /// Creates the outage of a lane that has never accepted a message.
    pub(super) fn initial(cause: Arc<str>) -> Self {
        Self { cause, lost: None }
    }
}

/// Messages removed from a lane.
#[derive(Debug, Default)]
pub(super) struct RemovedMessages {
    /// Messages to publish.
    pub(super) batch: Vec<OutboxMessage>,
    /// Messages past their deadline.
    pub(super) old: Vec<OutboxMessage>,
    /// Bytes of both.
    pub(super) bytes: usize,
}

impl ServerLane {
    pub(super) fn new(server: Option<ServerId>, link: LaneLink) -> Self {
        Self {
            server,
            queue: VecDeque::new(),
            retry: VecDeque::new(),
            retry_at: None,
            link,
            in_flight: false,
            slots: 0,
            leaving: HashMap::new(),
            served: false,
            put: 0,
            done: 0,
            filled: Arc::default(),
        }
    }

    /// Returns why a message is not accepted, if it is not.
    pub(super) fn refusal(&self, message: &OutboxMessage) -> Option<&Arc<str>> {
        match &self.link {
            LaneLink::Down(Outage { cause, lost }) => {
                let soon = lost.is_some_and(|lost| lost.elapsed() < INTERRUPTION);
                (!soon || !message.is_signal()).then_some(cause)
            }
            LaneLink::Opening | LaneLink::Works => None,
        }
    }

    /// Enqueues a message. Returns the lane's `filled` if it has to be notified.
    pub(super) fn push(&mut self, message: OutboxMessage) -> Option<Arc<Notify>> {
        let first = self.queue.is_empty();
        self.put += 1;
        self.queue.push_back(message);
        first.then(|| Arc::clone(&self.filled))
    }

    /// Enqueues signals to retry at `at`.
    pub(super) fn push_retry(&mut self, messages: Vec<OutboxMessage>, at: Instant) {
        if !messages.is_empty() {
            self.retry_at = Some(self.retry_at.map_or(at, |known| known.min(at)));
            self.retry.extend(messages);
        }
    }

    /// Removes the next batch from the queues.
    pub(super) fn batch(&mut self, now: Instant) -> RemovedMessages {
        let mut removed = RemovedMessages {
            batch: Vec::with_capacity(self.queue.len().min(BATCH)),
            ..RemovedMessages::default()
        };
        let mut bytes = 0;
        let retry = self.retry_at.is_some_and(|at| at <= now);
        while removed.batch.len() < BATCH && bytes < BATCH_BYTES {
            let first = if retry { self.retry.pop_front() } else { None };
            let Some(message) = first.or_else(|| self.queue.pop_front()) else {
                break;
            };
            let length = message.len();
            removed.bytes += length;
            if message.is_old(now) {
                removed.old.push(message);
            } else {
                bytes += length;
                removed.batch.push(message);
            }
        }
        if self.retry.is_empty() {
            self.retry_at = None;
        }
        self.in_flight = !removed.batch.is_empty();
        self.done += removed.old.len() as u64;
        removed
    }

    /// Removes messages past their deadline.
    pub(super) fn expire(&mut self, now: Instant) -> RemovedMessages {
        let mut removed = RemovedMessages::default();
        for waiting in [&mut self.queue, &mut self.retry] {
            let (gone, kept): (VecDeque<_>, _) = std::mem::take(waiting)
                .into_iter()
                .partition(|message| message.is_old(now));
            *waiting = kept;
            removed.old.extend(gone);
        }
        if self.retry.is_empty() {
            self.retry_at = None;
        }
        removed.bytes = removed.old.iter().map(OutboxMessage::len).sum();
        self.done += removed.old.len() as u64;
        removed
    }

    /// Sets the health of the connection, and returns whether it worked before.
    pub(super) fn set_health(&mut self, health: &Health) -> bool {
        let now = Instant::now();
        let link = match health.cause() {
            None => {
                self.retry_at = (!self.retry.is_empty()).then_some(now);
                LaneLink::Works
            }
            Some(cause) => LaneLink::Down(Outage {
                cause: Arc::clone(cause),
                lost: match &self.link {
                    LaneLink::Opening | LaneLink::Works => Some(now),
                    LaneLink::Down(outage) => outage.lost,
                },
            }),
        };
        matches!(std::mem::replace(&mut self.link, link), LaneLink::Works)
    }

    /// Returns the age of the oldest queued message.
    pub(super) fn age(&self) -> Duration {
        let fronts = [self.queue.front(), self.retry.front()];
        let ages = fronts.into_iter().flatten().map(|front| front.at.elapsed());
        ages.max().unwrap_or_default()
    }
}
