//! Nodes of a cluster that are killed or frozen.

mod common;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use common::{UNHURRIED, ask, cluster, connect, member, member_with_id, publish, room, signal};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::timeout};
use weir_testkit::{Incoming, RedisServer, SocketClient};

const MEMBERS: usize = 1_000;

/// Maximum time from a node's death until every member is notified.
const TOLD: Duration = Duration::from_secs(15);

/// Length of a freeze; longer than the lease of a node.
const FROZEN: Duration = Duration::from_secs(20);

const BIG_ROOMS: &[(&str, &str)] = &[
    ("WEIR_LIMITS__MEMBERS_PER_ROOM", "2000"),
    UNHURRIED[0],
    UNHURRIED[1],
];

/// Reads `count` events and returns the ids in them. Asserts that no id repeats and that versions
/// increase.
async fn ids(
    client: &mut SocketClient,
    event: &str,
    count: usize,
    check: fn(&Value),
) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut last = 0;
    while ids.len() < count {
        let told = client.next().await.expect("an event");
        let argument = &told.args[0];
        if let Some(version) = argument["version"].as_u64() {
            assert!(version > last, "{version} after {last}");
            last = version;
        }
        if told.event == event {
            check(argument);
            let id = argument["id"]
                .as_str()
                .or(argument["member"]["id"].as_str());
            let new = ids.insert(id.expect("an id").to_owned());
            assert!(new, "{argument} is told twice");
        }
    }
    ids
}

fn is_lost(left: &Value) {
    assert_eq!(left["reason"], "node-lost", "{left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_killed_node_leave_exactly_once() {
    let redis = RedisServer::standalone().await;
    let mut nodes = cluster(redis.url(), 3, BIG_ROOMS).await;
    let dying = nodes.pop().expect("three");
    let opener = connect(&nodes[0]).await;
    let room = ask(&opener, "room:create", json!({"maxMembers": 2_000})).await;
    let room = room["room"]["id"].as_str().expect("an id").to_owned();
    let mut doomed = Vec::new();
    let mut names = BTreeSet::new();
    for _ in 0..MEMBERS {
        let (client, id) = member_with_id(&dying, &room).await;
        doomed.push(client);
        names.insert(id);
    }
    let mut witnesses = Vec::new();
    for node in nodes.iter().chain(&nodes).chain(&nodes) {
        witnesses.push(member(node, &room).await);
    }

    let killed = Instant::now();
    dying.kill().await.expect("it is killed");
    let mut told = JoinSet::new();
    for mut witness in witnesses {
        told.spawn(async move {
            let lost = ids(&mut witness, "member:left", MEMBERS, is_lost).await;
            (witness, lost, killed.elapsed())
        });
    }
    let mut slowest = Duration::ZERO;
    let mut witnesses = Vec::new();
    while let Some(told) = told.join_next().await {
        let (witness, lost, took) = told.expect("every witness is told");
        assert_eq!(lost, names);
        slowest = slowest.max(took);
        witnesses.push(witness);
    }
    println!("{MEMBERS} members gone, told to the last after {slowest:?}");
    assert!(slowest < TOLD);

    // The next event is the next change: no notice is repeated.
    let (_newcomer, id) = member_with_id(&nodes[0], &room).await;
    for witness in &mut witnesses {
        let told = ids(witness, "member:joined", 1, |_| {}).await;
        assert!(told.contains(&id));
    }
}

/// Reads joins and leaves until exactly these members are present.
async fn until_present(witness: &mut SocketClient, wanted: &BTreeSet<String>) {
    let mut here: BTreeSet<String> = BTreeSet::new();
    while here != *wanted {
        let told = timeout(TOLD, witness.next()).await.expect("soon");
        let told = told.expect("an event");
        match (told.event.as_str(), &told.args[0]) {
            ("member:joined", joined) => {
                let id = joined["member"]["id"].as_str().expect("an id");
                assert!(here.insert(id.to_owned()));
            }
            ("member:left", left) => {
                let id = left["id"].as_str().expect("an id");
                assert!(here.remove(id), "{left}");
            }
            _ => {}
        }
    }
}

/// Reads until an event matches.
async fn until_event(witness: &mut SocketClient, matches: fn(&Incoming) -> bool) {
    loop {
        let told = timeout(TOLD, witness.next()).await.expect("soon");
        if matches(&told.expect("an event")) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_thawed_node_rejoin_the_room() {
    let redis = RedisServer::standalone().await;
    let nodes = cluster(redis.url(), 3, &[]).await;
    let frozen = &nodes[2];
    let room = room(&connect(&nodes[0]).await).await;
    let (mut witness, _) = member_with_id(&nodes[0], &room).await;
    let (mut publisher, publisher_id) = member_with_id(frozen, &room).await;
    let track = publish(&publisher, "audio").await;
    let (silent, silent_id) = member_with_id(frozen, &room).await;
    let (vanishing, vanishing_id) = member_with_id(frozen, &room).await;
    let all = BTreeSet::from([
        publisher_id.clone(),
        silent_id.clone(),
        vanishing_id.clone(),
    ]);
    assert_eq!(ids(&mut witness, "member:joined", 3, |_| {}).await, all);

    signal(frozen.pid(), "STOP");
    let stopped = Instant::now();
    assert_eq!(ids(&mut witness, "member:left", 3, is_lost).await, all);
    let told = stopped.elapsed();
    println!("told after {told:?}");
    assert!(told < TOLD);
    vanishing.vanish().await.expect("it vanishes");
    // The length of the freeze is what is tested; no event happens that could be awaited.
    let nothing = timeout(FROZEN.saturating_sub(stopped.elapsed()), witness.next());
    nothing.await.expect_err("nothing happens");

    signal(frozen.pid(), "CONT");
    let back = BTreeSet::from([publisher_id, silent_id]);
    until_present(&mut witness, &back).await;
    let fresh = connect(&nodes[1]).await;
    let found = ask(&fresh, "room:join", json!({"room": room})).await;
    // The two returned members, the witness and the newcomer: no ghost.
    assert_eq!(
        found["members"].as_array().expect("a list").len(),
        4,
        "{found}"
    );
    assert_eq!(found["tracks"][0]["id"], track);

    // The returned members keep their connections and can go on.
    for client in [&publisher, &silent] {
        ask(client, "message", json!({"data": "here"})).await;
    }
    for _ in 0..2 {
        until_event(&mut witness, |told| told.event == "message").await;
    }
    publisher
        .send_media(track, 7, false, b"chunk")
        .await
        .expect("it is sent");
    until_event(&mut witness, |told| told.media().is_some()).await;
    while let Some(told) = publisher.try_next() {
        let gone = told.event != "member:left" || told.args[0]["id"] == *vanishing_id;
        assert!(gone, "nobody else has left: {told:?}");
    }
}
