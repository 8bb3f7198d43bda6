//! Reliable exchange of the signals of a node's rooms: numbering, retention, reordering.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use rand::Rng;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};
use weir_cluster::{BusError, Signal, Subscription};
use weir_protocol::RoomId;

use crate::{
    Health,
    bus::envelope::{self, EnvelopeError, Origin},
    bus::outbox::{DEADLINE, Message, Outbox},
    bus::redis_bus::Sinks,
    bus::signals::{
        Note,
        received::{Received, Step},
        retained::Retained,
        wire,
    },
    keys::Keys,
};

/// Grace period after a signal's deadline, within which the outbox reports the outcome.
const GRACE: Duration = Duration::from_millis(300);

/// Poll interval while signals are missing.
const LOOK: Duration = Duration::from_millis(100);

/// Exchange of signals with the other nodes of this node's rooms.
pub(crate) struct Exchange {
    pub(crate) origin: Origin,
    keys: Keys,
    outbox: Arc<Outbox>,
    sinks: Arc<Sinks>,
    /// Held while a signal is numbered and put into the outbox, so that both keep one order.
    retained: Mutex<Retained>,
    /// Receiver state of the subscribed rooms, with their number of subscriptions. Guards the map
    /// only.
    rooms: Mutex<HashMap<RoomId, Listening>>,
    /// Rooms with missing signals.
    troubled: Mutex<HashSet<RoomId>>,
    /// Notified when work is due earlier than scheduled.
    wake: Notify,
    started: Instant,
    /// Number of signals given up.
    lost: AtomicU64,
}

struct Listening {
    guards: usize,
    /// Held while signals are dispatched, so that they keep their order.
    received: Arc<Mutex<Received>>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the time in milliseconds since 1970.
fn clock() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

impl Exchange {
    pub(crate) fn new(keys: Keys, outbox: Arc<Outbox>, sinks: Arc<Sinks>) -> Self {
        Self {
            // 0 is the placeholder for an absent origin.
            origin: rand::rng().random_range(1..=Origin::MAX),
            keys,
            outbox,
            sinks,
            retained: Mutex::default(),
            rooms: Mutex::default(),
            troubled: Mutex::default(),
            wake: Notify::new(),
            started: Instant::now(),
            lost: AtomicU64::new(0),
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the number of other nodes' signals that were given up.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Keeps the signals of a room in order until the returned guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>, room: &RoomId) -> Subscription {
        let mut rooms = lock(&self.rooms);
        let listening = rooms.entry(room.clone()).or_insert_with(|| Listening {
            guards: 0,
            received: Arc::new(Mutex::new(Received::new(self.origin))),
        });
        listening.guards += 1;
        let (this, room) = (Arc::clone(self), room.clone());
        Subscription::new(move || {
            let mut rooms = lock(&this.rooms);
            if let Some(listening) = rooms.get_mut(&room) {
                listening.guards -= 1;
                if listening.guards == 0 {
                    rooms.remove(&room);
                }
            }
        })
    }

    fn received(&self, room: &RoomId) -> Option<Arc<Mutex<Received>>> {
        let rooms = lock(&self.rooms);
        rooms.get(room).map(|room| Arc::clone(&room.received))
    }

    /// Records that the room's channel is subscribed to.
    pub(crate) fn listening(&self, room: &RoomId) {
        if let Some(received) = self.received(room) {
            lock(&received).listening(self.now());
        }
    }

    /// Enqueues a signal that is never retransmitted.
    pub(crate) fn send(&self, room: &RoomId, signal: &Signal) -> Result<(), BusError> {
        let note = Note::Loose(envelope::of_signal(signal));
        self.put(room, &note)
    }

    /// Publishes a signal, retains it for retransmission, and waits for the outcome.
    pub(crate) async fn deliver(&self, room: &RoomId, signal: &Signal) -> Result<(), BusError> {
        let body = envelope::of_signal(signal);
        let (place, outcome) = {
            let mut retained = lock(&self.retained);
            let (place, note) = retained.number(room, body, clock(), self.now());
            let channel = self.keys.signals(room);
            let payload = wire::encode(self.origin, &note);
            let (message, outcome) = Message::awaited(channel, payload);
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
            let mut retained = lock(&self.retained);
            let before = retained.next();
            let void = retained.settle(&place, outcome.is_ok(), self.now());
            if before.is_none() {
                self.wake.notify_one();
            }
            void
        };
        if let Some(void) = void {
            // A receiver that misses this note requests it.
            let _ = self.put(room, &void);
        }
        outcome
    }

    fn put(&self, room: &RoomId, note: &Note) -> Result<(), BusError> {
        let payload = wire::encode(self.origin, note);
        let channel = self.keys.signals(room);
        self.outbox.put(Message::signal(channel, payload))
    }

    /// Processes a message of a room's channel, whose head has already been read.
    pub(crate) fn take(
        &self,
        room: &RoomId,
        origin: Origin,
        payload: Bytes,
    ) -> Result<(), EnvelopeError> {
        let note = wire::decode(payload)?;
        if let Note::Ask {
            to,
            listening,
            known,
        } = &note
        {
            if to.is_none_or(|to| to == self.origin) {
                let mut retained = lock(&self.retained);
                let now = self.now();
                retained.asked(room, self.origin, origin, *listening, known, now);
                self.wake.notify_one();
            }
            return Ok(());
        }
        let Some(received) = self.received(room) else {
            return Ok(());
        };
        let mut received = lock(&received);
        let step = received.take(origin, note, self.now(), clock());
        self.follow(room, &mut received, step)
    }

    /// Dispatches signals, publishes requests, and counts losses.
    fn follow(
        &self,
        room: &RoomId,
        received: &mut Received,
        step: Step,
    ) -> Result<(), EnvelopeError> {
        let mut read = Ok(());
        let channel = self.keys.signals(room);
        for body in step.bodies {
            match envelope::signal(body) {
                Ok(signal) => self.sinks.signal(&channel, &Arc::new(signal)),
                Err(error) => read = Err(error),
            }
        }
        for ask in step.asks {
            // The request is repeated while the signal is missing.
            let _ = self.put(room, &ask);
        }
        self.lost.fetch_add(received.take_lost(), Ordering::Relaxed);
        if received.is_missing() && lock(&self.troubled).insert(room.clone()) {
            self.wake.notify_one();
        }
        read
    }

    /// Requests in all rooms the signals missed while subscriptions were interrupted.
    fn resubscribed(&self) {
        let rooms: Vec<_> = {
            let rooms = lock(&self.rooms);
            let rooms = rooms.iter();
            rooms
                .map(|(room, listening)| (room.clone(), Arc::clone(&listening.received)))
                .collect()
        };
        for (room, received) in rooms {
            let ask = lock(&received).resubscribed(self.now());
            if let Some(ask) = ask {
                let _ = self.put(&room, &ask);
            }
        }
    }

    /// Announces the end of this node's sequence in each room.
    fn announce(&self) {
        let announced = lock(&self.retained).announce(self.now());
        for (room, note) in announced {
            let _ = self.put(&room, &note);
        }
    }

    /// Publishes due notes, and repeats requests for missing signals.
    fn look(&self) {
        let due = lock(&self.retained).due(self.now());
        for (room, note) in due {
            let _ = self.put(&room, &note);
        }
        let troubled: Vec<_> = lock(&self.troubled).iter().cloned().collect();
        for room in troubled {
            let still = self.received(&room).is_some_and(|received| {
                let mut received = lock(&received);
                let step = received.tick(self.now());
                // Invalid signals were counted on receipt.
                let _ = self.follow(&room, &mut received, step);
                received.is_missing()
            });
            if !still {
                lock(&self.troubled).remove(&room);
            }
        }
    }

    /// Returns the time of the next scheduled work.
    fn next(&self) -> Option<Instant> {
        let due = lock(&self.retained).next().map(|next| self.started + next);
        let troubled = !lock(&self.troubled).is_empty();
        let look = troubled.then(|| Instant::now() + LOOK);
        due.into_iter().chain(look).min()
    }
}

/// Runs the exchange: retransmits to other nodes, and requests missed signals.
pub(crate) async fn run(
    exchange: Arc<Exchange>,
    mut interrupted: watch::Receiver<u64>,
    mut health: watch::Receiver<Health>,
) {
    loop {
        let next = exchange.next();
        tokio::select! {
            changed = interrupted.changed() => {
                if changed.is_err() {
                    return;
                }
                exchange.resubscribed();
            }
            changed = health.changed() => {
                if changed.is_err() {
                    return;
                }
                // The latest signals may have been published on a server without subscribers.
                if health.borrow_and_update().works() {
                    exchange.announce();
                    exchange.resubscribed();
                }
            }
            () = exchange.wake.notified() => {}
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
        }
        exchange.look();
    }
}
