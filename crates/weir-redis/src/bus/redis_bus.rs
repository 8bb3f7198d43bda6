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
    BoxFuture, Bus, BusError, ChunkPublisher, ChunkSink, Interest, Relayed, Sample, Signal,
    SignalSender, SignalSink, Subscription, TrackKey,
};
use weir_protocol::{RoomId, TrackId};

use crate::{
    Health, Target,
    bus::envelope::{self, EnvelopeError, Origin},
    bus::exchange::{self, Exchange},
    bus::outbox::{Dropped, Message, Outbox},
    bus::publisher,
    connection::subscriber::{Publish, Subscriber},
    keys::Keys,
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
    sinks: Arc<Sinks>,
    exchange: Arc<Exchange>,
    received: AtomicU64,
    received_bytes: AtomicU64,
    refused: AtomicU64,
}

/// Sinks of the subscriptions, by channel.
#[derive(Debug, Default)]
pub(crate) struct Sinks {
    channels: Mutex<HashMap<String, Vec<(u64, Sink)>>>,
    /// Source of subscription ids.
    ids: AtomicU64,
}

#[derive(Debug, Clone)]
enum Sink {
    Chunks(TrackId, Arc<dyn ChunkSink>),
    Signals(RoomId, Arc<dyn SignalSink>),
}

impl Sinks {
    fn channels(&self) -> MutexGuard<'_, HashMap<String, Vec<(u64, Sink)>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, channel: &str) -> Option<Vec<Sink>> {
        let channels = self.channels();
        let sinks = channels.get(channel)?.iter();
        Some(sinks.map(|(_, sink)| sink.clone()).collect())
    }

    fn insert(&self, channel: &str, sink: Sink) -> u64 {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let mut channels = self.channels();
        let sinks = channels.entry(channel.to_owned()).or_default();
        sinks.push((id, sink));
        id
    }

    /// Removes a sink, and returns whether it was the last of its channel.
    fn remove(&self, channel: &str, id: u64) -> bool {
        let mut channels = self.channels();
        let Some(sinks) = channels.get_mut(channel) else {
            return false;
        };
        sinks.retain(|(one, _)| *one != id);
        let last = sinks.is_empty();
        if last {
            channels.remove(channel);
        }
        last
    }

    /// Delivers a signal to the sinks of a channel.
    pub(crate) fn signal(&self, channel: &str, signal: &Arc<Signal>) {
        for sink in self.of(channel).unwrap_or_default() {
            if let Sink::Signals(_, sink) = sink {
                sink.signal(Arc::clone(signal));
            }
        }
    }

    fn interrupted(&self) {
        let sinks: Vec<_> = self.channels().values().flatten().cloned().collect();
        for (_, sink) in sinks {
            if let Sink::Signals(_, sink) = sink {
                sink.interrupted();
            }
        }
    }
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisBus")
    }
}

impl RedisBus {
    /// Creates a bus whose channel names start with `prefix`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(target: &Target, prefix: &str) -> Self {
        let sinks = Arc::new(Sinks::default());
        let outbox = Outbox::new();
        let keys = Keys::new(prefix, target.database);
        let exchange = Arc::new(Exchange::new(
            keys.clone(),
            Arc::clone(&outbox),
            Arc::clone(&sinks),
        ));
        let shared = Arc::new_cyclic(|shared: &std::sync::Weak<Shared>| {
            let shared = shared.clone();
            let on_message = move |channel: &[u8], payload: Bytes| {
                if let Some(shared) = shared.upgrade() {
                    shared.message(channel, payload);
                }
            };
            let probes = keys.probes(&format!("{:016x}", exchange.origin));
            Shared {
                keys,
                subscriber: Subscriber::new(target, probes, Arc::new(on_message)),
                sinks: Arc::clone(&sinks),
                exchange: Arc::clone(&exchange),
                received: AtomicU64::new(0),
                received_bytes: AtomicU64::new(0),
                refused: AtomicU64::new(0),
            }
        });
        let publishing = tokio::spawn(publisher::run(target.clone(), Arc::clone(&outbox)));
        let watching = tokio::spawn(watch(shared.subscriber.interrupted(), sinks));
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
        let exchanging = tokio::spawn(exchange::run(exchange, interrupted, health));
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

    async fn begin(&self, channel: String, sink: Sink) -> Result<Subscription, BusError> {
        let id = self.shared.sinks.insert(&channel, sink);
        let shared = Arc::clone(&self.shared);
        let name = channel.clone();
        // From here on the guard removes it again, whatever happens.
        let subscription = Subscription::new(move || {
            if shared.sinks.remove(&name, id) {
                shared.subscriber.unsubscribe(&name);
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

/// Notifies the rooms when channels are subscribed to again, since messages may have been missed.
async fn watch(mut interrupted: watch::Receiver<u64>, sinks: Arc<Sinks>) {
    while interrupted.changed().await.is_ok() {
        sinks.interrupted();
    }
}

impl Shared {
    fn message(&self, channel: &[u8], payload: Bytes) {
        if let Err(error) = self.dispatch(channel, payload)
            && self.refused.fetch_add(1, Ordering::Relaxed) == 0
        {
            warn!(%error, "the first message that was not understood; others are counted");
        }
    }

    fn dispatch(&self, channel: &[u8], mut payload: Bytes) -> Result<(), EnvelopeError> {
        let name = std::str::from_utf8(channel).unwrap_or_default();
        // Cancelled subscriptions get no notification. Probe channels belong to no room.
        let Some(sinks) = self.sinks.of(name) else {
            self.subscriber.probed(name, &payload);
            return Ok(());
        };
        self.received.fetch_add(1, Ordering::Relaxed);
        let bytes = payload.len() as u64;
        self.received_bytes.fetch_add(bytes, Ordering::Relaxed);
        match sinks.first() {
            Some(Sink::Signals(room, _)) => {
                let origin = envelope::open(envelope::SIGNAL, &mut payload)?;
                if origin != self.exchange.origin {
                    self.exchange.take(room, origin, payload)?;
                }
            }
            Some(Sink::Chunks(track, _)) => {
                let origin = envelope::open(envelope::CHUNK, &mut payload)?;
                if origin != self.exchange.origin {
                    let chunk = envelope::chunk(*track, payload)?;
                    for sink in &sinks {
                        if let Sink::Chunks(_, sink) = sink {
                            sink.chunk(chunk.clone());
                        }
                    }
                }
            }
            None => {}
        }
        Ok(())
    }
}

impl Bus for RedisBus {
    fn publisher(&self, track: &TrackKey) -> Arc<dyn ChunkPublisher> {
        Arc::new(Publisher {
            channel: self.shared.keys.chunks(track),
            origin: self.shared.exchange.origin,
            outbox: Arc::clone(&self.outbox),
            sinks: Arc::clone(&self.shared.sinks),
        })
    }

    fn subscribe<'a>(
        &'a self,
        track: &'a TrackKey,
        sink: Arc<dyn ChunkSink>,
    ) -> BoxFuture<'a, Result<Subscription, BusError>> {
        let sink = Sink::Chunks(track.track, sink);
        Box::pin(self.begin(self.shared.keys.chunks(track), sink))
    }

    fn signals(&self, room: &RoomId) -> Arc<dyn SignalSender> {
        Arc::new(Sender {
            exchange: Arc::clone(&self.shared.exchange),
            room: room.clone(),
        })
    }

    fn listen<'a>(
        &'a self,
        room: &'a RoomId,
        sink: Arc<dyn SignalSink>,
    ) -> BoxFuture<'a, Result<Subscription, BusError>> {
        Box::pin(async move {
            let exchange = &self.shared.exchange;
            // Registered before the subscription, so that its first messages are processed.
            let ordered = exchange.enter(room);
            let sink = Sink::Signals(room.clone(), sink);
            let channel = self.shared.keys.signals(room);
            let subscription = self.begin(channel, sink).await?;
            exchange.listening(room);
            Ok(Subscription::new(move || {
                drop(subscription);
                drop(ordered);
            }))
        })
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.outbox.flush())
    }
}

/// Publisher of a track's chunks.
#[derive(Debug)]
struct Publisher {
    channel: String,
    origin: Origin,
    outbox: Arc<Outbox>,
    sinks: Arc<Sinks>,
}

impl ChunkPublisher for Publisher {
    fn publish(&self, chunk: &Relayed) -> Result<(), BusError> {
        let message = envelope::of_chunk(self.origin, chunk);
        let channel = self.channel.clone();
        self.outbox.put(Message::chunk(channel, message, chunk))
    }

    fn interest(&self) -> Interest {
        let Some(nodes) = self.outbox.interest(&self.channel) else {
            return Interest::Unknown;
        };
        let own = self.sinks.channels().contains_key(&self.channel);
        Interest::Nodes(nodes.saturating_sub(usize::from(own)))
    }
}

/// Sender of a room's signals.
#[derive(Debug)]
struct Sender {
    exchange: Arc<Exchange>,
    room: RoomId,
}

impl SignalSender for Sender {
    fn send(&self, signal: &Signal) -> Result<(), BusError> {
        self.exchange.send(&self.room, signal)
    }

    fn deliver<'a>(&'a self, signal: &'a Arc<Signal>) -> BoxFuture<'a, Result<(), BusError>> {
        Box::pin(self.exchange.deliver(&self.room, signal))
    }
}
