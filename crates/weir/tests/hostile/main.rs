//! Each request with each possible fault: the answer has the documented code, and the connection
//! stays open. The cases are generated from the contract's table.

#[path = "../common/mod.rs"]
mod common;
mod faults;

use common::{UNHURRIED, ask, code, connect, member, node, publish, room};
use faults::{BadRequest, Targets};
use serde_json::{Value, json};
use weir_protocol::REQUESTS;
use weir_testkit::{ServerProcess, SocketClient, placeholder};

/// Node with clients for the cases to refer to.
struct Scene {
    node: ServerProcess,
    /// Client in the room, with a track of its own.
    inside: SocketClient,
    /// Client in no room.
    outside: SocketClient,
    /// Client in the room, with another track.
    _other: SocketClient,
    targets: Targets,
}

impl Scene {
    async fn set() -> Self {
        let node = node(UNHURRIED).await;
        let outside = connect(&node).await;
        let room = room(&outside).await;
        let inside = member(&node, &room).await;
        let other = member(&node, &room).await;
        let targets = Targets {
            own: publish(&inside, "video").await,
            others: publish(&other, "video").await,
            room,
        };
        Self {
            node,
            inside,
            outside,
            _other: other,
            targets,
        }
    }
}

/// Checks the shape, code and message of an error.
fn check(case: &BadRequest, error: &Value) {
    let answer = json!({"error": error});
    assert_eq!(code(&answer), case.code, "{case}: {error}");
    let message = error["message"].as_str().expect("a message");
    assert!(
        message.contains(&case.names),
        "{case}: no {:?} in {error}",
        case.names
    );
    let retryable = case.code == "rate_limited";
    assert_eq!(error["retryable"], retryable, "{case}: {error}");
}

/// Sends a case with an acknowledgement and without one, and checks both refusals.
async fn refuse(client: &mut SocketClient, case: &BadRequest) {
    let arguments = Value::Array(case.arguments.clone());
    let answer = client
        .request_binary(case.event, arguments.clone(), &case.attachments)
        .await
        .unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!(answer["ok"], false, "{case}: {answer}");
    check(case, &answer["error"]);

    let sent = client.emit(case.event, arguments, &case.attachments).await;
    sent.unwrap_or_else(|error| panic!("{case}: {error}"));
    loop {
        let event = client.next().await;
        let event = event.unwrap_or_else(|error| panic!("{case}: {error}"));
        if event.event == "error" {
            assert_eq!(event.arg(0)["event"], case.event, "{case}");
            return check(case, &event.arg(0)["error"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_requests_get_their_documented_code() {
    let mut scene = Scene::set().await;
    let cases = faults::of_fields(&scene.targets);
    assert!(cases.len() > 400, "only {} cases", cases.len());
    for shape in REQUESTS {
        assert!(
            cases.iter().any(|case| case.event == shape.event),
            "none of {}",
            shape.event
        );
    }
    for case in &cases {
        refuse(&mut scene.inside, case).await;
    }
    // The connection is still open, in the same room.
    ask(&scene.inside, "member:update", json!({"name": "unharmed"})).await;

    // The form of a request is checked before the state that it needs.
    for case in cases.iter().filter(|case| case.code == "bad_request") {
        refuse(&mut scene.outside, case).await;
    }
    ask(&scene.outside, "room:create", json!({})).await;
    println!("{} cases", cases.len());
}

/// Returns requests about a track.
fn of_track(events: &[&'static str], track: u64) -> Vec<BadRequest> {
    let requests = events
        .iter()
        .map(|event| BadRequest::new(event, vec![json!({"track": track})]));
    let header = json!({"track": track, "ts": 0});
    let media = BadRequest::new("media", vec![header, placeholder(0)]).with(b"x");
    requests.chain([media]).collect()
}

/// Returns requests of a member that its state does not permit.
fn of_state(Targets { room, own, others }: &Targets) -> Vec<BadRequest> {
    let ghost = of_track(
        &[
            "track:update",
            "track:unpublish",
            "track:subscribe",
            "track:unsubscribe",
            "track:request-keyframe",
        ],
        4_000_000_000,
    );
    let ghost = ghost
        .into_iter()
        .map(|case| case.but("track_not_found", "4000000000"));
    let foreign = of_track(&["track:update", "track:unpublish"], *others);
    let foreign = foreign
        .into_iter()
        .map(|case| case.but("not_track_owner", ""));
    let single = [
        (
            "room:join",
            json!({"room": room}),
            "already_joined",
            room.as_str(),
        ),
        (
            "track:subscribe",
            json!({"track": own}),
            "bad_request",
            "track",
        ),
        (
            "message",
            json!({"data": 1, "to": ["ghost"]}),
            "member_not_found",
            "ghost",
        ),
        ("no:such-event", json!({}), "bad_request", "no:such-event"),
    ];
    let single = single.map(|(event, argument, code, names)| {
        BadRequest::new(event, vec![argument]).but(code, names)
    });
    let unnamed = BadRequest::new("", vec![]).but("bad_request", "event");
    ghost
        .chain(foreign)
        .chain(single)
        .chain([unnamed])
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_wrong_state_get_their_documented_code() {
    let mut scene = Scene::set().await;
    for shape in REQUESTS.iter().filter(|shape| shape.in_room) {
        let case = BadRequest::good(shape, &scene.targets).but("not_joined", "");
        refuse(&mut scene.outside, &case).await;
    }
    let full = ask(&scene.outside, "room:create", json!({"maxMembers": 1})).await;
    let full = full["room"]["id"].as_str().expect("an id");
    let _first = member(&scene.node, full).await;
    let room = scene.targets.room.clone();
    for (event, argument, code, names) in [
        (
            "room:join",
            json!({"room": "nowhere"}),
            "room_not_found",
            "\"nowhere\"",
        ),
        ("room:join", json!({"room": full}), "room_full", full),
        (
            "room:create",
            json!({"id": room}),
            "room_exists",
            room.as_str(),
        ),
    ] {
        let case = BadRequest::new(event, vec![argument]).but(code, names);
        refuse(&mut scene.outside, &case).await;
    }
    let inside = &mut scene.inside;
    for case in of_state(&scene.targets) {
        refuse(inside, &case).await;
    }
    for _ in 1..16 {
        publish(inside, "data").await;
    }
    let seventeenth = json!({"kind": "data", "codec": "x"});
    let case = BadRequest::new("track:publish", vec![seventeenth]).but("too_large", "16 tracks");
    refuse(inside, &case).await;
    ask(inside, "room:leave", json!({})).await;
    let again = BadRequest::new("room:leave", vec![]).but("not_joined", "");
    refuse(inside, &again).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_above_the_rate_limit_are_refused_as_retryable() {
    let node = node(&[
        ("WEIR_LIMITS__REQUESTS_PER_SECOND", "1"),
        ("WEIR_LIMITS__REQUEST_BURST", "40"),
        ("WEIR_LIMITS__CHUNKS_PER_SECOND", "10"),
        ("WEIR_LIMITS__CHUNK_BYTES", "100000"),
        ("WEIR_LIMITS__INGEST_BITS_PER_SECOND", "800000"),
    ])
    .await;
    let mut client = connect(&node).await;
    let room = room(&client).await;
    ask(&client, "room:join", json!({"room": room})).await;
    let track = publish(&client, "data").await;
    for size in [1, 60_000] {
        let media = || {
            let arguments = vec![json!({"track": track, "ts": 0}), placeholder(0)];
            BadRequest::new("media", arguments).with(&vec![0; size])
        };
        let mut taken = 0;
        loop {
            let case = media();
            let arguments = Value::Array(case.arguments.clone());
            let sent = client
                .request_binary("media", arguments, &case.attachments)
                .await;
            if sent.expect("an answer")["ok"] == false {
                break;
            }
            taken += 1;
            assert!(taken < 1_000, "no limit");
        }
        let names = if size == 1 { "10 chunks" } else { "chunks" };
        if size == 1 {
            refuse(&mut client, &media().but("rate_limited", names)).await;
        }
    }
    let mut answers = Vec::new();
    for _ in 0..60 {
        let answer = client.request("member:update", json!({})).await;
        answers.push(answer.expect("an answer")["ok"] == true);
    }
    let taken = answers.iter().filter(|ok| **ok).count();
    assert!(
        (37..50).contains(&taken),
        "{taken} of 60 requests were taken"
    );
    assert!(!answers[59], "the last of 60 was taken");
    let case = BadRequest::new("member:update", vec![json!({})]).but("rate_limited", "1 requests");
    refuse(&mut client, &case).await;
}
