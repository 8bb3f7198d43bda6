//! What is put on the bus reaches those who want it.

use std::sync::Arc;

use bytes::Bytes;
use weir_protocol::{Chunk, MemberId, RoomId, TrackId};

use super::{
    Backend,
    node::{Node, json, room},
};
use crate::{Interest, Relayed, Signal, Subscription, TrackKey};

fn key(room_id: &str, track: u32) -> TrackKey {
    TrackKey {
        room: room(room_id),
        track: TrackId(track),
    }
}

fn chunk(track: &TrackKey, seq: u64) -> Arc<Relayed> {
    let chunk = Chunk {
        track: track.track,
        seq,
        ts: -5 + i64::try_from(seq).expect("small"),
        key: seq % 10 == 1,
        dur: seq.is_multiple_of(2).then_some(20_000),
        payload: Bytes::from(vec![seq.to_le_bytes()[0]; 100]),
    };
    Arc::new(Relayed {
        chunk,
        counts_as_key: seq % 5 == 1,
        trace: None,
    })
}

fn put(node: &Node, track: &TrackKey, seq: u64) {
    let taken = node.bus.publish(track, &chunk(track, seq));
    taken.expect("there is a place in the outbox");
}

fn say(node: &Node, room: &RoomId, text: &str) -> Arc<Signal> {
    let signal = Arc::new(Signal::Message {
        version: 7,
        from: MemberId::new("ann"),
        to: Some(vec![MemberId::new("ben")]),
        topic: Some("chat".into()),
        data: json(&format!("[{text:?}]")),
        attachments: vec![Bytes::from_static(b"\0\xff")],
    });
    let taken = node.bus.send(room, &signal);
    taken.expect("there is a place in the outbox");
    signal
}

async fn subscribe(node: &Node, track: &TrackKey) -> Subscription {
    node.bus.subscribe(track).await.expect("the bus is there")
}

async fn listen(node: &Node, room: &RoomId) -> Subscription {
    node.bus.listen(room).await.expect("the bus is there")
}

/// The numbers of all chunks of a track, once the node has `count` chunks in all.
async fn numbers(node: &Node, track: &TrackKey, count: usize) -> Vec<u64> {
    let chunks = node.inbox.chunks_until(count).await;
    let chunks = chunks.iter().filter(|(key, _)| key == track);
    chunks.map(|(_, relayed)| relayed.chunk.seq).collect()
}

pub async fn chunks_keep_their_order(backend: &dyn Backend) {
    let (_store, [a, b, c]) = Node::several(backend).await;
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

pub async fn a_node_gets_no_chunk_of_its_own(backend: &dyn Backend) {
    let (_store, [a, b]) = Node::several(backend).await;
    let track = key("hall", 1);
    let _a = subscribe(&a, &track).await;
    let _b = subscribe(&b, &track).await;
    put(&a, &track, 1);
    assert_eq!(numbers(&b, &track, 1).await, [1]);
    put(&b, &track, 2);
    assert_eq!(numbers(&a, &track, 1).await, [2]);
}

pub async fn an_end_of_a_subscription_is_an_end_of_chunks(backend: &dyn Backend) {
    let (_store, [a, b]) = Node::several(backend).await;
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

pub async fn two_subscriptions_tell_once(backend: &dyn Backend) {
    let (_store, [a, b]) = Node::several(backend).await;
    let track = key("hall", 1);
    let first = subscribe(&b, &track).await;
    let second = subscribe(&b, &track).await;
    put(&a, &track, 1);
    put(&a, &track, 2);
    assert_eq!(numbers(&b, &track, 2).await, [1, 2]);
    drop(first);
    put(&a, &track, 3);
    put(&a, &track, 4);
    assert_eq!(numbers(&b, &track, 4).await, [1, 2, 3, 4]);
    drop(second);
}

pub async fn tracks_of_different_rooms_are_apart(backend: &dyn Backend) {
    let (_store, [a, b]) = Node::several(backend).await;
    let (here, there) = (key("hall", 1), key("cellar", 1));
    let _subscription = subscribe(&b, &here).await;
    put(&a, &there, 1);
    put(&a, &here, 2);
    let chunks = b.inbox.chunks_until(1).await;
    assert_eq!(chunks, [(here.clone(), chunk(&here, 2))]);
}

pub async fn signals_reach_the_other_nodes_in_order(backend: &dyn Backend) {
    let (_store, [a, b, c]) = Node::several(backend).await;
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
            beginning: false,
        },
    ] {
        let signal = Arc::new(signal);
        let taken = a.bus.send(&hall, &signal);
        taken.expect("there is a place in the outbox");
        put.push((hall.clone(), signal));
    }
    assert_eq!(b.inbox.signals_until(put.len()).await, put);

    let answer = say(&b, &hall, "answer");
    assert_eq!(a.inbox.signals_until(1).await, [(hall, answer)]);
    let elsewhere = say(&a, &cellar, "elsewhere");
    assert_eq!(c.inbox.signals_until(1).await, [(cellar, elsewhere)]);
}

pub async fn an_end_of_listening_is_an_end_of_signals(backend: &dyn Backend) {
    let (_store, [a, b]) = Node::several(backend).await;
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

pub async fn interest_is_known_once_something_was_published(backend: &dyn Backend) {
    let (_store, [a, b, c]) = Node::several(backend).await;
    let track = key("hall", 1);
    let _own = subscribe(&a, &track).await;
    let others = [subscribe(&b, &track).await, subscribe(&c, &track).await];
    put(&a, &track, 1);
    a.bus.flush().await;
    assert_eq!(a.bus.interest(&track), Interest::Nodes(2));
    assert_eq!(numbers(&b, &track, 1).await, [1]);
    drop(others);
    // That a subscription has ended is seen by the bus at some time.
    let mut seq = 1;
    while a.bus.interest(&track) != Interest::Nodes(0) {
        seq += 1;
        assert!(seq < 1_000_000, "the subscriptions never end");
        put(&a, &track, seq);
        a.bus.flush().await;
    }
}
