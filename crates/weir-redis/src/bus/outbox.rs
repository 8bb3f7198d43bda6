//! Queue of messages to publish: bounded in bytes, with a deadline per message.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use opentelemetry::trace::SpanContext;
use tokio::{
    sync::{Notify, oneshot, watch},
    time::{Instant, sleep_until, timeout},
};
use weir_cluster::{BusError, Hop, Relayed, Sample};

use crate::{
    Health,
    connection::failure::{PAUSE, Remedy, remedy},
};

/// Capacity in bytes: a third of a second at 1 Gbit/s.
const LIMIT: usize = 32 * 1024 * 1024;

/// Maximum age of a chunk at publication.
const FRESH: Duration = Duration::from_secs(1);

/// Publication deadline of a signal, retries included.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

/// Grace period after a lost connection, during which new signals are still enqueued.
const INTERRUPTION: Duration = Duration::from_secs(1);

/// Limits of one batch. Answers take long on a busy machine, and the messages that arrive meanwhile
/// must not need many round trips.
const BATCH: usize = 2_048;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Number of channels with a remembered subscriber count. At the limit all are forgotten.
const REMEMBERED: usize = 100_000;

/// Messages to publish, and counters of their outcomes.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    filled: Notify,
    health: watch::Sender<Health>,
    /// Number of dropped messages, by [`Dropped`].
    dropped: [AtomicU64; 5],
    /// Number of signal retries.
    retried: AtomicU64,
    /// Number of messages that were answered or dropped.
    done: watch::Sender<u64>,
}

/// Reason for dropping a message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Dropped {
    /// The queue was at capacity.
    Full,
    /// There was no connection.
    Unavailable,
    /// The message exceeded its deadline.
    Old,
    /// The connection was lost before the answer; the message may have been delivered.
    Lost,
    /// Redis answered with an error.
    Rejected,
}

impl Dropped {
    pub(crate) const ALL: [Self; 5] = [
        Self::Full,
        Self::Unavailable,
        Self::Old,
        Self::Lost,
        Self::Rejected,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Unavailable => "unavailable",
            Self::Old => "old",
            Self::Lost => "lost",
            Self::Rejected => "rejected",
        }
    }
}

/// Answer of Redis to a message.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Number of nodes that received it.
    Nodes(usize),
    /// Error text.
    Refused(Arc<str>),
    /// No answer: the connection was lost.
    Lost,
}

#[derive(Debug, Default)]
struct State {
    /// Number of messages ever enqueued.
    put: u64,
    queue: VecDeque<Message>,
    /// Signals to retry at `again_at`.
    again: VecDeque<Message>,
    again_at: Option<Instant>,
    /// Bytes in both queues.
    bytes: usize,
    /// Number of nodes that received the last message, by channel.
    interest: HashMap<String, usize>,
    /// Time at which an established connection was lost.
    lost: Option<Instant>,
}

/// Message to publish.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) channel: String,
    pub(crate) payload: Bytes,
    kind: Kind,
    at: Instant,
}

#[derive(Debug)]
enum Kind {
    /// Chunk: dropped if it cannot be published.
    Chunk {
        /// True if its latency is measured.
        measured: bool,
        /// Parent span of its trace.
        trace: Option<SpanContext>,
    },
    /// Signal: retried until its deadline.
    Signal {
        /// Channel that reports the outcome, if anybody waits for it.
        waiting: Option<oneshot::Sender<Result<(), BusError>>>,
        /// Last error reply of Redis, if any.
        why: Option<Arc<str>>,
    },
}

impl Message {
    /// Creates the message of a chunk with this payload.
    pub(crate) fn chunk(channel: String, payload: Bytes, relayed: &Relayed) -> Self {
        let kind = Kind::Chunk {
            measured: Hop::is_measured(relayed.chunk.seq),
            trace: relayed.trace.clone(),
        };
        Self::new(channel, payload, kind)
    }

    /// Creates the message of a signal.
    pub(crate) fn signal(channel: String, payload: Bytes) -> Self {
        let (waiting, why) = (None, None);
        Self::new(channel, payload, Kind::Signal { waiting, why })
    }

    /// Creates the message of a signal, and the receiver of its outcome.
    pub(crate) fn awaited(
        channel: String,
        payload: Bytes,
    ) -> (Self, oneshot::Receiver<Result<(), BusError>>) {
        let (waiting, outcome) = oneshot::channel();
        let (waiting, why) = (Some(waiting), None);
        let message = Self::new(channel, payload, Kind::Signal { waiting, why });
        (message, outcome)
    }

    fn new(channel: String, payload: Bytes, kind: Kind) -> Self {
        Self {
            channel,
            payload,
            kind,
            at: Instant::now(),
        }
    }

    fn is_signal(&self) -> bool {
        matches!(self.kind, Kind::Signal { .. })
    }

    fn is_old(&self) -> bool {
        let age = self.at.elapsed();
        age > if self.is_signal() { DEADLINE } else { FRESH }
    }

    /// Reports the outcome to the waiting task, if any.
    fn settle(self, outcome: Result<(), BusError>) {
        if let Kind::Signal {
            waiting: Some(waiting),
            ..
        } = self.kind
        {
            // The waiting task may have timed out.
            let _ = waiting.send(outcome);
        }
    }

    /// Reports to the waiting task, if any, that the message was given up.
    fn expire(self) {
        let why = match &self.kind {
            Kind::Signal { why: Some(why), .. } => why.to_string(),
            _ => "Redis did not answer in time".to_owned(),
        };
        self.settle(Err(BusError::Unavailable(why)));
    }
}

impl Outbox {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            filled: Notify::new(),
            health: watch::channel(Health::fails("there is no connection yet")).0,
            dropped: Default::default(),
            retried: AtomicU64::new(0),
            done: watch::channel(0).0,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enqueues a message. Never blocks.
    pub(crate) fn put(&self, message: Message) -> Result<(), BusError> {
        let mut state = self.state();
        let soon = |lost: Instant| message.is_signal() && lost.elapsed() < INTERRUPTION;
        if let Health::Fails(why) = &*self.health.borrow()
            && !state.lost.is_some_and(soon)
        {
            self.drop_many(Dropped::Unavailable, 1);
            let why = format!("there is no connection to Redis ({why})");
            return Err(BusError::Unavailable(why));
        }
        if state.bytes + message.payload.len() > LIMIT {
            self.drop_many(Dropped::Full, 1);
            return Err(BusError::Full { limit: LIMIT });
        }
        let first = state.queue.is_empty();
        state.put += 1;
        state.bytes += message.payload.len();
        state.queue.push_back(message);
        drop(state);
        if first {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Returns how many nodes received the last message on a channel.
    pub(crate) fn interest(&self, channel: &str) -> Option<usize> {
        self.state().interest.get(channel).copied()
    }

    /// Waits until all messages enqueued before are answered or dropped, but at most `FRESH`.
    pub(crate) async fn flush(&self) {
        let put = self.state().put;
        let mut done = self.done.subscribe();
        let flushed = done.wait_for(|done| *done >= put);
        // A longer wait is useless: the chunks are dropped by then.
        let _ = timeout(FRESH, flushed).await;
    }

    fn drop_many(&self, why: Dropped, count: usize) {
        self.dropped[why as usize].fetch_add(count as u64, Ordering::Relaxed);
    }

    fn count_done(&self, count: usize) {
        self.done.send_modify(|done| *done += count as u64);
    }

    /// Sets the health of the connection, and returns whether it worked before.
    pub(crate) fn set_health(&self, health: Health) -> bool {
        let mut state = self.state();
        if health.works() {
            state.lost = None;
            state.again_at = (!state.again.is_empty()).then(Instant::now);
        } else {
            if self.health.borrow().works() {
                state.lost = Some(Instant::now());
            }
            state.interest.clear();
        }
        drop(state);
        self.health.send_replace(health).works()
    }

    /// Waits until a message is due: a new one, or one to retry.
    pub(crate) async fn due(&self) {
        loop {
            let again = {
                let state = self.state();
                if !state.queue.is_empty() {
                    return;
                }
                state.again_at
            };
            tokio::select! {
                () = self.filled.notified() => {}
                () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => return,
            }
        }
    }

    /// Removes the next batch from the queue, and drops messages past their deadline.
    pub(crate) fn batch(&self) -> Vec<Message> {
        let mut state = self.state();
        let mut old = Vec::new();
        let mut batch = Vec::new();
        let mut bytes = 0;
        let again = state.again_at.is_some_and(|at| at <= Instant::now());
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let first = if again { state.again.pop_front() } else { None };
            let Some(message) = first.or_else(|| state.queue.pop_front()) else {
                break;
            };
            state.bytes -= message.payload.len();
            if message.is_old() {
                old.push(message);
            } else {
                bytes += message.payload.len();
                batch.push(message);
            }
        }
        if state.again.is_empty() {
            state.again_at = None;
        }
        drop(state);
        if !old.is_empty() {
            self.drop_many(Dropped::Old, old.len());
            self.count_done(old.len());
            old.into_iter().for_each(Message::expire);
        }
        batch
    }

    /// Drops queued messages past their deadline.
    pub(crate) fn expire(&self) {
        let mut state = self.state();
        let mut old = Vec::new();
        let State { queue, again, .. } = &mut *state;
        for waiting in [queue, again] {
            let (gone, kept): (VecDeque<_>, _) = std::mem::take(waiting)
                .into_iter()
                .partition(Message::is_old);
            *waiting = kept;
            old.extend(gone);
        }
        state.bytes -= old.iter().map(|old| old.payload.len()).sum::<usize>();
        drop(state);
        self.drop_many(Dropped::Old, old.len());
        self.count_done(old.len());
        old.into_iter().for_each(Message::expire);
    }

    /// Records the answers of Redis, and schedules a retry for rejected signals where that can
    /// help. Returns whether a new connection is needed.
    pub(crate) fn answered(&self, messages: Vec<Message>, answers: &[Answer]) -> bool {
        let mut reconnect = false;
        let (mut lost, mut rejected, mut old) = (0, 0, 0);
        let mut settled = Vec::new();
        let mut again = Vec::new();
        let mut done = 0;
        let mut state = self.state();
        if state.interest.len() >= REMEMBERED {
            state.interest.clear();
        }
        for (mut message, answer) in messages.into_iter().zip(answers) {
            done += 1;
            match (&mut message.kind, answer) {
                (Kind::Chunk { measured, trace }, Answer::Nodes(nodes)) => {
                    if *measured {
                        Hop::Bus.took(message.at.elapsed());
                    }
                    if let Some(trace) = trace {
                        Hop::Bus.traced(trace, message.at.elapsed());
                    }
                    state.interest.insert(message.channel, *nodes);
                }
                (Kind::Signal { .. }, Answer::Nodes(_)) => settled.push((message, Ok(()))),
                (Kind::Chunk { .. }, Answer::Lost) => {
                    lost += 1;
                    state.interest.remove(&message.channel);
                }
                (Kind::Chunk { .. }, Answer::Refused(text)) => {
                    rejected += 1;
                    reconnect |= remedy(text) == Remedy::Reconnect;
                }
                (Kind::Signal { why, .. }, answer) => {
                    let last = why.take();
                    let (cause, helps) = match answer {
                        Answer::Refused(text) => {
                            let remedy = remedy(text);
                            reconnect |= remedy == Remedy::Reconnect;
                            let cause = Some(format!("Redis: {text}").into());
                            (cause, remedy != Remedy::Fail)
                        }
                        _ => (last, true),
                    };
                    *why = cause;
                    if helps && !message.is_old() {
                        done -= 1;
                        state.bytes += message.payload.len();
                        again.push(message);
                    } else {
                        match answer {
                            Answer::Refused(_) => rejected += 1,
                            _ => old += 1,
                        }
                        settled.push((message, Err(())));
                    }
                }
            }
        }
        self.retried
            .fetch_add(again.len() as u64, Ordering::Relaxed);
        if !again.is_empty() {
            state.again_at = Some(Instant::now() + PAUSE);
            state.again.extend(again);
        }
        drop(state);
        self.drop_many(Dropped::Lost, lost);
        self.drop_many(Dropped::Rejected, rejected);
        self.drop_many(Dropped::Old, old);
        for (message, outcome) in settled {
            match outcome {
                Ok(()) => message.settle(Ok(())),
                Err(()) => message.expire(),
            }
        }
        self.count_done(done);
        reconnect
    }

    /// Returns a receiver of the connection's health.
    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Returns metrics of the queue, and the number of retries.
    pub(crate) fn samples(&self) -> [Sample; 4] {
        let state = self.state();
        let (queue, again) = (state.queue.front(), state.again.front());
        let oldest = queue
            .into_iter()
            .chain(again)
            .map(|oldest| oldest.at.elapsed());
        let age = oldest.max().unwrap_or_default();
        let messages = state.queue.len() + state.again.len();
        let retried = self.retried.load(Ordering::Relaxed);
        [
            Sample::new("weir.bus.outbox.messages", &[], messages as u64),
            Sample::new("weir.bus.outbox.size", &[], state.bytes as u64),
            Sample::seconds("weir.bus.outbox.age", &[], age),
            Sample::new("weir.bus.retries", &[], retried),
        ]
    }

    /// Returns the number of messages dropped since the start for this reason.
    pub(crate) fn dropped(&self, why: Dropped) -> u64 {
        self.dropped[why as usize].load(Ordering::Relaxed)
    }
}
