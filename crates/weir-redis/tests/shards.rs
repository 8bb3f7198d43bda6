//! Publishing to a Redis Cluster: servers do not hold up each other, and slots move without a loss.

use std::{
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::interval;
use weir_cluster::{Bus, BusError, ChunkSink, Relayed, Subscription, TrackKey};
use weir_protocol::{Chunk, RoomId, TrackId};
use weir_redis::{Health, RedisBus};
use weir_testkit::{RedisProcess, RedisServer, eventually};

const SOON: Duration = Duration::from_secs(30);

/// Interval of chunks.
const EVERY: Duration = Duration::from_millis(10);

/// Number of chunks sent to a frozen server: a second of them, less than the cluster tolerates.
const WHILE_FROZEN: u64 = 100;

async fn bus(server: &RedisServer) -> RedisBus {
    let bus = RedisBus::new(&server.url().parse().expect("a Redis"), "test");
    for mut health in [bus.hears(), bus.publishes()] {
        health.wait_for(Health::works).await.expect("it lives");
    }
    bus
}

#[derive(Debug, Default)]
struct Received(Mutex<Vec<u64>>);

impl Received {
    fn numbers(&self) -> Vec<u64> {
        let numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.clone()
    }
}

impl ChunkSink for Received {
    fn chunk(&self, relayed: Relayed, _more: bool) {
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.push(relayed.chunk.seq);
    }
}

/// Track of a room, with another node that receives it.
struct Room {
    track: TrackKey,
    received: Arc<Received>,
    _subscription: Subscription,
}

impl Room {
    async fn new(name: &str, receiver: &RedisBus) -> Self {
        let track = TrackKey {
            room: RoomId::made(name),
            track: TrackId(1),
        };
        let received = Arc::new(Received::default());
        let subscribed = receiver.subscribe(&track, received.clone()).await;
        Self {
            track,
            received,
            _subscription: subscribed.expect("it subscribes"),
        }
    }

    fn publish(&self, bus: &RedisBus, seq: u64) -> Result<(), BusError> {
        let chunk = Chunk {
            track: self.track.track,
            seq,
            ts: 0,
            key: true,
            dur: None,
            payload: vec![1; 100].into(),
        };
        bus.publisher(&self.track).publish(&Relayed {
            chunk,
            counts_as_key: true,
            trace: None,
        })
    }
}

/// Process that does not run until this is dropped.
struct Frozen(String);

impl Frozen {
    fn new(process: &RedisProcess) -> Self {
        let frozen = Self(process.pid().to_string());
        frozen.signal("-STOP");
        frozen
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.0]).status();
        assert!(sent.expect("kill runs").success());
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_shard_holds_up_only_its_own_rooms() {
    let server = RedisServer::cluster().await;
    let (sender, receiver) = (bus(&server).await, bus(&server).await);
    let shard = |name: &str| server.primary(server.slot(name));
    let frozen = shard("room");
    let mut names = (0..).map(|n| format!("room{n}"));
    let other = names.find(|name| shard(name) != frozen).expect("some");
    let held_up = Room::new("room", &receiver).await;
    let other = Room::new(&other, &receiver).await;
    let freeze = Frozen::new(&server.processes[frozen]);
    // Runs for a second: the frozen server must be busy with a batch meanwhile.
    let mut ticks = interval(EVERY);
    for seq in 1..=WHILE_FROZEN {
        ticks.tick().await;
        // Refused once the connection counts as lost.
        let _ = held_up.publish(&sender, seq);
        other.publish(&sender, seq).expect("its server works");
    }
    sender.flush(&other.track.room).await;
    eventually("every chunk arrives", SOON, async || {
        let numbers = other.received.numbers();
        (numbers.last() == Some(&WHILE_FROZEN)).then_some(())
    })
    .await;
    let sent: Vec<_> = (1..=WHILE_FROZEN).collect();
    assert_eq!(other.received.numbers(), sent);
    assert!(held_up.received.numbers().is_empty(), "it is frozen");
    drop(freeze);
    let mut seq = WHILE_FROZEN;
    eventually("its chunks arrive again", SOON, async || {
        seq += 1;
        let _ = held_up.publish(&sender, seq);
        let numbers = held_up.received.numbers();
        numbers.iter().any(|seq| *seq > WHILE_FROZEN).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_are_published_while_their_slot_moves() {
    let server = RedisServer::cluster().await;
    let (sender, receiver) = (bus(&server).await, bus(&server).await);
    let room = Room::new("room", &receiver).await;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let publishing = tokio::spawn(async move {
        let mut ticks = interval(Duration::from_millis(1));
        let mut seq = 0;
        while !stopped.load(Ordering::Relaxed) {
            ticks.tick().await;
            seq += 1;
            room.publish(&sender, seq).expect("it is accepted");
        }
        sender.flush(&room.track.room).await;
        (sender, room, seq)
    });
    let slot = server.slot("room");
    let server = tokio::task::spawn_blocking(move || {
        for _ in 0..6 {
            server.move_slot(slot, (server.primary(slot) + 1) % 3);
        }
        server
    });
    let _server = server.await.expect("the slot moves");
    stop.store(true, Ordering::Relaxed);
    let (sender, room, sent) = publishing.await.expect("it publishes");
    for sample in sender.samples() {
        if let ("weir.bus.dropped", [("reason", reason)]) = (sample.metric, &*sample.attributes) {
            assert!(
                sample.value == 0.0 || *reason == "old",
                "{} of {sent} were dropped: {reason}",
                sample.value
            );
        }
    }
    // The receiver's subscription moves as well, so it misses some.
    assert!(!room.received.numbers().is_empty(), "nothing arrived");
}
