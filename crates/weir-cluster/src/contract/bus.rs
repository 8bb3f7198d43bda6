//! Delivery of chunks and signals over the bus.

use std::sync::Arc;

use bytes::Bytes;
use weir_protocol::{Chunk, MemberId, RoomId, TrackId};

use super::{
    Backend, Recorder,
    support::{ContractNode, json, room},
};
use crate::{EarlierChunks, Interest, Relayed, Signal, Subscription, TrackKey};

fn key(room_id: &str, track: u32) -> TrackKey {
    TrackKey {
        room: room(room_id),
        track: TrackId(track),
    }
}

fn chunk(track: &TrackKey, seq: u64) -> Relayed {
    let chunk = Chunk {
        track: track.track,
        seq,
        ts: -5 + i64::try_from(seq).expect("small"),
        key: seq % 10 == 1,
        dur: seq.is_multiple_of(2).then_some(20_000),
        payload: Bytes::from(vec![seq.to_le_bytes()[0]; 100]),
    };
    Relayed {
        chunk,
        counts_as_key: seq % 5 == 1,
        trace: None,
    }
}

fn put(node: &ContractNode, track: &TrackKey, seq: u64) {
    let published = node.bus.publisher(track).publish(&chunk(track, seq));
    published.expect("the queue has room");
}

fn say(node: &ContractNode, room: &RoomId, text: &str) -> Arc<Signal> {
    let signal = Arc::new(Signal::Message {
        version: 7,
        from: MemberId::new("ann"),
        to: Some(vec![MemberId::new("ben")]),
        topic: Some("chat".into()),
        data: json(&format!("[{text:?}]")),
        attachments: vec![Bytes::from_static(b"\0\xff")],
    });
    let sent = node.bus.signals(room).send(&signal);
    sent.expect("the queue has room");
    signal
}

async fn subscribe(node: &ContractNode, track: &TrackKey) -> Subscription {
    subscribe_to(node, track, &node.inbox).await
}

/// Subscribes a node to a track, with the given log.
async fn subscribe_to(node: &ContractNode, track: &TrackKey, log: &Arc<Recorder>) -> Subscription {
    let subscribed = node.bus.subscribe(track, log.chunks_of(track)).await;
    subscribed.expect("the bus is available")
}

async fn listen(node: &ContractNode, room: &RoomId) -> Subscription {
    listen_to(node, room, &node.inbox).await
}

/// Subscribes a node to a room's signals, with the given log.
async fn listen_to(node: &ContractNode, room: &RoomId, log: &Arc<Recorder>) -> Subscription {
    let listening = node.bus.listen(room, log.signals_of(room)).await;
    listening.expect("the bus is available")
}

/// Returns the numbers of a track's chunks, once the node has received `count` chunks in all.
async fn numbers(node: &ContractNode, track: &TrackKey, count: usize) -> Vec<u64> {
    let chunks = node.inbox.chunks_until(count).await;
    let chunks = chunks.iter().filter(|(key, _)| key == track);
    chunks.map(|(_, relayed)| relayed.chunk.seq).collect()
}

pub async fn chunks_keep_their_order(backend: &dyn Backend) {
    let (_store, [a, b, c]) = ContractNode::several(backend).await;
    let tracks = [key("hall", 1), key("hall", 2)];
    let mut subscriptions = Vec::new();
    for track in &tracks {
        subscriptions.push(subscribe(&b, track).await);
        subscriptions.push(subscribe(&c, track).await);
    }
    for seq in 1..=100 {
        for track in &tracks {
            put(&a, track, seq);
        }
    }
    for node in [&b, &c] {
        let chunks = node.inbox.chunks_until(200).await;
        for track in &tracks {
            let told = chunks.iter().filter(|(key, _)| key == track);
            let told: Vec<_> = told.map(|(_, chunk)| chunk.clone()).collect();
            let put: Vec<_> = (1..=100).map(|seq| chunk(track, seq)).collect();
            assert_eq!(told, put);
        }
    }
}

pub async fn a_node_receives_no_chunk_of_its_own(backend: &dyn Backend) {
    let (_store, [a, b]) = ContractNode::several(backend).await;
    let track = key("hall", 1);
    let _a = subscribe(&a, &track).await;
    let _b = subscribe(&b, &track).await;
    put(&a, &track, 1);
    assert_eq!(numbers(&b, &track, 1).await, [1]);
    put(&b, &track, 2);
    assert_eq!(numbers(&a, &track, 1).await, [2]);
}

pub async fn a_dropped_subscription_receives_no_more_chunks(backend: &dyn Backend) {
    let (_store, [a, b]) = ContractNode::several(backend).await;
    let (track, other) = (key("hall", 1), key("hall", 2));
    let subscription = subscribe(&b, &track).await;
    let _other = subscribe(&b, &other).await;
    put(&a, &track, 1);
    b.inbox.chunks_until(1).await;
    drop(subscription);
    put(&a, &track, 2);
    put(&a, &other, 1);
    assert_eq!(numbers(&b, &other, 2).await, [1]);
    assert_eq!(numbers(&b, &track, 2).await, [1]);

    let _again = subscribe(&b, &track).await;
    put(&a, &track, 3);
    assert_eq!(numbers(&b, &track, 3).await, [1, 3]);
}

pub async fn each_subscription_receives_each_chunk_once(backend: &dyn Backend) {
    let (_store, [a, b]) = ContractNode::several(backend).await;
    let track = key("hall", 1);
    let early = Arc::new(Recorder::default());
    let first = subscribe_to(&b, &track, &early).await;
    put(&a, &track, 1);
    early.chunks_until(1).await;
    let second = subscribe(&b, &track).await;
    put(&a, &track, 2);
    put(&a, &track, 3);
    let seqs = |chunks: Vec<(TrackKey, Relayed)>| -> Vec<u64> {
        let chunks = chunks.into_iter();
        chunks.map(|(_, relayed)| relayed.chunk.seq).collect()
    };
    assert_eq!(numbers(&b, &track, 2).await, [2, 3]);
    assert_eq!(seqs(early.chunks_until(3).await), [1, 2, 3]);
    drop(first);
    put(&a, &track, 4);
    put(&a, &track, 5);
    assert_eq!(numbers(&b, &track, 4).await, [2, 3, 4, 5]);
    assert_eq!(seqs(early.chunks_until(3).await), [1, 2, 3]);
    drop(second);
}

pub async fn tracks_of_different_rooms_have_separate_channels(backend: &dyn Backend) {
    let (_store, [a, b]) = ContractNode::several(backend).await;
    let (here, there) = (key("hall", 1), key("cellar", 1));
    let _subscription = subscribe(&b, &here).await;
    put(&a, &there, 1);
    put(&a, &here, 2);
    let chunks = b.inbox.chunks_until(1).await;
    assert_eq!(chunks, [(here.clone(), chunk(&here, 2))]);
}

pub async fn signals_reach_the_other_nodes_in_order(backend: &dyn Backend) {
    let (_store, [a, b, c]) = ContractNode::several(backend).await;
    let (hall, cellar) = (room("hall"), room("cellar"));
    let _a = listen(&a, &hall).await;
    let _b = listen(&b, &hall).await;
    let _c = listen(&c, &cellar).await;
    let mut put = Vec::new();
    for n in 0..50 {
        put.push((hall.clone(), say(&a, &hall, &n.to_string())));
    }
    let track = TrackId(7);
    for signal in [
        Signal::KeyframeRequested(track),
        Signal::Wanted {
            track,
            beginning: true,
        },
        Signal::Position {
            track,
            last: 1 << 60,
            earlier: EarlierChunks::Gone,
        },
    ] {
        let signal = Arc::new(signal);
        let sent = a.bus.signals(&hall).send(&signal);
        sent.expect("the queue has room");
        put.push((hall.clone(), signal));
    }
    assert_eq!(b.inbox.signals_until(put.len()).await, put);

    let answer = say(&b, &hall, "answer");
    assert_eq!(a.inbox.signals_until(1).await, [(hall, answer)]);
    let elsewhere = say(&a, &cellar, "elsewhere");
    assert_eq!(c.inbox.signals_until(1).await, [(cellar, elsewhere)]);
}

pub async fn a_node_that_stops_listening_receives_no_more_signals(backend: &dyn Backend) {
    let (_store, [a, b]) = ContractNode::several(backend).await;
    let (hall, cellar) = (room("hall"), room("cellar"));
    let subscription = listen(&b, &hall).await;
    let _cellar = listen(&b, &cellar).await;
    let first = say(&a, &hall, "first");
    b.inbox.signals_until(1).await;
    drop(subscription);
    say(&a, &hall, "second");
    let third = say(&a, &cellar, "third");
    let told = b.inbox.signals_until(2).await;
    assert_eq!(told, [(hall, first), (cellar, third)]);
}

pub async fn each_listener_of_a_node_receives_each_signal_once(backend: &dyn Backend) {
    let (_store, [a, b]) = ContractNode::several(backend).await;
    let hall = room("hall");
    let early = Arc::new(Recorder::default());
    let first = listen_to(&b, &hall, &early).await;
    let _second = listen(&b, &hall).await;
    let one = [(hall.clone(), say(&a, &hall, "one"))];
    assert_eq!(b.inbox.signals_until(1).await, one);
    assert_eq!(early.signals_until(1).await, one);
    drop(first);
    let two = (hall.clone(), say(&a, &hall, "two"));
    let three = (hall.clone(), say(&a, &hall, "three"));
    let received = b.inbox.signals_until(3).await;
    assert_eq!(received[..1], one);
    assert_eq!(received[1..], [two, three]);
    assert_eq!(early.signals_until(1).await, one);
}

pub async fn interest_is_known_after_the_first_publication(backend: &dyn Backend) {
    let (_store, [a, b, c]) = ContractNode::several(backend).await;
    let track = key("hall", 1);
    let _own = subscribe(&a, &track).await;
    let others = [subscribe(&b, &track).await, subscribe(&c, &track).await];
    put(&a, &track, 1);
    a.bus.flush(&track.room).await;
    assert_eq!(a.bus.publisher(&track).interest(), Interest::Nodes(2));
    assert_eq!(numbers(&b, &track, 1).await, [1]);
    drop(others);
    // The bus notices the end of a subscription eventually.
    let mut seq = 1;
    while a.bus.publisher(&track).interest() != Interest::Nodes(0) {
        seq += 1;
        assert!(seq < 1_000_000, "the subscriptions never end");
        put(&a, &track, seq);
        a.bus.flush(&track.room).await;
    }
}
