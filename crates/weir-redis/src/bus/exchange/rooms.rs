//! Reliable exchange of the signals of all rooms that this node listens to.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use weir_cluster::{BusError, SignalSink, Subscription};
use weir_protocol::RoomId;

use super::{core::ExchangeCore, room::SignalRoom};
use crate::{
    bus::{counters::BusCounters, outbox::Outbox, topic::ChannelKind},
    connection::subscriber::Subscriber,
    keys::Keys,
};

/// Poll interval while signals are missing.
const POLL: Duration = Duration::from_millis(100);

/// Exchange of signals with the other nodes of this node's rooms.
pub(crate) struct Exchange {
    pub(crate) core: Arc<ExchangeCore>,
    /// Rooms that this node listens to, with the number of listeners. Guards the table only.
    rooms: Mutex<HashMap<RoomId, (Arc<SignalRoom>, usize)>>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange")
    }
}

impl Exchange {
    pub(crate) fn new(
        keys: Keys,
        kind: ChannelKind,
        outbox: Arc<Outbox>,
        counters: Arc<BusCounters>,
    ) -> Self {
        Self {
            core: Arc::new(ExchangeCore::new(keys, kind, outbox, counters)),
            rooms: Mutex::default(),
        }
    }

    /// Delivers the signals of a room to `sink`, until the subscription is dropped.
    pub(crate) async fn listen(
        self: &Arc<Self>,
        subscriber: &Subscriber,
        room: &RoomId,
        sink: Arc<dyn SignalSink>,
    ) -> Result<Subscription, BusError> {
        let listener = self.enter(room, sink);
        let signals = Arc::clone(&listener.room);
        let channel = Arc::clone(&signals.topic.name);
        let subscribed = subscriber.subscribe(channel, signals.clone()).await;
        let subscribed = subscribed.map_err(|error| BusError::Unavailable(error.to_string()))?;
        signals.listening(self.core.now());
        Ok(Subscription::new(move || {
            drop(listener);
            drop(subscribed);
        }))
    }

    /// Adds a listener of a room.
    fn enter(self: &Arc<Self>, room: &RoomId, sink: Arc<dyn SignalSink>) -> Listener {
        let mut rooms = self.rooms.lock();
        let (signals, listeners) = rooms
            .entry(room.clone())
            .or_insert_with(|| (Arc::new(SignalRoom::new(room, Arc::clone(&self.core))), 0));
        *listeners += 1;
        Listener {
            exchange: Arc::clone(self),
            room: Arc::clone(signals),
            id: signals.add(sink),
        }
    }

    fn room(&self, room: &RoomId) -> Option<Arc<SignalRoom>> {
        let rooms = self.rooms.lock();
        rooms.get(room).map(|(signals, _)| Arc::clone(signals))
    }

    /// Requests the signals that this node missed in any room.
    fn request_missed(&self) {
        let rooms: Vec<_> = {
            let rooms = self.rooms.lock();
            rooms.values().map(|(room, _)| Arc::clone(room)).collect()
        };
        rooms.iter().for_each(|room| room.request_missed());
    }

    /// Announces the end of this node's sequence in each room.
    fn announce(&self) {
        let announced = self.core.retained.lock().announce(self.core.now());
        for (room, note) in announced {
            let _ = self.core.put(&self.core.topic(&room), &note);
        }
    }

    /// Publishes due notes, and repeats requests for missing signals.
    fn poll(&self) {
        let due = self.core.retained.lock().due(self.core.now());
        for (room, note) in due {
            let _ = self.core.put(&self.core.topic(&room), &note);
        }
        let troubled: Vec<_> = self.core.troubled.lock().iter().cloned().collect();
        for room in troubled {
            let missing = self.room(&room).is_some_and(|signals| signals.poll());
            if !missing {
                self.core.troubled.lock().remove(&room);
            }
        }
    }

    /// Returns the time of the next scheduled work.
    fn next(&self) -> Option<Instant> {
        let due = self
            .core
            .retained
            .lock()
            .next()
            .map(|next| self.core.started + next);
        let troubled = !self.core.troubled.lock().is_empty();
        let poll = troubled.then(|| Instant::now() + POLL);
        due.into_iter().chain(poll).min()
    }
}

/// Listener of a room, until it is dropped.
struct Listener {
    exchange: Arc<Exchange>,
    room: Arc<SignalRoom>,
    id: u64,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.room.remove(self.id);
        let mut rooms = self.exchange.rooms.lock();
        if let Some((_, listeners)) = rooms.get_mut(&self.room.id) {
            *listeners -= 1;
            if *listeners == 0 {
                rooms.remove(&self.room.id);
            }
        }
    }
}

/// Runs the exchange: retransmits to other nodes, and requests missed signals.
///
/// `connections` is the number of publishing connections that were established.
pub(crate) async fn run(exchange: Arc<Exchange>, mut connections: watch::Receiver<u64>) {
    loop {
        let next = exchange.next();
        tokio::select! {
            changed = connections.changed() => {
                if changed.is_err() {
                    return;
                }
                // The latest signals may have been published on a server without subscribers.
                exchange.announce();
                exchange.request_missed();
            }
            () = exchange.core.wake.notified() => {}
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
        }
        exchange.poll();
    }
}
