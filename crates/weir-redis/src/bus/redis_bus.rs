//! A node's end of the bus.

use std::{fmt, future::ready, sync::Arc};

use tokio::{sync::watch, task::AbortHandle};
use weir_cluster::{
    BoxFuture, Bus, BusError, ChunkPublisher, ChunkSink, Sample, SignalSender, SignalSink,
    Subscription, TrackKey,
};
use weir_protocol::RoomId;

use super::{
    chunks::{TrackPublisher, TrackReceiver},
    counters::BusCounters,
    exchange::{self, Exchange, RoomSender},
    outbox::{Outbox, OutboxMessage},
    publisher,
    topic::{ChannelKind, Topic, Topics},
};
use crate::{
    Health, Target,
    connection::subscriber::{Publish, Subscriber},
    keys::Keys,
};

/// A node's end of the bus on Redis. It connects in the background, and reconnects after a loss.
pub struct RedisBus {
    keys: Keys,
    topics: Topics,
    subscriber: Subscriber,
    exchange: Arc<Exchange>,
    outbox: Arc<Outbox>,
    counters: Arc<BusCounters>,
    tasks: [AbortHandle; 3],
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
        let keys = Keys::new(prefix, target.database);
        let kind = ChannelKind::of(target);
        let outbox = Outbox::new(kind);
        let counters = Arc::new(BusCounters::default());
        let (putting, counting) = (Arc::clone(&outbox), Arc::clone(&counters));
        let exchange = Arc::new(Exchange::new(keys.clone(), kind, putting, counting));
        let probes = keys.probes(&format!("{:016x}", exchange.core.origin));
        let subscriber = Subscriber::new(target, probes);
        let publishing = publisher::run(target.clone(), Arc::clone(&outbox), subscriber.topology());
        let publishing = tokio::spawn(publishing);
        let probing = subscriber.start_probes("subscriptions", publish_probe(&outbox, kind));
        let exchanging = tokio::spawn(exchange::run(Arc::clone(&exchange), outbox.connections()));
        Self {
            keys,
            topics: Topics::new(kind),
            subscriber,
            exchange,
            outbox,
            counters,
            tasks: [
                publishing.abort_handle(),
                probing,
                exchanging.abort_handle(),
            ],
        }
    }

    /// Returns a receiver of whether every server delivers this node's messages back to it.
    pub fn hears(&self) -> watch::Receiver<Health> {
        self.subscriber.health()
    }

    /// Returns a receiver of the publishing connections' health. They fail if one of them does.
    pub fn publishes(&self) -> watch::Receiver<Health> {
        self.outbox.health()
    }

    /// Returns the metrics of the bus: received messages and bytes, dropped messages by reason, the
    /// outbox, and the subscriptions.
    pub fn samples(&self) -> Vec<Sample> {
        let missed = [("reason", "missed")];
        let missed = Sample::new("weir.bus.dropped", &missed, self.exchange.core.lost());
        let mut samples = Vec::from(self.counters.samples());
        samples.push(missed);
        samples.extend(self.outbox.samples());
        samples.extend(self.subscriber.samples("subscriptions"));
        samples
    }

    async fn subscribe_to(
        &self,
        track: &TrackKey,
        sink: Arc<dyn ChunkSink>,
    ) -> Result<Subscription, BusError> {
        let topic = self.topics.get(self.keys.chunks(track));
        let own = topic.subscribed();
        let (origin, counters) = (self.exchange.core.origin, Arc::clone(&self.counters));
        let receiver = Arc::new(TrackReceiver::new(track.track, origin, sink, counters));
        let subscribing = self
            .subscriber
            .subscribe(Arc::clone(&topic.name), receiver.clone());
        let subscribed = subscribing.await;
        let subscribed = subscribed.map_err(|error| BusError::Unavailable(error.to_string()))?;
        Ok(Subscription::new(move || {
            receiver.close();
            drop(subscribed);
            drop(own);
        }))
    }
}

/// Returns a function that enqueues probes.
fn publish_probe(outbox: &Arc<Outbox>, kind: ChannelKind) -> Publish {
    let outbox = Arc::clone(outbox);
    Arc::new(move |channel: Arc<str>, payload| {
        let topic = Topic::new(channel.to_string(), kind);
        let published = outbox.put(OutboxMessage::signal(topic, payload));
        let published = published.map_err(|error| match error {
            BusError::Unavailable(why) => why,
            full => full.to_string(),
        });
        Box::pin(ready(published))
    })
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Bus for RedisBus {
    fn publisher(&self, track: &TrackKey) -> Arc<dyn ChunkPublisher> {
        Arc::new(TrackPublisher {
            topic: self.topics.get(self.keys.chunks(track)),
            origin: self.exchange.core.origin,
            outbox: Arc::clone(&self.outbox),
        })
    }

    fn subscribe<'a>(
        &'a self,
        track: &'a TrackKey,
        sink: Arc<dyn ChunkSink>,
    ) -> BoxFuture<'a, Result<Subscription, BusError>> {
        Box::pin(self.subscribe_to(track, sink))
    }

    fn signals(&self, room: &RoomId) -> Arc<dyn SignalSender> {
        Arc::new(RoomSender::new(Arc::clone(&self.exchange.core), room))
    }

    fn listen<'a>(
        &'a self,
        room: &'a RoomId,
        sink: Arc<dyn SignalSink>,
    ) -> BoxFuture<'a, Result<Subscription, BusError>> {
        Box::pin(self.exchange.listen(&self.subscriber, room, sink))
    }

    fn flush(&self, room: &RoomId) -> BoxFuture<'_, ()> {
        // All channels of a room share its slot.
        let topic = self.exchange.core.topic(room);
        Box::pin(async move { self.outbox.flush(topic.slot).await })
    }
}
