//! A bus that loses, is slow, or is not there.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::sync::Semaphore;
use weir_cluster::{
    BoxFuture, Bus, BusError, Interest, MemoryHub, Relayed, Signal, Subscription, TrackKey,
};
use weir_engine::{Backend, Engine, Options};
use weir_protocol::RoomId;

use super::Late;

/// What the bus of a node does wrong.
#[derive(Debug)]
pub(crate) struct Trouble {
    bus: Arc<dyn Bus>,
    /// So many chunks are lost from now on.
    pub(crate) loses: AtomicUsize,
    /// It takes nothing.
    pub(crate) away: AtomicBool,
    /// A permit lets one subscription to a track happen.
    pub(crate) subscriptions: Semaphore,
}

/// A node of a cluster in memory, whose bus does wrong what it is told to.
pub(crate) struct Node {
    pub(crate) engine: Engine,
    pub(crate) trouble: Arc<Trouble>,
    pub(crate) events: Arc<Late>,
}

impl Node {
    /// A node whose events come at once and whose bus works.
    pub(crate) fn new(hub: &MemoryHub) -> Self {
        let node = Self::slow(hub);
        node.events.pass(usize::MAX);
        node.trouble.subscriptions.add_permits(1_000);
        node
    }

    /// A node whose events and subscriptions come when they are let.
    pub(crate) fn slow(hub: &MemoryHub) -> Self {
        let (mut trouble, mut events) = (None, None);
        let engine = Engine::new(Options::default(), |inbox, bus_inbox| {
            let inbox = events.insert(Late::new(inbox)).clone();
            let bus = trouble.insert(Arc::new(Trouble {
                bus: Arc::new(hub.bus(bus_inbox)),
                loses: AtomicUsize::new(0),
                away: AtomicBool::new(false),
                subscriptions: Semaphore::new(0),
            }));
            Ok::<_, std::convert::Infallible>(Backend {
                directory: Arc::new(hub.directory(inbox)),
                bus: bus.clone(),
            })
        });
        Self {
            engine: engine.expect("it cannot fail"),
            trouble: trouble.expect("it was just made"),
            events: events.expect("it was just made"),
        }
    }

    /// How many chunks it has put on the bus.
    pub(crate) fn relayed(&self) -> u64 {
        self.engine.counters().chunks_relayed.value()
    }
}

impl Trouble {
    fn look(&self) -> Result<(), BusError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(BusError::Unavailable("it is away".to_owned()));
        }
        Ok(())
    }
}

impl Bus for Trouble {
    fn subscribe<'a>(
        &'a self,
        track: &'a TrackKey,
    ) -> BoxFuture<'a, Result<Subscription, BusError>> {
        Box::pin(async move {
            self.look()?;
            let turn = self.subscriptions.acquire().await;
            turn.expect("never closed").forget();
            self.bus.subscribe(track).await
        })
    }

    fn publish(&self, track: &TrackKey, chunk: &Relayed) -> Result<(), BusError> {
        self.look()?;
        let lose = |left: usize| left.checked_sub(1);
        let lost = self
            .loses
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, lose);
        match lost {
            Ok(_) => Ok(()),
            Err(_) => self.bus.publish(track, chunk),
        }
    }

    fn interest(&self, track: &TrackKey) -> Interest {
        self.bus.interest(track)
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        self.bus.flush()
    }

    fn listen<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Subscription, BusError>> {
        Box::pin(async move {
            self.look()?;
            self.bus.listen(room).await
        })
    }

    fn send(&self, room: &RoomId, signal: &Arc<Signal>) -> Result<(), BusError> {
        self.look()?;
        self.bus.send(room, signal)
    }

    fn deliver<'a>(
        &'a self,
        room: &'a RoomId,
        signal: &'a Arc<Signal>,
    ) -> BoxFuture<'a, Result<(), BusError>> {
        Box::pin(async move {
            self.look()?;
            self.bus.deliver(room, signal).await
        })
    }
}
