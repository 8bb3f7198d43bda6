//! A directory that lets requests wait, as one does that is reached over a network.

mod common;

use common::{EngineClient, Waiting, view};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use weir_engine::EngineOptions;

/// Lets the directory take so many turns, and everything that follows from them happen.
async fn turn(turns: &Semaphore, count: usize) {
    turns.add_permits(count);
    // In a runtime of one thread, whoever can go on has done so after a few rounds.
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
async fn requests_of_one_client_are_answered_in_their_order() {
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
async fn what_happens_between_the_snapshot_and_its_arrival_is_told_after_it() {
    let (engine, turns) = Waiting::engine(EngineOptions::default());
    let (ann, bob) = (EngineClient::new(&engine), EngineClient::new(&engine));
    let room = room(&ann, &turns).await;
    let ann_joins = ann.send("room:join", json!({"room": room}));
    turn(&turns, 4).await;
    let ann_joined = ann.answer(ann_joins).expect("ann is in");

    // Turns are taken in the order in which they are waited for: Bob's joining happens, then Ann's
    // change, and then Bob's answer comes back.
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
async fn who_goes_while_joining_is_gone() {
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
async fn who_is_refused_leaves_no_seat_behind() {
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
