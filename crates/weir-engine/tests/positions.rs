//! Positions that a publisher's node announces to other nodes.

mod common;

use std::{
    sync::{Arc, Mutex, atomic::Ordering, mpsc},
    thread,
};

use bytes::Bytes;
use common::{EngineClient, faulty::FaultyNode};
use serde_json::json;
use tokio::task::yield_now;
use weir_cluster::{
    Bus, ChunkSink, MemoryHub, MemoryOptions, Relayed, Signal, SignalSink, TrackKey,
};
use weir_protocol::{RoomId, TrackId};

/// Number of requests for the position, and of chunks that are published during each. All chunks
/// together are within the limit per second.
const ROUNDS: usize = 100;
const CHUNKS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Received {
    Chunk(u64),
    Position(u64),
}

/// Chunks and positions that a node receives, in order.
#[derive(Debug, Default)]
struct BusRecorder(Mutex<Vec<Received>>);

impl BusRecorder {
    fn push(&self, received: Received) {
        self.0.lock().expect("nobody panicked").push(received);
    }

    fn received(&self) -> Vec<Received> {
        self.0.lock().expect("nobody panicked").clone()
    }
}

impl ChunkSink for BusRecorder {
    fn chunk(&self, relayed: Relayed, _more: bool) {
        self.push(Received::Chunk(relayed.chunk.seq));
    }
}

impl SignalSink for BusRecorder {
    fn signal(&self, signal: Arc<Signal>) {
        if let Signal::Position { last, .. } = *signal {
            self.push(Received::Position(last));
        }
    }

    fn interrupted(&self) {}
}

#[tokio::test]
async fn position_precedes_every_chunk_after_it() {
    let hub = MemoryHub::new(MemoryOptions::default());
    let node = FaultyNode::new(&hub);
    let ann = EngineClient::new(&node.engine);
    let room = common::room(&node.engine);
    let ack = ann.send("room:join", json!({"room": room}));
    while ann.answer(ack).is_none() {
        yield_now().await;
    }
    let track = TrackId(
        u32::try_from(common::publish(&ann, "audio").as_u64().expect("an id")).expect("a small id"),
    );

    let (other, recorder) = (hub.bus(), Arc::new(BusRecorder::default()));
    let room = RoomId::made(room.as_str().expect("an id"));
    let key = TrackKey {
        room: room.clone(),
        track,
    };
    let subscribed = other.subscribe(&key, recorder.clone()).await;
    let listening = other.listen(&room, recorder.clone()).await;
    let _subscriptions = (
        subscribed.expect("it subscribes"),
        listening.expect("it listens"),
    );
    let signals = other.signals(&room);
    let wanted = Signal::Wanted {
        track,
        beginning: true,
    };
    let positions = || {
        let received = recorder.received();
        let positions = received
            .iter()
            .filter(|one| matches!(one, Received::Position(_)));
        positions.count()
    };
    node.faults.yields.store(true, Ordering::Relaxed);
    let (start, rounds) = mpsc::channel();
    let publishing = thread::spawn(move || {
        let place = json!({"_placeholder": true, "num": 0});
        let text = json!(["media", {"track": track.0, "ts": 0}, place]).to_string();
        for () in rounds {
            for _ in 0..CHUNKS {
                let payload = vec![Bytes::from_static(b"payload")];
                ann.session.receive("media", &text, payload, None);
            }
        }
    });
    for _ in 0..ROUNDS {
        let before = positions();
        signals.send(&wanted).expect("the queue has room");
        start.send(()).expect("it publishes");
        while positions() == before {
            yield_now().await;
        }
    }
    drop(start);
    publishing.join().expect("it publishes");

    let mut last_chunk = 0;
    for one in recorder.received() {
        match one {
            Received::Chunk(seq) => last_chunk = seq,
            Received::Position(last) => {
                assert!(
                    last >= last_chunk,
                    "chunk {last_chunk} precedes position {last}"
                );
            }
        }
    }
    assert_eq!(last_chunk, (ROUNDS * CHUNKS) as u64);
}
