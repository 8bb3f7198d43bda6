//! The bus on Redis: chunks and signals over pub/sub.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::{sync::watch, task::AbortHandle};
use tracing::warn;
use weir_cluster::{
    BoxFuture, Bus, BusError, BusInbox, Interest, Relayed, Sample, Signal, Subscription, TrackKey,
};
use weir_protocol::RoomId;

use crate::{
    Health, Target,
    bus::envelope::{self, EnvelopeError},
    bus::exchange::{self, Exchange},
    bus::outbox::{Dropped, Message, Outbox},
    bus::publisher,
    connection::subscriber::{Publish, Subscriber},
    keys::{Channel, Keys},
};

/// A node's end of the bus on Redis.
///
/// It connects in the background, and again whenever it has to.
pub struct RedisBus {
    shared: Arc<Shared>,
    outbox: Arc<Outbox>,
    tasks: [AbortHandle; 4],
}

struct Shared {
    keys: Keys,
    subscriber: Subscriber,
    /// How many subscriptions there are of each channel. Locked to count.
    subscriptions: Mutex<HashMap<String, usize>>,
    exchange: Arc<Exchange>,
    received: AtomicU64,
    received_bytes: AtomicU64,
    refused: AtomicU64,
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisBus")
    }
}

impl RedisBus {
    /// Creates a bus whose channel names start with `prefix`, and that dispatches the messages of
    /// other nodes to `inbox`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(target: &Target, prefix: &str, inbox: Arc<dyn BusInbox>) -> Self {
        let (told, late) = (Arc::clone(&inbox), Arc::clone(&inbox));
        let outbox = Outbox::new();
        let keys = Keys::new(prefix, target.database);
        let exchange = Arc::new(Exchange::new(keys.clone(), Arc::clone(&outbox)));
        let shared = Arc::new_cyclic(|shared: &std::sync::Weak<Shared>| {
            let shared = shared.clone();
            let on_message = move |channel: &[u8], payload: Bytes| {
                if let Some(shared) = shared.upgrade() {
                    shared.message(channel, payload, &*inbox);
                }
            };
            let probes = keys.probes(&format!("{:016x}", exchange.origin));
            Shared {
                keys,
                subscriber: Subscriber::new(target, probes, Arc::new(on_message)),
                subscriptions: Mutex::default(),
                exchange: Arc::clone(&exchange),
                received: AtomicU64::new(0),
                received_bytes: AtomicU64::new(0),
                refused: AtomicU64::new(0),
            }
        });
        let publishing = tokio::spawn(publisher::run(target.clone(), Arc::clone(&outbox)));
        let watching = tokio::spawn(watch(shared.subscriber.interrupted(), told));
        let probing = {
            let outbox = Arc::clone(&outbox);
            let publish: Publish = Arc::new(move |channel: Arc<str>, payload| {
                let published = outbox.put(Message::signal(channel.to_string(), payload));
                let published = published.map_err(|error| match error {
                    BusError::Unavailable(why) => why,
                    full => full.to_string(),
                });
                Box::pin(std::future::ready(published))
            });
            shared.subscriber.start_probes("subscriptions", publish)
        };
        let (interrupted, health) = (shared.subscriber.interrupted(), outbox.health());
        let exchanging = tokio::spawn(exchange::run(exchange, interrupted, health, late));
        Self {
            shared,
            outbox,
            tasks: [
                publishing.abort_handle(),
                watching.abort_handle(),
                probing,
                exchanging.abort_handle(),
            ],
        }
    }

    /// Returns a receiver of whether every server delivers this node's messages back to it.
    pub fn hears(&self) -> watch::Receiver<Health> {
        self.shared.subscriber.health()
    }

    /// Returns a receiver of the publishing connection's health.
    pub fn publishes(&self) -> watch::Receiver<Health> {
        self.outbox.health()
    }

    /// As metrics: what was received, in messages and in bytes; what of it was not understood; what
    /// was dropped before it was on the bus, by why; and what waits in the outbox.
    pub fn samples(&self) -> Vec<Sample> {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let shared = &self.shared;
        let mut samples = vec![
            Sample::new("weir.bus.messages", &[], value(&shared.received)),
            Sample::new("weir.bus.payload", &[], value(&shared.received_bytes)),
            Sample::new(
                "weir.bus.dropped",
                &[("reason", "refused")],
                value(&shared.refused),
            ),
            Sample::new(
                "weir.bus.dropped",
                &[("reason", "missed")],
                shared.exchange.lost(),
            ),
        ];
        for why in Dropped::ALL {
            let reason = [("reason", why.name())];
            let dropped = self.outbox.dropped(why);
            samples.push(Sample::new("weir.bus.dropped", &reason, dropped));
        }
        samples.extend(self.outbox.samples());
        samples.extend(shared.subscriber.samples("subscriptions"));
        samples
    }

    async fn begin(&self, channel: String) -> Result<Subscription, BusError> {
        *self
            .shared
            .subscriptions()
            .entry(channel.clone())
            .or_default() += 1;
        let shared = Arc::clone(&self.shared);
        let name = channel.clone();
        // From here on the guard counts it out again, whatever happens.
        let subscription = Subscription::new(move || {
            let mut subscriptions = shared.subscriptions();
            if let Some(count) = subscriptions.get_mut(&name) {
                *count -= 1;
                if *count == 0 {
                    subscriptions.remove(&name);
                    shared.subscriber.unsubscribe(&name);
                }
            }
        });
        let subscribed = self.shared.subscriber.subscribe(&channel).await;
        subscribed.map_err(|error| BusError::Unavailable(error.to_string()))?;
        Ok(subscription)
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Notifies the inbox when channels are subscribed to again, since messages may have been missed.
async fn watch(mut interrupted: watch::Receiver<u64>, inbox: Arc<dyn BusInbox>) {
    while interrupted.changed().await.is_ok() {
        inbox.interrupted();
    }
}

impl Shared {
    fn subscriptions(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn message(&self, channel: &[u8], payload: Bytes, inbox: &dyn BusInbox) {
        if let Err(error) = self.tell(channel, payload, inbox)
            && self.refused.fetch_add(1, Ordering::Relaxed) == 0
        {
            warn!(%error, "the first message that was not understood; others are counted");
        }
    }

    fn tell(
        &self,
        channel: &[u8],
        mut payload: Bytes,
        inbox: &dyn BusInbox,
    ) -> Result<(), EnvelopeError> {
        let name = std::str::from_utf8(channel).unwrap_or_default();
        // Cancelled subscriptions get no notification. Probe channels belong to no room.
        if !self.subscriptions().contains_key(name) {
            self.subscriber.probed(name, &payload);
            return Ok(());
        }
        self.received.fetch_add(1, Ordering::Relaxed);
        let bytes = payload.len() as u64;
        self.received_bytes.fetch_add(bytes, Ordering::Relaxed);
        let Some(channel) = self.keys.channel(name) else {
            return Ok(());
        };
        let version = match channel {
            Channel::Signals(_) => envelope::SIGNAL,
            Channel::Chunks(_) => envelope::CHUNK,
        };
        let origin = envelope::open(version, &mut payload)?;
        if origin == self.exchange.origin {
            return Ok(());
        }
        match channel {
            Channel::Signals(room) => self.exchange.take(&room, origin, payload, inbox)?,
            Channel::Chunks(track) => {
                let chunk = envelope::chunk(track.track, payload)?;
                inbox.chunk(&track, &Arc::new(chunk));
            }
        }
        Ok(())
    }
}

impl Bus for RedisBus {
    fn subscribe<'a>(
        &'a self,
        track: &'a TrackKey,
    ) -> BoxFuture<'a, Result<Subscription, BusError>> {
        Box::pin(self.begin(self.shared.keys.chunks(track)))
    }

    fn publish(&self, track: &TrackKey, chunk: &Relayed) -> Result<(), BusError> {
        let message = envelope::of_chunk(self.shared.exchange.origin, chunk);
        let channel = self.shared.keys.chunks(track);
        self.outbox.put(Message::chunk(channel, message, chunk))
    }

    fn interest(&self, track: &TrackKey) -> Interest {
        let channel = self.shared.keys.chunks(track);
        let Some(nodes) = self.outbox.interest(&channel) else {
            return Interest::Unknown;
        };
        let own = self.shared.subscriptions().contains_key(&channel);
        Interest::Nodes(nodes.saturating_sub(usize::from(own)))
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.outbox.flush())
    }

    fn listen<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Subscription, BusError>> {
        Box::pin(async move {
            let exchange = &self.shared.exchange;
            // Registered before the subscription, so that its first messages are processed.
            let ordered = exchange.enter(room);
            let subscription = self.begin(self.shared.keys.signals(room)).await?;
            exchange.listening(room);
            Ok(Subscription::new(move || {
                drop(subscription);
                drop(ordered);
            }))
        })
    }

    fn send(&self, room: &RoomId, signal: &Arc<Signal>) -> Result<(), BusError> {
        self.shared.exchange.send(room, signal)
    }

    fn deliver<'a>(
        &'a self,
        room: &'a RoomId,
        signal: &'a Arc<Signal>,
    ) -> BoxFuture<'a, Result<(), BusError>> {
        Box::pin(self.shared.exchange.deliver(room, signal))
    }
}
