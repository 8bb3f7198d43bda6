//! Rooms whose members are on several nodes.

mod common;

use std::{sync::atomic::Ordering, time::Duration};

use common::{EngineClient, faulty::FaultyNode, publish, room};
use serde_json::{Value, json};
use tokio::task::yield_now;
use weir_cluster::{Bus, EarlierChunks, MemoryHub, MemoryOptions, Signal};
use weir_protocol::{RoomId, TrackId};

/// Lets all tasks run that need no time to pass.
async fn settle() {
    for _ in 0..50 {
        yield_now().await;
    }
}

/// Sends a request and waits for its answer.
async fn ask(client: &EngineClient, event: &str, argument: Value) -> Value {
    let ack = client.send(event, argument);
    for _ in 0..100 {
        if let Some(answer) = client.answer(ack) {
            return answer;
        }
        yield_now().await;
    }
    panic!("{event} is not answered");
}

async fn join(client: &EngineClient, room: &Value) -> Value {
    let joined = ask(client, "room:join", json!({"room": room})).await;
    assert_eq!(joined["ok"], true, "{joined}");
    joined
}

/// Returns the media that a client received: chunks by number, gaps by bounds and reason.
async fn media(client: &EngineClient) -> Vec<String> {
    settle().await;
    let shown = |(name, argument): (String, Value)| match name.as_str() {
        "media" => Some(argument["seq"].to_string()),
        "media:gap" => {
            let (from, to) = (&argument["from"], &argument["to"]);
            let reason = argument["reason"].as_str().unwrap_or_default();
            Some(format!("{from}-{to} {reason}"))
        }
        _ => None,
    };
    client.events().into_iter().filter_map(shown).collect()
}

fn hub() -> MemoryHub {
    MemoryHub::new(MemoryOptions::default())
}

/// Sends a position of a track's publisher to all nodes.
fn send_position(hub: &MemoryHub, room: &Value, track: &Value, last: u64, earlier: EarlierChunks) {
    let position = Signal::Position {
        track: TrackId(u32::try_from(track.as_u64().expect("an id")).expect("a small id")),
        last,
        earlier,
    };
    let room = RoomId::made(room.as_str().expect("an id"));
    let sent = hub.bus().signals(&room).send(&position);
    sent.expect("the queue has room");
}

/// Returns a publisher on one node, a subscriber on another, and the id of their room.
async fn pair(a: &FaultyNode, b: &FaultyNode) -> (EngineClient, EngineClient, Value) {
    let (ann, bob) = (EngineClient::new(&a.engine), EngineClient::new(&b.engine));
    let room = room(&a.engine);
    join(&ann, &room).await;
    join(&bob, &room).await;
    (ann, bob, room)
}

#[tokio::test(start_paused = true)]
async fn chunks_cross_only_while_another_node_wants_them() {
    let hub = hub();
    let (a, b) = (FaultyNode::new(&hub), FaultyNode::new(&hub));
    let (ann, carl) = (EngineClient::new(&a.engine), EngineClient::new(&a.engine));
    let room = room(&a.engine);
    join(&ann, &room).await;
    join(&carl, &room).await;
    let track = publish(&ann, "audio");
    for ts in 0..10 {
        ann.chunk(&track, ts, false);
    }
    assert_eq!(a.relayed(), 0);

    let bob = EngineClient::new(&b.engine);
    join(&bob, &room).await;
    for ts in 10..20 {
        ann.chunk(&track, ts, false);
    }
    let numbers = |range: std::ops::RangeInclusive<u64>| range.map(|seq| seq.to_string());
    assert_eq!(media(&carl).await, numbers(1..=20).collect::<Vec<_>>());
    assert_eq!(media(&bob).await, numbers(11..=20).collect::<Vec<_>>());
    assert_eq!(a.relayed(), 10);
    assert!(media(&ann).await.is_empty());

    ask(&bob, "track:unsubscribe", json!({"track": track})).await;
    settle().await;
    // Longer than the linger of the subscription and the grace period of the interest.
    tokio::time::advance(Duration::from_secs(6)).await;
    settle().await;
    for ts in 20..30 {
        ann.chunk(&track, ts, false);
    }
    assert_eq!(a.relayed(), 11, "a probe");
    ask(&bob, "track:subscribe", json!({"track": track})).await;
    ann.chunk(&track, 30, false);
    assert_eq!(media(&bob).await.last().map(String::as_str), Some("31"));
}

#[tokio::test(start_paused = true)]
async fn early_subscriber_receives_the_first_chunk_despite_a_slow_subscription() {
    let hub = hub();
    let (a, b) = (FaultyNode::new(&hub), FaultyNode::slow(&hub));
    b.events.pass(usize::MAX);
    let (ann, bob, _) = pair(&a, &b).await;
    let track = publish(&ann, "data");
    for ts in 0..5 {
        ann.chunk(&track, ts, false);
    }
    settle().await;
    assert!(media(&bob).await.is_empty(), "it cannot know them yet");
    b.faults.subscriptions.add_permits(1);
    settle().await;
    ann.chunk(&track, 5, false);
    assert_eq!(media(&bob).await, ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(b.engine.counters().chunks_lost.value(), 0);
}

#[tokio::test(start_paused = true)]
async fn position_for_another_node_starts_no_track_that_misses_chunks() {
    let hub = hub();
    let (a, b) = (FaultyNode::new(&hub), FaultyNode::slow(&hub));
    b.events.pass(usize::MAX);
    let (ann, bob, room) = pair(&a, &b).await;
    let track = publish(&ann, "audio");
    ann.chunk(&track, 0, false);
    settle().await;
    // The publisher's node does not receive this node's first request.
    a.faults.away.store(true, Ordering::Relaxed);
    b.faults.subscriptions.add_permits(1);
    settle().await;
    // It has published chunk 1 again before this node subscribed, because another node requested it.
    send_position(&hub, &room, &track, 1, EarlierChunks::Republished);
    settle().await;
    a.faults.away.store(false, Ordering::Relaxed);
    ann.chunk(&track, 1, false);
    assert!(media(&bob).await.is_empty(), "it misses chunk 1");
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_eq!(media(&bob).await, ["1", "2"]);
    assert_eq!(b.engine.counters().chunks_lost.value(), 0);
}

#[tokio::test(start_paused = true)]
async fn position_that_arrived_before_the_subscription_starts_no_track() {
    let hub = hub();
    let (a, b) = (FaultyNode::new(&hub), FaultyNode::slow(&hub));
    b.events.pass(usize::MAX);
    let (ann, bob, room) = pair(&a, &b).await;
    let track = publish(&ann, "audio");
    settle().await;
    // The position waits in a queue while the node subscribes, and chunk 1 is published meanwhile.
    b.faults.subscriptions.add_permits(1);
    send_position(&hub, &room, &track, 0, EarlierChunks::Republished);
    ann.chunk(&track, 0, false);
    a.faults.away.store(true, Ordering::Relaxed);
    settle().await;
    a.faults.away.store(false, Ordering::Relaxed);
    ann.chunk(&track, 1, false);
    assert!(media(&bob).await.is_empty(), "it misses chunk 1");
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_eq!(media(&bob).await, ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn chunks_that_are_lost_before_the_start_are_requested_again() {
    let hub = hub();
    let (a, b) = (FaultyNode::new(&hub), FaultyNode::new(&hub));
    let (ann, bob, _) = pair(&a, &b).await;
    let track = publish(&ann, "audio");
    // All chunks are lost when they are new, and chunk 1 when it is published again.
    a.faults.loses.store(4, Ordering::Relaxed);
    for ts in 0..3 {
        ann.chunk(&track, ts, false);
    }
    assert!(media(&bob).await.is_empty(), "it misses chunk 1");
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_eq!(media(&bob).await, ["1", "2", "3"]);
    assert_eq!(b.engine.counters().chunks_lost.value(), 0);
}

#[tokio::test(start_paused = true)]
async fn subscriber_starts_at_once_after_a_gap_if_the_first_chunks_are_gone() {
    let hub = hub();
    let (a, b) = (FaultyNode::new(&hub), FaultyNode::slow(&hub));
    b.events.pass(usize::MAX);
    let (ann, bob, _) = pair(&a, &b).await;
    let track = publish(&ann, "audio");
    ann.chunk(&track, 0, false);
    // Longer than the first chunks are kept.
    tokio::time::advance(Duration::from_secs(3)).await;
    ann.chunk(&track, 1, false);
    b.faults.subscriptions.add_permits(1);
    settle().await;
    ann.chunk(&track, 2, false);
    assert_eq!(media(&bob).await, ["1-2 lost", "3"]);
}

#[tokio::test(start_paused = true)]
async fn loss_between_nodes_is_a_gap_up_to_the_next_key_chunk() {
    let hub = hub();
    let (a, b) = (FaultyNode::new(&hub), FaultyNode::new(&hub));
    let (ann, bob, _) = pair(&a, &b).await;
    let track = publish(&ann, "video");
    settle().await;
    for (ts, key) in [(0, true), (1, false)] {
        ann.chunk(&track, ts, key);
    }
    a.faults.loses.store(2, Ordering::Relaxed);
    for ts in 2..6 {
        ann.chunk(&track, ts, false);
    }
    ann.chunk(&track, 6, true);
    ann.chunk(&track, 7, false);
    assert_eq!(media(&bob).await, ["1", "2", "3-6 lost", "7", "8"]);
    assert_eq!(b.engine.counters().chunks_lost.value(), 2);
}

#[tokio::test(start_paused = true)]
async fn late_joiner_on_another_node_starts_at_key_chunk() {
    let hub = hub();
    let (a, b) = (FaultyNode::new(&hub), FaultyNode::new(&hub));
    let (ann, _bob, room) = pair(&a, &FaultyNode::new(&hub)).await;
    let track = publish(&ann, "video");
    settle().await;
    for ts in 0..5 {
        ann.chunk(&track, ts, ts == 0);
    }
    let eve = EngineClient::new(&b.engine);
    join(&eve, &room).await;
    ann.chunk(&track, 5, false);
    ann.chunk(&track, 6, true);
    ann.chunk(&track, 7, false);
    assert_eq!(media(&eve).await, ["7", "8"]);
    assert_eq!(b.engine.counters().chunks_lost.value(), 0);
}

#[tokio::test(start_paused = true)]
async fn joiner_receives_every_chunk_after_its_answer() {
    let hub = hub();
    let a = FaultyNode::new(&hub);
    let ann = EngineClient::new(&a.engine);
    let room = room(&a.engine);
    join(&ann, &room).await;
    let track = publish(&ann, "audio");
    // The publisher's node does not know the new member yet.
    a.events.hold();
    for n in 0..20 {
        let node = FaultyNode::new(&hub);
        let client = EngineClient::new(&node.engine);
        join(&client, &room).await;
        ann.chunk(&track, n, false);
        assert_eq!(media(&client).await.len(), 1, "client {n}");
        std::mem::forget((client, node));
    }
}

#[tokio::test(start_paused = true)]
async fn silent_publisher_delays_joins_only_briefly() {
    let hub = hub();
    let (a, b) = (FaultyNode::new(&hub), FaultyNode::new(&hub));
    let ann = EngineClient::new(&a.engine);
    let room = room(&a.engine);
    join(&ann, &room).await;
    publish(&ann, "audio");
    a.faults.away.store(true, Ordering::Relaxed);
    let bob = EngineClient::new(&b.engine);
    let asked = bob.send("room:join", json!({"room": room}));
    settle().await;
    assert_eq!(bob.answer(asked), None);
    tokio::time::advance(Duration::from_secs(2)).await;
    settle().await;
    assert_eq!(bob.answer(asked).expect("an answer")["ok"], true);
}

#[tokio::test(start_paused = true)]
async fn messages_follow_the_events_that_their_sender_knew() {
    let hub = hub();
    let (a, b) = (FaultyNode::new(&hub), FaultyNode::new(&hub));
    let (ann, bob, room) = pair(&a, &b).await;
    b.events.hold();
    let eve = EngineClient::new(&a.engine);
    let eve_joined = join(&eve, &room).await;
    let id = eve_joined["self"]["id"].clone();
    ask(&eve, "message", json!({"data": "hello"})).await;
    settle().await;
    assert_eq!(bob.names(), [""; 0], "who is it from?");
    assert_eq!(ann.names(), ["member:joined", "member:joined", "message"]);
    b.events.pass(usize::MAX);
    assert_eq!(bob.names(), ["member:joined", "message"]);
    assert_eq!(bob.events()[1].1, json!({"from": id, "data": "hello"}));
}

#[tokio::test(start_paused = true)]
async fn messages_and_key_chunk_requests_reach_other_nodes() {
    let hub = hub();
    let (a, b) = (FaultyNode::new(&hub), FaultyNode::new(&hub));
    let (ann, bob, room) = pair(&a, &b).await;
    let (carl, dora) = (EngineClient::new(&a.engine), EngineClient::new(&b.engine));
    join(&carl, &room).await;
    let dora_id = join(&dora, &room).await["self"]["id"].clone();
    let heard = async |client: &EngineClient| {
        settle().await;
        let messages = client.events().into_iter();
        let messages = messages.filter(|(name, _)| name == "message");
        messages
            .map(|(_, message)| message["data"].clone())
            .collect::<Vec<_>>()
    };
    ask(&ann, "message", json!({"data": 1})).await;
    ask(&ann, "message", json!({"data": 2, "to": [dora_id]})).await;
    assert_eq!(heard(&ann).await, [json!(null); 0]);
    assert_eq!(heard(&bob).await, [json!(1)]);
    assert_eq!(heard(&carl).await, [json!(1)]);
    assert_eq!(heard(&dora).await, [json!(1), json!(2)]);

    let track = publish(&ann, "video");
    ask(&bob, "track:request-keyframe", json!({"track": track})).await;
    settle().await;
    assert!(ann.names().contains(&"track:keyframe-requested".to_owned()));

    a.faults.away.store(true, Ordering::Relaxed);
    for request in [json!({"data": 3}), json!({"data": 3, "to": [dora_id]})] {
        let refused = ask(&ann, "message", request).await;
        assert_eq!(refused["error"]["code"], "unavailable");
    }
    let carl_id = carl.told()[0].argument["self"]["id"].clone();
    ask(&ann, "message", json!({"data": 4, "to": [carl_id]})).await;
    assert_eq!(heard(&carl).await, [json!(1), json!(4)]);
    assert_eq!(heard(&bob).await, [json!(1)]);
    b.faults.away.store(true, Ordering::Relaxed);
    let refused = ask(&bob, "track:request-keyframe", json!({"track": track})).await;
    assert_eq!(refused["error"]["code"], "unavailable");
}

/// Returns the number of key chunk requests that a publisher received for `track`.
fn keyframe_requests(client: &EngineClient, track: &Value) -> usize {
    let events = client.events().into_iter();
    let asked = events.filter(|(name, argument)| {
        name == "track:keyframe-requested" && argument["track"] == *track
    });
    asked.count()
}

#[tokio::test(start_paused = true)]
async fn key_chunk_requests_are_coalesced_per_second_and_track() {
    let hub = hub();
    let (a, b) = (FaultyNode::new(&hub), FaultyNode::new(&hub));
    let (ann, bob, room) = pair(&a, &b).await;
    let carl = EngineClient::new(&a.engine);
    join(&carl, &room).await;
    let (track, other) = (publish(&ann, "video"), publish(&ann, "video"));
    settle().await;
    let request = async |client: &EngineClient, track: &Value| {
        let answer = ask(client, "track:request-keyframe", json!({ "track": track })).await;
        assert_eq!(answer, json!({"ok": true}), "whoever asks is answered");
        settle().await;
    };
    let pass = async |time: Duration| {
        tokio::time::advance(time).await;
        settle().await;
    };
    request(&bob, &track).await;
    assert_eq!(keyframe_requests(&ann, &track), 1, "the first at once");
    for client in [&bob, &carl, &carl, &bob] {
        request(client, &track).await;
    }
    assert_eq!(keyframe_requests(&ann, &track), 1);
    request(&carl, &other).await;
    assert_eq!(keyframe_requests(&ann, &other), 1, "each track for itself");
    pass(Duration::from_millis(999)).await;
    assert_eq!(keyframe_requests(&ann, &track), 1);
    pass(Duration::from_millis(2)).await;
    assert_eq!(keyframe_requests(&ann, &track), 2, "the others together");
    pass(Duration::from_secs(5)).await;
    assert_eq!(keyframe_requests(&ann, &track), 2, "nobody asked again");
    // A viewer requests one every 500 ms for 10 s.
    for _ in 0..20 {
        request(&bob, &track).await;
        pass(Duration::from_millis(500)).await;
    }
    let asked = keyframe_requests(&ann, &track) - 2;
    assert!((10..=11).contains(&asked), "{asked} times in 10 s");
    assert_eq!(keyframe_requests(&ann, &other), 1);

    // A waiting request is dropped with its track.
    request(&bob, &track).await;
    request(&bob, &track).await;
    let before = keyframe_requests(&ann, &track);
    ask(&ann, "track:unpublish", json!({ "track": track })).await;
    pass(Duration::from_secs(2)).await;
    assert_eq!(keyframe_requests(&ann, &track), before);
}

#[tokio::test(start_paused = true)]
async fn joins_fail_while_the_bus_is_unavailable_and_members_continue() {
    let hub = hub();
    let (a, b) = (FaultyNode::new(&hub), FaultyNode::new(&hub));
    let (ann, bob, room) = pair(&a, &b).await;
    let carl = EngineClient::new(&a.engine);
    join(&carl, &room).await;
    let track = publish(&ann, "audio");
    settle().await;
    a.faults.away.store(true, Ordering::Relaxed);
    let c = FaultyNode::new(&hub);
    c.faults.away.store(true, Ordering::Relaxed);
    let eve = EngineClient::new(&c.engine);
    let refused = ask(&eve, "room:join", json!({"room": room})).await;
    assert_eq!(refused["error"]["code"], "unavailable");
    for ts in 0..3 {
        ann.chunk(&track, ts, false);
    }
    assert_eq!(media(&carl).await, ["1", "2", "3"]);
    assert_eq!(a.engine.counters().chunks_unrelayed.value(), 3);
    a.faults.away.store(false, Ordering::Relaxed);
    ann.chunk(&track, 3, false);
    assert_eq!(media(&bob).await, ["1-3 lost", "4"]);
}
