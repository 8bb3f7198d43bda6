//! Notifications of members, and their order.

mod common;

use std::{convert::Infallible, sync::Arc};

use common::{EngineClient, engine, publish, room, view};
use serde_json::json;
use weir_cluster::{MemoryHub, MemoryOptions};
use weir_engine::{Engine, EngineOptions, Ports};
use weir_protocol::{Change, CloseReason, Limits, RoomEvent, RoomId};

#[tokio::test]
async fn members_are_notified_of_others_but_not_of_themselves() {
    let engine = engine(EngineOptions::default());
    let room = room(&engine);
    let (ann, bob) = (EngineClient::new(&engine), EngineClient::new(&engine));
    let ann_joined = ann.join(&room);
    let bob_joined = bob.join(&room);
    assert_eq!(ann_joined["version"], 1);
    assert_eq!(bob_joined["version"], 2);
    assert_eq!(bob_joined["members"].as_array().map(Vec::len), Some(2));
    assert_eq!(ann.names(), ["member:joined"]);
    assert_eq!(bob.names(), [""; 0]);

    assert_eq!(bob.request("room:leave", json!({}))["ok"], true);
    assert_eq!(ann.names(), ["member:joined", "member:left"]);
    let (_, left) = ann.events().remove(1);
    assert_eq!(
        left,
        json!({"id": bob_joined["self"]["id"], "reason": "left", "version": 3})
    );
    assert_eq!(bob.names(), [""; 0]);

    let again = bob.join(&room);
    assert_ne!(again["self"]["id"], bob_joined["self"]["id"]);
    drop(bob);
    let (name, left) = ann.events().remove(3);
    assert_eq!(name, "member:left");
    assert_eq!(left["reason"], "disconnected");
}

#[tokio::test]
async fn leaving_unpublishes_each_track_first() {
    let engine = engine(EngineOptions::default());
    let room = room(&engine);
    let (ann, bob) = (EngineClient::new(&engine), EngineClient::new(&engine));
    let joined = ann.join(&room);
    bob.join(&room);
    publish(&bob, "audio");
    publish(&bob, "video");
    bob.session.close();
    assert_eq!(
        ann.names(),
        [
            "member:joined",
            "track:published",
            "track:published",
            "track:unpublished",
            "track:unpublished",
            "member:left"
        ]
    );
    let (members, tracks) = view(&ann, &joined);
    assert_eq!((members.len(), tracks.len()), (1, 0));
}

#[tokio::test]
async fn messages_reach_all_others_or_the_named_recipients() {
    let engine = engine(EngineOptions::default());
    let room = room(&engine);
    let clients: Vec<_> = (0..4).map(|_| EngineClient::new(&engine)).collect();
    let ids: Vec<_> = clients
        .iter()
        .map(|c| c.join(&room)["self"]["id"].clone())
        .collect();
    let heard = |text: &str| {
        let heard = clients.iter().map(|client| {
            let events = client.events().into_iter();
            events
                .filter(|(name, argument)| name == "message" && argument["data"] == text)
                .count()
        });
        heard.collect::<Vec<_>>()
    };
    clients[0].request("message", json!({"data": "all"}));
    assert_eq!(heard("all"), [0, 1, 1, 1]);
    clients[0].request(
        "message",
        json!({"data": "two", "to": [ids[1], ids[2], ids[1]]}),
    );
    assert_eq!(heard("two"), [0, 1, 1, 0]);
    clients[0].request("message", json!({"data": "self", "to": [ids[0]]}));
    assert_eq!(heard("self"), [1, 0, 0, 0]);
    let refused = clients[0].request("message", json!({"data": "none", "to": [ids[1], "ghost"]}));
    assert_eq!(refused["error"]["code"], "member_not_found");
    assert_eq!(heard("none"), [0, 0, 0, 0]);
    clients[0].request("message", json!({"data": "nobody", "to": []}));
    assert_eq!(heard("nobody"), [0, 0, 0, 0]);
}

#[tokio::test]
async fn requests_beyond_the_quota_are_refused_and_answered() {
    let limits = Limits {
        request_burst: 5,
        requests_per_second: 1,
        ..Limits::default()
    };
    let engine = engine(EngineOptions {
        limits,
        ..EngineOptions::default()
    });
    let client = EngineClient::new(&engine);
    let codes: Vec<_> = (0..7)
        .map(|_| client.request("room:leave", json!({}))["error"]["code"].clone())
        .collect();
    assert_eq!(codes[..5], ["not_joined"; 5]);
    assert_eq!(codes[5..], ["rate_limited"; 2]);
    assert_eq!(engine.counters().requests_failed.value(), 7);
}

#[tokio::test]
async fn joining_creates_a_missing_room_if_configured() {
    let request = json!({"room": "lobby"});
    let strict =
        EngineClient::new(&engine(EngineOptions::default())).request("room:join", request.clone());
    assert_eq!(strict["error"]["code"], "room_not_found");
    let options = EngineOptions {
        create_on_join: true,
        ..EngineOptions::default()
    };
    let joined = EngineClient::new(&engine(options)).request("room:join", request);
    assert_eq!(joined["room"]["id"], "lobby");
    assert_eq!(joined["room"]["maxMembers"], 1_000);
}

#[tokio::test]
async fn a_join_request_overrides_the_configured_creation() {
    let ask = |id: &str, create: bool| json!({"room": id, "create": create});
    let node = engine(EngineOptions::default());
    let (ann, ben) = (EngineClient::new(&node), EngineClient::new(&node));
    let created = ann.request("room:join", ask("lobby", true));
    assert_eq!(created["room"]["id"], "lobby");
    assert_eq!(created["room"]["maxMembers"], 1_000);
    assert_eq!(created["room"]["metadata"], json!({}));
    let joined = ben.request("room:join", ask("lobby", true));
    assert_eq!(joined["room"], created["room"], "it is there already");
    assert_eq!(joined["version"], 2);

    let options = EngineOptions {
        create_on_join: true,
        ..EngineOptions::default()
    };
    let strict = EngineClient::new(&engine(options)).request("room:join", ask("lobby", false));
    assert_eq!(strict["error"]["code"], "room_not_found");
}

#[tokio::test]
async fn members_of_a_closed_room_are_notified_and_may_join_another() {
    let mut inbox = None;
    let hub = MemoryHub::new(MemoryOptions::default());
    let engine = Engine::new(EngineOptions::default(), |told| {
        inbox = Some(Arc::clone(&told));
        Ok::<_, Infallible>(Ports {
            directory: Arc::new(hub.directory(told)),
            bus: Arc::new(hub.bus()),
        })
    });
    let engine = engine.expect("it cannot fail");
    let (closed, other) = (room(&engine), room(&engine));
    let client = EngineClient::new(&engine);
    client.join(&closed);
    let track = publish(&client, "audio");
    let id = RoomId::made(closed.as_str().expect("an id"));
    let change = Change::RoomClosed {
        reason: CloseReason::Closed,
    };
    let event = RoomEvent { version: 3, change };
    inbox
        .expect("the engine's inbox")
        .room_event(&id, &Arc::new(event));
    assert_eq!(client.names(), ["track:published", "room:closed"]);
    let refused = client.chunk(&track, 1, true);
    assert_eq!(refused["error"]["code"], "not_joined");
    assert_eq!(client.join(&other)["version"], 1);
}
