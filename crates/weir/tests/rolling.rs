//! Rolling replacement of all nodes of a cluster under load.
//!
//! `WEIR_TEST_ROLLING_CLIENTS` sets the number of clients of each node; the default is 30.

#![allow(clippy::print_stdout, reason = "a run reports its measurements")]

mod common;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::{UNHURRIED, ask, cluster, cluster_node, connect, room, signal};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, interval, sleep_until, timeout},
};
use weir_testkit::{RedisServer, ServerProcess, SocketClient, eventually};

const NODES: usize = 3;
const MEMBERS: usize = 10;
const DRAIN: &[(&str, &str)] = &[
    ("WEIR_DRAIN__PAUSE_MS", "1000"),
    ("WEIR_DRAIN__WINDOW_MS", "10000"),
    ("WEIR_DRAIN__DEADLINE_MS", "20000"),
    UNHURRIED[0],
    UNHURRIED[1],
];
const WINDOW: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_secs(20);

/// Send interval of a publisher.
const EVERY: Duration = Duration::from_millis(100);

/// State shared by the clients: a balancer's list of nodes, and their observations.
#[derive(Debug, Default)]
struct World {
    ready: Mutex<Vec<SocketAddr>>,
    turn: AtomicUsize,
    /// Times of reconnections.
    moves: Mutex<Vec<Instant>>,
    /// Longest interruption of media at each client.
    silences: Mutex<Vec<Duration>>,
    /// Current member ids by room.
    present: Mutex<BTreeMap<String, Vec<String>>>,
    done: AtomicBool,
}

impl World {
    fn next(&self) -> SocketAddr {
        let ready = self.ready.lock().expect("no panic");
        ready[self.turn.fetch_add(1, Ordering::Relaxed) % ready.len()]
    }
}

/// Connection with its member id and track.
struct Seat {
    client: SocketClient,
    id: String,
    track: Option<u64>,
}

async fn sit(world: &World, room: &str, publishes: bool) -> Seat {
    let client = SocketClient::connect(world.next())
        .await
        .expect("it connects");
    let id = common::join(&client, room).await;
    let track = if publishes {
        Some(common::publish(&client, "audio").await)
    } else {
        None
    };
    Seat { client, id, track }
}

/// Acts like the SDK: when its node drains, it closes the connection and opens another.
async fn live(world: Arc<World>, room: String, publishes: bool) {
    let mut seat = sit(&world, &room, publishes).await;
    let mut ticks = interval(EVERY);
    let mut leaves = None;
    let mut heard: Option<Instant> = None;
    let mut silence = Duration::ZERO;
    let far = Instant::now() + Duration::from_secs(3600);
    while !world.done.load(Ordering::Relaxed) {
        tokio::select! {
            told = seat.client.next() => {
                let told = told.expect("nobody is cut off");
                if told.media().is_some() {
                    let now = Instant::now();
                    silence = silence.max(heard.map_or(Duration::ZERO, |heard| now - heard));
                    heard = Some(now);
                } else if told.event == "node:draining" {
                    let wait = told.args[0]["reconnectInMs"].as_u64().expect("a number");
                    leaves = Some(Instant::now() + Duration::from_millis(wait));
                }
            }
            _ = ticks.tick() => if let Some(track) = seat.track {
                seat.client.send_media(track, 0, true, b"a little sound").await.expect("it is sent");
            },
            () = sleep_until(leaves.unwrap_or(far)) => {
                leaves = None;
                seat.client.close().await.expect("it closes");
                world.moves.lock().expect("no panic").push(Instant::now());
                seat = sit(&world, &room, publishes).await;
            }
        }
    }
    if !publishes {
        world.silences.lock().expect("no panic").push(silence);
    }
    {
        let mut present = world.present.lock().expect("no panic");
        present.entry(room).or_default().push(seat.id);
    }
    // Stays connected until the test has checked the rooms.
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_replacement_keeps_every_member_in_its_room() {
    let per_node = std::env::var("WEIR_TEST_ROLLING_CLIENTS").map_or(30, |text| {
        text.parse().expect("WEIR_TEST_ROLLING_CLIENTS is a number")
    });
    let redis = RedisServer::standalone().await;
    let mut nodes = cluster(redis.url(), NODES, DRAIN).await;
    let world = Arc::new(World::default());
    *world.ready.lock().expect("no panic") = nodes.iter().map(ServerProcess::listen).collect();

    let opener = connect(&nodes[0]).await;
    let mut clients = JoinSet::new();
    let mut rooms = Vec::new();
    for _ in 0..per_node * NODES / MEMBERS {
        let room = room(&opener).await;
        for member in 0..MEMBERS {
            clients.spawn(live(Arc::clone(&world), room.clone(), member == 0));
        }
        rooms.push(room);
    }
    opener.close().await.expect("it closes");
    let witness = connect(&nodes[0]).await;
    for room in &rooms {
        until_members(&witness, room, MEMBERS).await;
    }
    witness.close().await.expect("it closes");

    for turn in 0..NODES {
        let new = cluster_node(redis.url(), DRAIN).await;
        let old = nodes.remove(0);
        {
            let mut ready = world.ready.lock().expect("no panic");
            ready.push(new.listen());
            ready.retain(|address| *address != old.listen());
        }
        nodes.push(new);
        let moved = std::mem::take(&mut *world.moves.lock().expect("no panic")).len();
        assert_eq!(moved == 0, turn == 0, "all have moved before the next turn");
        drain(old, &world, turn).await;
    }

    world.done.store(true, Ordering::Relaxed);
    eventually("all have said who they are", common::PATIENCE, async || {
        let present = world.present.lock().expect("no panic");
        let count: usize = present.values().map(Vec::len).sum();
        (count == rooms.len() * MEMBERS).then_some(())
    })
    .await;
    assert_complete(&nodes[0], &world).await;
    let mut silences = world.silences.lock().expect("no panic").clone();
    silences.sort();
    let median = silences[silences.len() / 2];
    let longest = silences.last().expect("there are some");
    println!("the longest silence of a client: median {median:?}, longest {longest:?}");
    assert!(median < Duration::from_secs(1));
    clients.abort_all();
}

/// Stops a node and checks that its clients move evenly and in time.
async fn drain(mut node: ServerProcess, world: &World, turn: usize) {
    let begun = Instant::now();
    signal(node.pid(), "TERM");
    let exit = timeout(DEADLINE + Duration::from_secs(5), node.wait());
    let exit = exit.await.expect("it ends").expect("it can be waited for");
    assert!(exit.success(), "{exit}: {}", node.log());
    let moves = world.moves.lock().expect("no panic").clone();
    let fastest = most_in_a_second(&moves);
    #[allow(clippy::cast_precision_loss, reason = "small")]
    let even = moves.len() as f64 / WINDOW.as_secs_f64();
    println!(
        "node {turn}: {} clients moved within {:.1} s, {fastest} in the fullest second, {even:.1} evenly",
        moves.len(),
        begun.elapsed().as_secs_f64(),
    );
    assert!(begun.elapsed() < DEADLINE, "before its deadline");
    #[allow(clippy::cast_precision_loss, reason = "small")]
    let fastest = fastest as f64;
    assert!(fastest <= (2.0 * even).max(3.0));
}

/// Asserts that each room has exactly its members and one track.
async fn assert_complete(node: &ServerProcess, world: &World) {
    let witness = connect(node).await;
    let present = world.present.lock().expect("no panic").clone();
    for (room, present) in present {
        let joined = ask(&witness, "room:join", json!({"room": room})).await;
        let own = joined["self"]["id"].clone();
        let mut known = ids(&joined["members"]);
        known.retain(|id| *id != own);
        let mut present = present;
        present.sort();
        assert_eq!(known, present, "nobody is missing, and there are no ghosts");
        assert_eq!(joined["tracks"].as_array().map(Vec::len), Some(1));
        ask(&witness, "room:leave", json!({})).await;
    }
}

fn ids(members: &Value) -> Vec<String> {
    let members = members.as_array().expect("a list").iter();
    let mut ids: Vec<_> = members
        .map(|member| member["id"].as_str().expect("an id").to_owned())
        .collect();
    ids.sort();
    ids
}

async fn until_members(witness: &SocketClient, room: &str, count: usize) {
    eventually("all have joined", common::PATIENCE, async || {
        let joined = ask(witness, "room:join", json!({"room": room})).await;
        ask(witness, "room:leave", json!({})).await;
        (ids(&joined["members"]).len() == count + 1).then_some(())
    })
    .await;
}

/// Returns the largest number of times within any one second.
fn most_in_a_second(times: &[Instant]) -> usize {
    let within = |first: &Instant| {
        let last = *first + Duration::from_secs(1);
        times
            .iter()
            .filter(|time| **time >= *first && **time < last)
            .count()
    };
    times.iter().map(within).max().unwrap_or_default()
}
