//! What waits to be published: bounded in bytes, and gone when it is too old to be of use.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use opentelemetry::trace::SpanContext;
use redis::{Pipeline, PushInfo, PushKind, RedisError, Value, aio::ConnectionLike};
use tokio::{
    sync::{Notify, watch},
    task::yield_now,
    time::{Instant, sleep_until, timeout},
};
use tracing::warn;
use weir_cluster::{BusError, Hop, Relayed, Sample, Window};

use crate::{
    Health, Target,
    connect::Connection,
    subscriber::{backoff, tell},
    target::Topology,
};

/// What may wait, in bytes: a third of a second of a gigabit.
const LIMIT: usize = 32 * 1024 * 1024;

/// How old something may be that is still published.
const FRESH: Duration = Duration::from_secs(1);

/// What is sent to Redis at a time, before its answers are waited for: on a busy machine these take
/// long, and what comes until then must not take many turns.
const BATCH: usize = 2_048;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// What is sent without waiting for more: so many messages, or so many bytes.
const ENOUGH: usize = 64;
const ENOUGH_BYTES: usize = 256 * 1024;

/// How long before a window begins what was collected is due: a timer is late by up to a millisecond,
/// and who sleeps until the window begins shall find it due.
const EARLY: Duration = Duration::from_millis(2);

/// How many channels' interest is remembered; beyond it all is asked anew.
const REMEMBERED: usize = 100_000;

/// What is published, and what became of it.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// How long messages that are not urgent may be collected, if at all.
    window: Option<Window>,
    state: Mutex<State>,
    filled: Notify,
    health: watch::Sender<Health>,
    /// Messages that were dropped, by [`Dropped`].
    dropped: [AtomicU64; 4],
    /// How many messages have left the queue and were answered or dropped.
    done: watch::Sender<u64>,
}

/// Why a message was dropped.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Dropped {
    /// What waited had the size that it may have.
    Full,
    /// There was no connection.
    Unavailable,
    /// It had waited for too long.
    Old,
    /// The connection was lost before it was answered; it may have got through.
    Lost,
}

impl Dropped {
    pub(crate) const ALL: [Self; 4] = [Self::Full, Self::Unavailable, Self::Old, Self::Lost];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Unavailable => "unavailable",
            Self::Old => "old",
            Self::Lost => "lost",
        }
    }
}

#[derive(Debug, Default)]
struct State {
    /// How many messages were ever put into the queue.
    put: u64,
    queue: VecDeque<Message>,
    /// The bytes in `queue`.
    bytes: usize,
    /// Something in `queue` waits for no others.
    urgent: bool,
    /// How many nodes received what was last published, by channel.
    interest: HashMap<String, usize>,
}

impl State {
    /// Whether what is there is sent without waiting for more.
    fn is_due(&self) -> bool {
        self.urgent || self.queue.len() >= ENOUGH || self.bytes >= ENOUGH_BYTES
    }
}

/// What is to be published.
#[derive(Debug)]
pub(crate) struct Message {
    channel: String,
    payload: Bytes,
    /// It waits for no others.
    urgent: bool,
    /// How long it takes is measured.
    measured: bool,
    /// The span that its way is traced under.
    trace: Option<SpanContext>,
    at: Instant,
}

impl Message {
    /// A chunk, as the message `payload`.
    pub(crate) fn chunk(channel: String, payload: Bytes, relayed: &Relayed) -> Self {
        Self {
            channel,
            payload,
            urgent: false,
            measured: Hop::is_measured(relayed.chunk.seq),
            trace: relayed.trace.clone(),
            at: Instant::now(),
        }
    }

    /// A signal.
    pub(crate) fn signal(channel: String, payload: Bytes) -> Self {
        Self {
            channel,
            payload,
            urgent: true,
            measured: false,
            trace: None,
            at: Instant::now(),
        }
    }
}

impl Outbox {
    pub(crate) fn new(batch: Duration) -> Arc<Self> {
        Arc::new(Self {
            window: Window::new(batch),
            state: Mutex::default(),
            filled: Notify::new(),
            health: watch::channel(Health::fails("there is no connection yet")).0,
            dropped: Default::default(),
            done: watch::channel(0).0,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message in. Never blocks.
    pub(crate) fn put(&self, message: Message) -> Result<(), BusError> {
        if !self.health.borrow().works() {
            self.drop_many(Dropped::Unavailable, 1);
            return Err(BusError::Unavailable(
                "there is no connection to Redis".to_owned(),
            ));
        }
        let mut state = self.state();
        if state.bytes + message.payload.len() > LIMIT {
            self.drop_many(Dropped::Full, 1);
            return Err(BusError::Full { limit: LIMIT });
        }
        let (first, was_due) = (state.queue.is_empty(), state.is_due());
        state.put += 1;
        state.bytes += message.payload.len();
        state.urgent |= message.urgent;
        state.queue.push_back(message);
        // Whoever sends looks when something waits, and again when it need not wait for more.
        let look = first || !was_due && state.is_due();
        drop(state);
        if look {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// How many nodes received what was last published on a channel.
    pub(crate) fn interest(&self, channel: &str) -> Option<usize> {
        self.state().interest.get(channel).copied()
    }

    /// Waits until what was put in before has been answered or dropped, but not for long.
    pub(crate) async fn flush(&self) {
        let put = {
            let mut state = self.state();
            state.urgent = !state.queue.is_empty();
            state.put
        };
        self.filled.notify_one();
        let mut done = self.done.subscribe();
        let flushed = done.wait_for(|done| *done >= put);
        // Whoever waits longer than that gains nothing: it is dropped by then.
        let _ = timeout(FRESH, flushed).await;
    }

    fn drop_many(&self, why: Dropped, count: usize) {
        self.dropped[why as usize].fetch_add(count as u64, Ordering::Relaxed);
    }

    fn count_done(&self, count: usize) {
        self.done.send_modify(|done| *done += count as u64);
    }

    /// Takes the next messages that are not too old.
    fn batch(&self) -> Vec<Message> {
        let mut state = self.state();
        let mut batch = Vec::new();
        let (mut bytes, mut old) = (0, 0);
        while batch.len() < BATCH
            && bytes < BATCH_BYTES
            && let Some(message) = state.queue.pop_front()
        {
            state.bytes -= message.payload.len();
            if message.at.elapsed() <= FRESH {
                bytes += message.payload.len();
                batch.push(message);
            } else {
                old += 1;
            }
        }
        state.urgent &= !state.queue.is_empty();
        drop(state);
        if old > 0 {
            self.drop_many(Dropped::Old, old);
            self.count_done(old);
        }
        batch
    }

    /// Remembers how many nodes received each of the messages.
    fn received(&self, messages: Vec<Message>, nodes: Vec<Option<usize>>) {
        let mut state = self.state();
        if state.interest.len() >= REMEMBERED {
            state.interest.clear();
        }
        for (message, nodes) in messages.into_iter().zip(nodes) {
            if message.measured {
                Hop::Bus.took(message.at.elapsed());
            }
            if let Some(trace) = &message.trace {
                Hop::Bus.traced(trace, message.at.elapsed());
            }
            match nodes {
                Some(nodes) => state.interest.insert(message.channel, nodes),
                None => state.interest.remove(&message.channel),
            };
        }
    }

    /// Whether there is a connection to publish on.
    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// What waits, as metrics.
    pub(crate) fn samples(&self) -> [Sample; 3] {
        let state = self.state();
        let age = state.queue.front().map(|oldest| oldest.at.elapsed());
        [
            Sample::new("weir.bus.outbox.messages", &[], state.queue.len() as u64),
            Sample::new("weir.bus.outbox.size", &[], state.bytes as u64),
            Sample::seconds("weir.bus.outbox.age", &[], age.unwrap_or_default()),
        ]
    }

    /// Messages that were dropped since the start, by why.
    pub(crate) fn dropped(&self, why: Dropped) -> u64 {
        self.dropped[why as usize].load(Ordering::Relaxed)
    }
}

/// Publishes what is put in, and connects again when the connection is lost.
pub(crate) async fn run(target: Target, outbox: Arc<Outbox>) {
    let mut attempt = 0;
    loop {
        let mut cause = "the connection was lost".to_owned();
        if let Err(error) = serve(&target, &outbox, &mut attempt).await {
            tell(attempt, "cannot publish", &target, &error);
            cause = error.to_string();
        }
        if outbox.health.send_replace(Health::fails(&cause)).works() {
            warn!(redis = %target, "nothing can be published; connecting again");
        }
        outbox.state().interest.clear();
        backoff(&mut attempt).await;
    }
}

async fn serve(target: &Target, outbox: &Outbox, attempt: &mut u32) -> Result<(), RedisError> {
    let lost = Arc::new(Notify::new());
    let on_push = {
        let lost = Arc::clone(&lost);
        // The client of a cluster looks itself for a shard that it has lost; the others stay.
        let alone = !matches!(target.topology, Topology::Cluster);
        move |info: PushInfo| {
            if info.kind == PushKind::Disconnection && alone {
                lost.notify_one();
            }
        }
    };
    let connection = Connection::open(target, Arc::new(on_push)).await?;
    *attempt = 0;
    outbox.health.send_replace(Health::Works);
    // Until then what comes is collected: who sends rarely never waits.
    let mut next = Instant::now();
    loop {
        let (empty, due) = {
            let state = outbox.state();
            (state.queue.is_empty(), state.is_due())
        };
        if empty || !due && Instant::now() < next {
            tokio::select! {
                // A lost connection first: nothing can be published on it.
                biased;
                () = lost.notified() => return Ok(()),
                () = outbox.filled.notified() => {}
                () = sleep_until(next), if !empty => {}
            }
            continue;
        }
        if let Some(window) = outbox.window {
            // Whoever has something to put in at this moment does so first, but a busy thread may come
            // back late: what is enough waits for nobody.
            if !due {
                yield_now().await;
            }
            let beginning = window.until(Window::now() + EARLY, Duration::ZERO);
            next = Instant::now() + beginning;
        }
        let batch = outbox.batch();
        if batch.is_empty() {
            continue;
        }
        let published = tokio::select! {
            biased;
            () = lost.notified() => None,
            published = publish(&connection, &batch) => Some(published),
        };
        let count = batch.len();
        match published {
            Some(Ok(published)) => {
                let lost = published.iter().filter(|nodes| nodes.is_none()).count();
                outbox.drop_many(Dropped::Lost, lost);
                outbox.received(batch, published);
                outbox.count_done(count);
            }
            failed => {
                outbox.drop_many(Dropped::Lost, count);
                outbox.count_done(count);
                return failed.map_or(Ok(()), |failed| failed.map(|_| ()));
            }
        }
    }
}

/// Publishes messages, those of each room in their order; answers with how many nodes received
/// each, and none for those whose shard is away.
async fn publish(
    connection: &Connection,
    batch: &[Message],
) -> Result<Vec<Option<usize>>, RedisError> {
    match connection {
        Connection::One { connection, .. } => {
            let counts = send(connection.clone(), "PUBLISH", batch.iter().collect()).await?;
            Ok(counts.into_iter().map(Some).collect())
        }
        Connection::Cluster(connection) => {
            // The client keeps the order of one pipeline only, and a pipeline is for one shard.
            let mut rooms: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            for (at, message) in batch.iter().enumerate() {
                let tag = message.channel.split('}').next().unwrap_or_default();
                rooms.entry(tag).or_default().push(at);
            }
            let sending = rooms.values().map(|places| {
                let messages = places.iter().map(|at| &batch[*at]).collect();
                send(connection.clone(), "SPUBLISH", messages)
            });
            let answers = join_all(sending).await;
            let mut counts = vec![None; batch.len()];
            let mut failed = None;
            for (places, answer) in rooms.values().zip(answers) {
                match answer {
                    Ok(answer) => {
                        for (at, count) in places.iter().zip(answer) {
                            counts[*at] = Some(count);
                        }
                    }
                    Err(error) => failed = Some(error),
                }
            }
            // A shard that is away must not keep the others.
            match failed {
                Some(error) if counts.iter().all(Option::is_none) => Err(error),
                _ => Ok(counts),
            }
        }
    }
}

async fn send(
    mut connection: impl ConnectionLike,
    name: &str,
    messages: Vec<&Message>,
) -> Result<Vec<usize>, RedisError> {
    let mut pipeline = Pipeline::with_capacity(messages.len());
    for Message {
        channel, payload, ..
    } in &messages
    {
        pipeline.cmd(name).arg(channel).arg(&payload[..]);
    }
    let answers = connection
        .req_packed_commands(&pipeline, 0, messages.len())
        .await?;
    let counts = answers.into_iter().map(|answer| match answer {
        Value::Int(nodes) => usize::try_from(nodes).unwrap_or_default(),
        _ => 0,
    });
    Ok(counts.collect())
}
