//! Queue of messages to publish: bounded in bytes, with a deadline per message.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};
use weir_cluster::{BusError, Sample};

use super::{
    message::{FRESH, OutboxMessage, PublishReply},
    settlement::Settlement,
};
use crate::{Health, connection::failure::PAUSE};

/// Capacity in bytes: a third of a second at 1 Gbit/s.
const LIMIT: usize = 32 * 1024 * 1024;

/// Grace period after a lost connection, during which new signals are still enqueued.
const INTERRUPTION: Duration = Duration::from_secs(1);

/// Limits of one batch. Replies take long on a busy machine, and the messages that gather meanwhile
/// must not need many round trips.
const BATCH: usize = 2_048;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Messages to publish, and counters of their outcomes.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Held to enqueue a message, or to process a batch.
    state: Mutex<OutboxState>,
    filled: Notify,
    health: watch::Sender<Health>,
    /// Number of lost connections.
    epoch: AtomicU32,
    /// Number of dropped messages, by [`DropReason`].
    dropped: [AtomicU64; 5],
    /// Number of signal retries.
    retried: AtomicU64,
    /// Number of messages that were answered or dropped.
    done: watch::Sender<u64>,
}

/// Reason for dropping a message.
#[derive(Debug, Clone, Copy)]
enum DropReason {
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

#[derive(Debug)]
struct OutboxState {
    /// Number of messages ever enqueued.
    put: u64,
    queue: VecDeque<OutboxMessage>,
    /// Signals to retry at `retry_at`.
    retry: VecDeque<OutboxMessage>,
    retry_at: Option<Instant>,
    /// Bytes in both queues.
    bytes: usize,
    /// Set while there is no connection.
    outage: Option<Outage>,
}

#[derive(Debug)]
struct Outage {
    cause: Arc<str>,
    /// Time at which an established connection was lost, if there was one.
    lost: Option<Instant>,
}

impl Outbox {
    pub(crate) fn new() -> Arc<Self> {
        let cause: Arc<str> = "there is no connection yet".into();
        let outage = Outage {
            cause: Arc::clone(&cause),
            lost: None,
        };
        Arc::new(Self {
            state: Mutex::new(OutboxState {
                put: 0,
                queue: VecDeque::new(),
                retry: VecDeque::new(),
                retry_at: None,
                bytes: 0,
                outage: Some(outage),
            }),
            filled: Notify::new(),
            health: watch::channel(Health::Fails(cause)).0,
            epoch: AtomicU32::new(0),
            dropped: Default::default(),
            retried: AtomicU64::new(0),
            done: watch::channel(0).0,
        })
    }

    /// Enqueues a message. Never blocks.
    pub(crate) fn put(&self, message: OutboxMessage) -> Result<(), BusError> {
        let length = message.len();
        let mut state = self.state.lock();
        if let Some(Outage { cause, lost }) = &state.outage {
            let soon = lost.is_some_and(|lost| lost.elapsed() < INTERRUPTION);
            if !soon || !message.is_signal() {
                self.drop_many(DropReason::Unavailable, 1);
                let why = format!("there is no connection to Redis ({cause})");
                return Err(BusError::Unavailable(why));
            }
        }
        if state.bytes + length > LIMIT {
            self.drop_many(DropReason::Full, 1);
            return Err(BusError::Full { limit: LIMIT });
        }
        let first = state.queue.is_empty();
        state.put += 1;
        state.bytes += length;
        state.queue.push_back(message);
        drop(state);
        if first {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Returns the number of connections lost so far. The interest known before is void.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Waits until all messages enqueued before are answered or dropped, but at most `FRESH`.
    pub(crate) async fn flush(&self) {
        let put = self.state.lock().put;
        let mut done = self.done.subscribe();
        let flushed = done.wait_for(|done| *done >= put);
        // A longer wait is useless: the chunks are dropped by then.
        let _ = timeout(FRESH, flushed).await;
    }

    fn drop_many(&self, reason: DropReason, count: usize) {
        self.dropped[reason as usize].fetch_add(count as u64, Ordering::Relaxed);
    }

    fn count_done(&self, count: usize) {
        self.done.send_modify(|done| *done += count as u64);
    }

    /// Sets the health of the connection, and returns whether it worked before.
    pub(crate) fn set_health(&self, health: Health) -> bool {
        let mut state = self.state.lock();
        match health.cause() {
            None => {
                state.outage = None;
                state.retry_at = (!state.retry.is_empty()).then(Instant::now);
            }
            Some(cause) => {
                let lost = match &state.outage {
                    None => Some(Instant::now()),
                    Some(outage) => outage.lost,
                };
                let cause = Arc::clone(cause);
                state.outage = Some(Outage { cause, lost });
                self.epoch.fetch_add(1, Ordering::Relaxed);
            }
        }
        drop(state);
        self.health.send_replace(health).works()
    }

    /// Waits until a message is due: a new one, or one to retry.
    pub(crate) async fn due(&self) {
        loop {
            let retry_at = {
                let state = self.state.lock();
                if !state.queue.is_empty() {
                    return;
                }
                state.retry_at
            };
            let retry = sleep_until(retry_at.unwrap_or_else(Instant::now));
            tokio::select! {
                () = self.filled.notified() => {}
                () = retry, if retry_at.is_some() => return,
            }
        }
    }

    /// Removes the next batch from the queue, and drops messages past their deadline.
    pub(crate) fn batch(&self) -> Vec<OutboxMessage> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let (mut old, mut batch) = (Vec::new(), Vec::with_capacity(state.queue.len().min(BATCH)));
        let mut bytes = 0;
        let retry = state.retry_at.is_some_and(|at| at <= now);
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let first = if retry { state.retry.pop_front() } else { None };
            let Some(message) = first.or_else(|| state.queue.pop_front()) else {
                break;
            };
            let length = message.len();
            state.bytes -= length;
            if message.is_old(now) {
                old.push(message);
            } else {
                bytes += length;
                batch.push(message);
            }
        }
        if state.retry.is_empty() {
            state.retry_at = None;
        }
        drop(state);
        self.drop_old(old);
        batch
    }

    /// Drops queued messages past their deadline.
    pub(crate) fn expire(&self) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let mut old = Vec::new();
        let OutboxState { queue, retry, .. } = &mut *state;
        for waiting in [queue, retry] {
            let (gone, kept): (VecDeque<_>, _) = std::mem::take(waiting)
                .into_iter()
                .partition(|message| message.is_old(now));
            *waiting = kept;
            old.extend(gone);
        }
        state.bytes -= old.iter().map(OutboxMessage::len).sum::<usize>();
        drop(state);
        self.drop_old(old);
    }

    fn drop_old(&self, old: Vec<OutboxMessage>) {
        if !old.is_empty() {
            self.drop_many(DropReason::Old, old.len());
            self.count_done(old.len());
            old.into_iter().for_each(OutboxMessage::expire);
        }
    }

    /// Records the replies of Redis, and schedules a retry of rejected signals where that can help.
    /// Returns whether a new connection is needed.
    pub(crate) fn answered(&self, messages: Vec<OutboxMessage>, replies: &[PublishReply]) -> bool {
        let settled = Settlement::new(messages, replies, self.epoch());
        let retried = settled.retry.len() as u64;
        if retried > 0 {
            self.retried.fetch_add(retried, Ordering::Relaxed);
            let mut state = self.state.lock();
            let bytes = settled.retry.iter().map(OutboxMessage::len);
            state.bytes += bytes.sum::<usize>();
            state.retry_at = Some(Instant::now() + PAUSE);
            state.retry.extend(settled.retry);
        }
        self.drop_many(DropReason::Lost, settled.lost);
        self.drop_many(DropReason::Rejected, settled.rejected);
        self.drop_many(DropReason::Old, settled.old);
        for message in settled.published {
            message.settle(Ok(()));
        }
        settled.failed.into_iter().for_each(OutboxMessage::expire);
        self.count_done(settled.done);
        settled.reconnect
    }

    /// Returns a receiver of the connection's health.
    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Returns the metrics of the queue, the retries, and the dropped messages by reason.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let state = self.state.lock();
        let fronts = [state.queue.front(), state.retry.front()];
        let ages = fronts.into_iter().flatten().map(|front| front.at.elapsed());
        let age = ages.max().unwrap_or_default();
        let messages = (state.queue.len() + state.retry.len()) as u64;
        let bytes = state.bytes as u64;
        drop(state);
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut samples = vec![
            Sample::new("weir.bus.outbox.messages", &[], messages),
            Sample::new("weir.bus.outbox.size", &[], bytes),
            Sample::seconds("weir.bus.outbox.age", &[], age),
            Sample::new("weir.bus.retries", &[], value(&self.retried)),
        ];
        for (reason, name) in DropReason::ALL {
            let dropped = value(&self.dropped[reason as usize]);
            samples.push(Sample::new(
                "weir.bus.dropped",
                &[("reason", name)],
                dropped,
            ));
        }
        samples
    }
}
