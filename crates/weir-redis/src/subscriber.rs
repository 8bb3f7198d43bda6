//! Channels of Redis that a node is told of, whatever becomes of the connection.

use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use rand::Rng;
use redis::{PushInfo, PushKind, RedisError, Value, cmd};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tracing::{debug, warn};

use crate::{Target, connect::Connection};

/// How many channels one command subscribes to.
const BATCH: usize = 500;

/// How many commands subscribe at a time in a Redis Cluster, where each takes one channel.
const AT_ONCE: usize = 64;

/// How long a subscription may take to be confirmed.
const CONFIRMATION: Duration = Duration::from_millis(1_500);

/// How often the connection is looked at: a peer that is gone may look like one that is silent.
const LOOK: Duration = Duration::from_secs(1);

/// How long subscriptions to a Redis Cluster are made anew at each look: a shard that is just back may
/// confirm one and forget it, without a word.
const SETTLING: Duration = Duration::from_secs(3);

/// How long Redis may take to answer then.
const ANSWER: Duration = Duration::from_secs(2);

/// How long to wait before the first attempt to connect again, in milliseconds, and at the most.
const BACKOFF: (u64, u64) = (50, 500);

/// After so many attempts, about a second, trouble is not a moment's.
const LASTING: u32 = 5;

/// Waits before another attempt to connect: longer after each, and not all nodes at once.
pub(crate) async fn backoff(attempt: &mut u32) {
    let delay = (BACKOFF.0 << (*attempt).min(10)).min(BACKOFF.1);
    *attempt += 1;
    let jittered = rand::rng().random_range(delay / 2..=delay);
    // The one place that waits for time to pass: nothing tells when Redis is back.
    #[allow(clippy::disallowed_methods)]
    tokio::time::sleep(Duration::from_millis(jittered)).await;
}

/// Logs why an attempt to connect has failed: loudly at first, and once more if it goes on.
pub(crate) fn tell(attempt: u32, what: &'static str, target: &Target, error: &RedisError) {
    if attempt == 0 || attempt == LASTING {
        warn!(%error, redis = %target, "{what}");
    } else {
        debug!(%error, redis = %target, "{what}");
    }
}

/// What takes a message: the channel and what was published. It must not block.
pub(crate) type OnMessage = Arc<dyn Fn(&[u8], Bytes) + Send + Sync>;

/// Redis cannot be reached now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Redis did not confirm a subscription in time")]
pub(crate) struct Unconfirmed;

/// A connection that subscribes to what is wanted, and again after it was lost.
pub(crate) struct Subscriber {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    on_message: OnMessage,
    channels: Mutex<Channels>,
    /// Told when what is wanted has changed.
    wanted: Notify,
    /// Told when the connection is lost.
    lost: Notify,
    /// Raised when a subscription was confirmed.
    confirmed: watch::Sender<u64>,
    connected: watch::Sender<bool>,
    /// Raised when channels were subscribed to that should have been before.
    resubscribed: watch::Sender<u64>,
    reconnects: AtomicU64,
}

/// What is wanted, and what is so.
#[derive(Debug, Default)]
struct Channels {
    wanted: HashSet<String>,
    subscribed: HashSet<String>,
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
    pub(crate) fn new(target: &Target, on_message: OnMessage) -> Self {
        let shared = Arc::new(Shared {
            on_message,
            channels: Mutex::default(),
            wanted: Notify::new(),
            lost: Notify::new(),
            confirmed: watch::channel(0).0,
            connected: watch::channel(false).0,
            resubscribed: watch::channel(0).0,
            reconnects: AtomicU64::new(0),
        });
        let task = tokio::spawn(run(target.clone(), Arc::clone(&shared)));
        Self {
            shared,
            task: task.abort_handle(),
        }
    }

    /// Whether everything that is wanted was subscribed to when the connection was made, and it has
    /// not been lost since.
    pub(crate) fn connected(&self) -> watch::Receiver<bool> {
        self.shared.connected.subscribe()
    }

    /// Changes when what was published may have been missed: after each connection, and in a Redis
    /// Cluster whenever channels of a shard that was away are subscribed to again.
    pub(crate) fn resubscribed(&self) -> watch::Receiver<u64> {
        self.shared.resubscribed.subscribe()
    }

    /// Subscribes to a channel until it is [unsubscribed](Self::unsubscribe) from; answers when
    /// Redis has confirmed it.
    ///
    /// # Errors
    /// If Redis does not within 1.5 s. The channel is wanted all the same.
    pub(crate) async fn subscribe(&self, channel: &str) -> Result<(), Unconfirmed> {
        let mut confirmed = self.shared.confirmed.subscribe();
        {
            let mut channels = self.shared.channels();
            if channels.wanted.contains(channel) && channels.subscribed.contains(channel) {
                return Ok(());
            }
            channels.wanted.insert(channel.to_owned());
        }
        self.shared.wanted.notify_one();
        let there = confirmed.wait_for(|_| self.shared.channels().subscribed.contains(channel));
        match timeout(CONFIRMATION, there).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Unconfirmed),
        }
    }

    /// Is told of a channel no longer.
    pub(crate) fn unsubscribe(&self, channel: &str) {
        self.shared.channels().wanted.remove(channel);
        self.shared.wanted.notify_one();
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn channels(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what Redis pushes: messages too, where the connection cannot take them out before.
    fn push(&self, PushInfo { kind, data }: PushInfo) {
        match kind {
            PushKind::Message | PushKind::SMessage => {
                let mut data = data.into_iter();
                if let (Some(Value::BulkString(channel)), Some(Value::BulkString(payload))) =
                    (data.next(), data.next())
                {
                    (self.on_message)(&channel, payload.into());
                }
            }
            PushKind::Disconnection => self.lost.notify_one(),
            _ => {}
        }
    }
}

/// Connects, subscribes, and begins again when the connection is lost.
async fn run(target: Target, shared: Arc<Shared>) {
    let mut attempt = 0;
    loop {
        if let Err(error) = serve(&target, &shared, &mut attempt).await {
            tell(attempt, "cannot subscribe", &target, &error);
        }
        if shared.connected.send_replace(false) {
            warn!(redis = %target, "subscriptions are lost; connecting again");
        }
        shared.channels().subscribed.clear();
        backoff(&mut attempt).await;
    }
}

/// Serves one connection until it is lost.
async fn serve(target: &Target, shared: &Arc<Shared>, attempt: &mut u32) -> Result<(), RedisError> {
    // Of this connection alone: one that was lost before may be heard of late.
    let lost = Arc::new(Notify::new());
    let on_push = {
        let (shared, lost) = (Arc::clone(shared), Arc::clone(&lost));
        move |info: PushInfo| match info.kind {
            PushKind::Disconnection => lost.notify_one(),
            _ => shared.push(info),
        }
    };
    let on_message = Arc::clone(&shared.on_message);
    let mut connection = Connection::open_tapped(target, Arc::new(on_push), on_message).await?;
    let mut complete = true;
    adjust(&mut connection, shared, &mut complete).await?;
    *attempt = 0;
    shared.reconnects.fetch_add(1, Ordering::Relaxed);
    shared.connected.send_replace(true);
    shared.resubscribed.send_modify(|count| *count += 1);
    debug!(redis = %target, "subscribed");
    let mut settled = Instant::now() + SETTLING;
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // A lost connection first: nothing else can succeed on it.
            biased;
            () = lost.notified() => return Ok(()),
            () = shared.wanted.notified() => {
                adjust(&mut connection, shared, &mut complete).await?;
            }
            _ = looks.tick() => {
                let ping = cmd("PING");
                match timeout(ANSWER, connection.send(&ping)).await {
                    Ok(answer) => answer?,
                    Err(_) => return Ok(()),
                };
                if connection.is_cluster() && Instant::now() < settled {
                    complete &= renew(&mut connection, shared).await?;
                }
                // What failed to be subscribed to in a cluster is tried again.
                let was_complete = complete;
                adjust(&mut connection, shared, &mut complete).await?;
                if complete && !was_complete {
                    settled = Instant::now() + SETTLING;
                }
            }
        }
    }
}

/// Subscribes to what is wanted and is not so yet, and the other way round. `complete` is whether all
/// could be subscribed to, the last time and now.
async fn adjust(
    connection: &mut Connection,
    shared: &Shared,
    complete: &mut bool,
) -> Result<(), RedisError> {
    loop {
        let (missing, surplus) = {
            let mut channels = shared.channels();
            let surplus = channels.subscribed.difference(&channels.wanted);
            let surplus: Vec<_> = surplus.cloned().collect();
            // At once: whoever wants one of them again must wait until it is subscribed to anew.
            for channel in &surplus {
                channels.subscribed.remove(channel);
            }
            let missing = channels.wanted.difference(&channels.subscribed);
            (missing.cloned().collect::<Vec<_>>(), surplus)
        };
        if missing.is_empty() && surplus.is_empty() {
            *complete = true;
            return Ok(());
        }
        change(connection, false, &surplus).await?;
        let begun = change(connection, true, &missing).await?;
        let late = !*complete && !begun.is_empty();
        *complete = begun.len() == missing.len();
        shared.channels().subscribed.extend(begun);
        shared.confirmed.send_modify(|count| *count += 1);
        if late {
            shared.resubscribed.send_modify(|count| *count += 1);
        }
        if !*complete {
            return Ok(());
        }
    }
}

/// Subscribes anew to what is subscribed to; says whether all could be.
async fn renew(connection: &mut Connection, shared: &Shared) -> Result<bool, RedisError> {
    let channels: Vec<_> = shared.channels().subscribed.iter().cloned().collect();
    let begun: HashSet<_> = change(connection, true, &channels)
        .await?
        .into_iter()
        .collect();
    let all = begun.len() == channels.len();
    shared.channels().subscribed = begun;
    shared.resubscribed.send_modify(|count| *count += 1);
    Ok(all)
}

/// Subscribes to channels or unsubscribes from them; answers with those where it succeeded, which
/// outside of a Redis Cluster are all.
async fn change(
    connection: &mut Connection,
    begin: bool,
    channels: &[String],
) -> Result<Vec<String>, RedisError> {
    if connection.is_cluster() {
        let name = if begin { "SSUBSCRIBE" } else { "SUNSUBSCRIBE" };
        // Owned throughout: what borrows cannot be proven to be sent between threads here.
        let changed: Vec<_> = channels
            .iter()
            .map(|channel| change_one(connection.clone(), name, channel.clone()))
            .collect();
        let mut changed = stream::iter(changed).buffer_unordered(AT_ONCE);
        let mut succeeded = Vec::new();
        while let Some(channel) = changed.next().await {
            succeeded.extend(channel);
        }
        return Ok(succeeded);
    }
    let name = if begin { "SUBSCRIBE" } else { "UNSUBSCRIBE" };
    for batch in channels.chunks(BATCH) {
        connection.send(cmd(name).arg(batch)).await?;
    }
    Ok(channels.to_vec())
}

async fn change_one(
    mut connection: Connection,
    name: &'static str,
    channel: String,
) -> Option<String> {
    let changed = connection.send(cmd(name).arg(&channel)).await;
    changed.is_ok().then_some(channel)
}
