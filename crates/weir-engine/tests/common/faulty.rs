//! A bus that loses chunks, is slow, or is unreachable.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use tokio::sync::Semaphore;
use weir_cluster::{
    BoxFuture, Bus, BusError, ChunkPublisher, ChunkSink, Interest, MemoryHub, Relayed, Signal,
    SignalSender, SignalSink, Subscription, TrackKey,
};
use weir_engine::{Engine, EngineOptions, Ports};
use weir_protocol::RoomId;

use super::Late;

/// Number of times that a bus lets other threads run.
const YIELDS: usize = 100;

/// Bus with faults.
#[derive(Debug)]
pub(crate) struct FaultyBus {
    bus: Arc<dyn Bus>,
    faults: Arc<Faults>,
}

/// Faults of a node's bus.
#[derive(Debug)]
pub(crate) struct Faults {
    /// Number of chunks that are lost from now on.
    pub(crate) loses: AtomicUsize,
    /// Whether it refuses every call.
    pub(crate) away: AtomicBool,
    /// Whether it lets other threads run before it publishes a signal.
    pub(crate) yields: AtomicBool,
    /// Each permit admits one subscription to a track.
    pub(crate) subscriptions: Semaphore,
}

/// Node of a cluster in memory, with faults of its bus.
pub(crate) struct FaultyNode {
    pub(crate) engine: Engine,
    pub(crate) faults: Arc<Faults>,
    pub(crate) events: Arc<Late>,
}

impl FaultyNode {
    /// Creates a node without delays or faults.
    pub(crate) fn new(hub: &MemoryHub) -> Self {
        let node = Self::slow(hub);
        node.events.pass(usize::MAX);
        node.faults.subscriptions.add_permits(1_000);
        node
    }

    /// Creates a node whose events and subscriptions wait for the test.
    pub(crate) fn slow(hub: &MemoryHub) -> Self {
        let faults = Arc::new(Faults {
            loses: AtomicUsize::new(0),
            away: AtomicBool::new(false),
            yields: AtomicBool::new(false),
            subscriptions: Semaphore::new(0),
        });
        let mut events = None;
        let engine = Engine::new(EngineOptions::default(), |inbox| {
            let inbox = events.insert(Late::new(inbox)).clone();
            let bus = FaultyBus {
                bus: Arc::new(hub.bus()),
                faults: Arc::clone(&faults),
            };
            Ok::<_, std::convert::Infallible>(Ports {
                directory: Arc::new(hub.directory(inbox)),
                bus: Arc::new(bus),
            })
        });
        Self {
            engine: engine.expect("it cannot fail"),
            faults,
            events: events.expect("it was just made"),
        }
    }

    /// Returns the number of chunks published on the bus.
    pub(crate) fn relayed(&self) -> u64 {
        self.engine.counters().chunks_relayed.value()
    }
}

impl Faults {
    fn check(&self) -> Result<(), BusError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(BusError::Unavailable("it is away".to_owned()));
        }
        Ok(())
    }
}

impl Bus for FaultyBus {
    fn publisher(&self, track: &TrackKey) -> Arc<dyn ChunkPublisher> {
        Arc::new(Faulty {
            handle: self.bus.publisher(track),
            faults: Arc::clone(&self.faults),
        })
    }

    fn subscribe<'a>(
        &'a self,
        track: &'a TrackKey,
        sink: Arc<dyn ChunkSink>,
    ) -> BoxFuture<'a, Result<Subscription, BusError>> {
        Box::pin(async move {
            self.faults.check()?;
            let turn = self.faults.subscriptions.acquire().await;
            turn.expect("never closed").forget();
            self.bus.subscribe(track, sink).await
        })
    }

    fn signals(&self, room: &RoomId) -> Arc<dyn SignalSender> {
        Arc::new(Faulty {
            handle: self.bus.signals(room),
            faults: Arc::clone(&self.faults),
        })
    }

    fn listen<'a>(
        &'a self,
        room: &'a RoomId,
        sink: Arc<dyn SignalSink>,
    ) -> BoxFuture<'a, Result<Subscription, BusError>> {
        Box::pin(async move {
            self.faults.check()?;
            self.bus.listen(room, sink).await
        })
    }

    fn flush(&self, room: &RoomId) -> BoxFuture<'_, ()> {
        self.bus.flush(room)
    }
}

/// Handle of a bus with faults.
#[derive(Debug)]
struct Faulty<H: ?Sized> {
    faults: Arc<Faults>,
    handle: Arc<H>,
}

impl ChunkPublisher for Faulty<dyn ChunkPublisher> {
    fn publish(&self, chunk: &Relayed) -> Result<(), BusError> {
        self.faults.check()?;
        let lose = |left: usize| left.checked_sub(1);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        match self.faults.loses.fetch_update(set, fetch, lose) {
            Ok(_) => Ok(()),
            Err(_) => self.handle.publish(chunk),
        }
    }

    fn interest(&self) -> Interest {
        self.handle.interest()
    }
}

impl SignalSender for Faulty<dyn SignalSender> {
    fn send(&self, signal: &Signal) -> Result<(), BusError> {
        self.faults.check()?;
        if self.faults.yields.load(Ordering::Relaxed) {
            (0..YIELDS).for_each(|_| thread::yield_now());
        }
        self.handle.send(signal)
    }

    fn deliver<'a>(&'a self, signal: &'a Arc<Signal>) -> BoxFuture<'a, Result<(), BusError>> {
        Box::pin(async move {
            self.faults.check()?;
            self.handle.deliver(signal).await
        })
    }
}
