//! Requests that wait for the directory, as over a network.

mod common;

use common::{EngineClient, Waiting, view};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use weir_engine::EngineOptions;

/// Lets the directory take `count` turns, and all tasks run.
async fn turn(turns: &Semaphore, count: usize) {
    turns.add_permits(count);
    // On one thread, all runnable tasks have run after a few rounds.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

async fn room(client: &EngineClient, turns: &Semaphore) -> Value {
    let ack = client.send("room:create", json!({}));
    turn(turns, 2).await;
    client.answer(ack).expect("the room")["room"]["id"].clone()
}

#[tokio::test]
async fn requests_of_one_client_are_answered_in_order() {
    let (engine, turns) = Waiting::engine(EngineOptions::default());
    let client = EngineClient::new(&engine);
    let room = room(&client, &turns).await;
    let asked = [
        client.send("room:join", json!({"room": room})),
        client.send("track:publish", json!({"kind": "audio", "codec": "opus"})),
        client.send("room:leave", json!({})),
        client.send("room:leave", json!({})),
    ];
    assert!(asked.iter().all(|ack| client.answer(*ack).is_none()));
    turn(&turns, 100).await;
    let acks: Vec<_> = client.told().iter().filter_map(|told| told.ack).collect();
    assert_eq!(acks[1..], asked);
    let ok: Vec<_> = asked
        .map(|ack| client.answer(ack).expect("an answer")["ok"] == true)
        .into();
    assert_eq!(ok, [true, true, true, false]);
}

#[tokio::test]
async fn events_after_the_snapshot_follow_its_answer() {
    let (engine, turns) = Waiting::engine(EngineOptions::default());
    let (ann, bob) = (EngineClient::new(&engine), EngineClient::new(&engine));
    let room = room(&ann, &turns).await;
    let ann_joins = ann.send("room:join", json!({"room": room}));
    turn(&turns, 4).await;
    let ann_joined = ann.answer(ann_joins).expect("ann is in");

    // The semaphore is fair: Bob joins, then Ann changes, then Bob's answer returns.
    let bob_joins = bob.send("room:join", json!({"room": room}));
    let renamed = ann.send("member:update", json!({"name": "Ann"}));
    turn(&turns, 2).await;
    assert_eq!(ann.names(), ["member:joined", "member:updated"]);
    assert_eq!(bob.answer(bob_joins), None);
    turn(&turns, 2).await;
    assert_eq!(
        ann.answer(renamed).expect("an answer")["member"]["name"],
        "Ann"
    );
    let bob_joined = bob.answer(bob_joins).expect("bob is in");
    assert_eq!(bob.names(), ["member:updated"]);
    assert_eq!(view(&bob, &bob_joined), view(&ann, &ann_joined));
}

#[tokio::test]
async fn a_client_that_disconnects_while_joining_leaves() {
    let (engine, turns) = Waiting::engine(EngineOptions::default());
    let (ann, bob) = (EngineClient::new(&engine), EngineClient::new(&engine));
    let room = room(&ann, &turns).await;
    ann.send("room:join", json!({"room": room}));
    turn(&turns, 4).await;
    bob.send("room:join", json!({"room": room}));
    drop(bob);
    turn(&turns, 100).await;
    assert_eq!(ann.names(), ["member:joined", "member:left"]);
}

#[tokio::test]
async fn a_refused_join_frees_its_seat() {
    let (engine, turns) = Waiting::engine(EngineOptions::default());
    let client = EngineClient::new(&engine);
    turns.add_permits(1_000);
    for _ in 0..3 {
        let ack = client.send("room:join", json!({"room": "nowhere"}));
        turn(&turns, 0).await;
        let answer = client.answer(ack).expect("an answer");
        assert_eq!(answer["error"]["code"], "room_not_found");
    }
    let ack = client.send("room:create", json!({"id": "nowhere"}));
    turn(&turns, 0).await;
    assert_eq!(client.answer(ack).expect("an answer")["ok"], true);
    let ack = client.send("room:join", json!({"room": "nowhere"}));
    turn(&turns, 0).await;
    let joined = client.answer(ack).expect("an answer");
    assert_eq!(joined["members"].as_array().map(Vec::len), Some(1));
}
