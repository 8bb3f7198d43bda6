//! Numbering, subscriptions and gaps on one node.

mod common;

use std::sync::atomic::Ordering;

use common::{EngineClient, engine, publish, room};
use serde_json::{Value, json};
use weir_engine::{Engine, EngineOptions};

/// Returns a publisher, its track, and a subscriber.
fn pair(engine: &Engine, kind: &str) -> (EngineClient, Value, EngineClient) {
    let room = room(engine);
    let (publisher, subscriber) = (EngineClient::new(engine), EngineClient::new(engine));
    publisher.join(&room);
    subscriber.join(&room);
    let track = publish(&publisher, kind);
    (publisher, track, subscriber)
}

/// Returns the media that a client received: `seq`s, and gaps as pairs.
fn media(client: &EngineClient) -> Vec<Value> {
    let events = client.events().into_iter();
    let media = events.filter_map(|(name, argument)| match name.as_str() {
        "media" => Some(argument["seq"].clone()),
        "media:gap" => {
            assert_eq!(argument["reason"], "slow");
            Some(json!([argument["from"], argument["to"]]))
        }
        _ => None,
    });
    media.collect()
}

#[tokio::test]
async fn chunks_are_numbered_and_arrive_unchanged() {
    let engine = engine(EngineOptions::default());
    let (publisher, track, subscriber) = pair(&engine, "video");
    assert_eq!(
        publisher.chunk(&track, 10, true),
        json!({"ok": true, "seq": 1})
    );
    assert_eq!(
        publisher.chunk(&track, 20, false),
        json!({"ok": true, "seq": 2})
    );
    let chunks: Vec<_> = subscriber
        .told()
        .into_iter()
        .filter(|told| told.event == "media")
        .collect();
    assert_eq!(
        chunks[0].argument,
        json!({"track": track, "seq": 1, "ts": 10, "key": true})
    );
    assert_eq!(
        chunks[1].argument,
        json!({"track": track, "seq": 2, "ts": 20})
    );
    assert_eq!(chunks[1].attachments, ["20"]);
    assert_eq!(media(&publisher), [Value::Null; 0]);
    assert_eq!(engine.counters().chunks_sent.value(), 2);
}

#[tokio::test]
async fn a_gap_is_announced_right_before_the_next_key_chunk() {
    let engine = engine(EngineOptions::default());
    let (publisher, track, subscriber) = pair(&engine, "video");
    for (at, key) in [(1, true), (2, false)] {
        publisher.chunk(&track, at, key);
    }
    subscriber.outlet.full.store(true, Ordering::Relaxed);
    for (at, key) in [(3, false), (4, false), (5, true)] {
        publisher.chunk(&track, at, key);
    }
    subscriber.outlet.full.store(false, Ordering::Relaxed);
    for (at, key) in [(6, false), (7, true), (8, false)] {
        publisher.chunk(&track, at, key);
    }
    assert_eq!(
        media(&subscriber),
        [json!(1), json!(2), json!([3, 6]), json!(7), json!(8)]
    );
    let counters = engine.counters();
    assert_eq!(counters.chunks_dropped.value(), 4);
    assert_eq!(counters.chunks_sent.value(), 4);
    assert_eq!(counters.gaps_announced.value(), 1);
}

#[tokio::test]
async fn late_joiner_starts_at_key_chunk() {
    let engine = engine(EngineOptions::default());
    let (publisher, track, subscriber) = pair(&engine, "video");
    subscriber.request("track:unsubscribe", json!({"track": track}));
    publisher.chunk(&track, 1, true);
    subscriber.request("track:subscribe", json!({"track": track}));
    subscriber.request("track:subscribe", json!({"track": track}));
    for (at, key) in [(2, false), (3, true), (4, false)] {
        publisher.chunk(&track, at, key);
    }
    assert_eq!(media(&subscriber), [json!(3), json!(4)]);
}

#[tokio::test]
async fn only_the_owner_publishes_chunks_of_an_existing_track() {
    let engine = engine(EngineOptions::default());
    let (publisher, track, subscriber) = pair(&engine, "audio");
    let code = |answer: Value| answer["error"]["code"].clone();
    assert_eq!(code(subscriber.chunk(&track, 1, false)), "not_track_owner");
    assert_eq!(
        code(publisher.chunk(&json!(99), 1, false)),
        "track_not_found"
    );
    let own = publisher.request("track:subscribe", json!({"track": track}));
    assert_eq!(code(own), "bad_request");
    publisher.request("track:unpublish", json!({"track": track}));
    assert_eq!(code(publisher.chunk(&track, 1, false)), "track_not_found");
    publisher.request("room:leave", json!({}));
    assert_eq!(code(publisher.chunk(&track, 1, false)), "not_joined");
    assert_eq!(engine.counters().chunks_refused.value(), 4);
    assert_eq!(media(&subscriber), [Value::Null; 0]);
}

#[tokio::test]
async fn manual_subscriber_receives_only_requested_tracks() {
    let engine = engine(EngineOptions::default());
    let room = room(&engine);
    let (publisher, subscriber) = (EngineClient::new(&engine), EngineClient::new(&engine));
    publisher.join(&room);
    let wish = json!({"room": room, "autoSubscribe": false});
    assert_eq!(subscriber.request("room:join", wish)["ok"], true);
    let (wanted, other) = (publish(&publisher, "data"), publish(&publisher, "data"));
    assert_eq!(
        subscriber.request("track:subscribe", json!({"track": wanted}))["ok"],
        true
    );
    publisher.chunk(&wanted, 1, false);
    publisher.chunk(&other, 2, false);
    assert_eq!(media(&subscriber), [json!(1)]);
}
