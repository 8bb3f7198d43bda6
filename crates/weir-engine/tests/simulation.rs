//! Simulation: members of three nodes join, leave and change at random, and the directory executes
//! and notifies in random order.

mod common;

use std::{sync::Arc, time::Duration};

use common::{EngineClient, Waiting, view};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::yield_now, time::timeout};
use weir_cluster::{MemoryHub, MemoryOptions};
use weir_engine::EngineOptions;
use weir_protocol::Limits;

const NODES: usize = 3;
const CLIENTS: usize = 9;
const STEPS: usize = 400;
const SEEDS: u64 = 20;

#[tokio::test]
async fn every_member_sees_one_history_under_any_interleaving() {
    let first = match std::env::var("WEIR_TEST_SEED") {
        Ok(seed) => seed.parse().expect("WEIR_TEST_SEED is a number"),
        Err(_) => rand::rng().random_range(..u64::MAX - SEEDS),
    };
    println!("WEIR_TEST_SEED={first} repeats this");
    for seed in first..first + SEEDS {
        simulate(StdRng::seed_from_u64(seed)).await;
    }
}

async fn simulate(mut rng: StdRng) {
    let limits = Limits {
        request_burst: 1_000_000,
        ..Limits::default()
    };
    let options = || EngineOptions {
        limits,
        create_on_join: true,
        chunk_sampling: 3,
    };
    let turns = Arc::new(Semaphore::new(0));
    let hub = MemoryHub::new(MemoryOptions::default());
    let nodes: Vec<_> = (0..NODES)
        .map(|_| Waiting::node(options(), &hub, &turns))
        .collect();
    let client = |at: usize| EngineClient::new(&nodes[at % NODES].0);
    let mut clients: Vec<_> = (0..CLIENTS).map(client).collect();
    // The witness keeps the room from expiring.
    let (watching, its_events) = Waiting::node(options(), &hub, &turns);
    its_events.pass(usize::MAX);
    let witness = EngineClient::new(&watching);
    let joins = witness.send("room:join", json!({"room": "r"}));
    turns.add_permits(4);
    while witness.answer(joins).is_none() {
        yield_now().await;
    }
    for step in 0..STEPS {
        let at = rng.random_range(..clients.len());
        match rng.random_range(0..13) {
            4 => clients[at] = EngineClient::new(&nodes[at % NODES].0),
            choice @ 0..9 => act(&mut rng, &clients[at], choice, step),
            _ => {
                turns.add_permits(rng.random_range(0..3));
                let (_, late) = nodes.choose(&mut rng).expect("a node");
                late.pass(rng.random_range(0..4));
                for _ in 0..rng.random_range(0..6) {
                    yield_now().await;
                }
            }
        }
    }
    turns.add_permits(1_000_000);
    nodes.iter().for_each(|(_, late)| late.pass(usize::MAX));
    leave(&clients).await;
    // Dropped sessions leave, too.
    let joined = witness.answer(joins).expect("it joined");
    let alone = async || loop {
        let (members, tracks) = view(&witness, &joined);
        if (members.len(), tracks.len()) == (1, 0) {
            return;
        }
        yield_now().await;
    };
    let all_left = timeout(Duration::from_secs(30), alone()).await;
    all_left.expect("only the witness stays");
    assert_one_history(&witness, &clients);
}

/// Sends one of the requests of a member.
fn act(rng: &mut StdRng, client: &EngineClient, choice: u32, step: usize) {
    let (event, argument) = match choice {
        0..3 => ("room:join", json!({"room": "r"})),
        3 => ("room:leave", json!({})),
        5 => ("member:update", json!({"name": "x"})),
        6 => ("track:publish", json!({"kind": "audio", "codec": "opus"})),
        7 => {
            let track: u32 = *[1, 2, 3, 4, 5, 6].choose(rng).expect("six");
            ("track:unpublish", json!({"track": track}))
        }
        _ => ("message", json!({"data": {"step": step}})),
    };
    client.send(event, argument);
}

/// Has all clients leave, and waits for the answers.
async fn leave(clients: &[EngineClient]) {
    let last = clients
        .iter()
        .map(|client| client.send("room:leave", json!({"last": true})));
    let last: Vec<_> = last.collect();
    while clients
        .iter()
        .zip(&last)
        .any(|(client, ack)| client.answer(*ack).is_none())
    {
        yield_now().await;
    }
}

/// Asserts that the events of each membership are a range of the witness's.
fn assert_one_history(witness: &EngineClient, clients: &[EngineClient]) {
    let history = changes(witness);
    for client in clients {
        for (version, change) in changes(client) {
            let known = history.iter().find(|(other, _)| *other == version);
            assert_eq!(known.map(|(_, change)| change), Some(&change));
        }
    }
    let came = |name: &str| {
        witness
            .names()
            .iter()
            .filter(|event| *event == name)
            .count()
    };
    assert_eq!(came("member:joined"), came("member:left"));
    assert_eq!(came("track:published"), came("track:unpublished"));
}

/// Returns the changes that a client received, by version; one membership has no gaps.
fn changes(client: &EngineClient) -> Vec<(u64, (String, Value))> {
    let mut last = None;
    let mut changes = Vec::new();
    for told in client.told() {
        let version = told.argument["version"].as_u64();
        let Some(version) = version else { continue };
        if told.ack.is_some() {
            last = Some(version);
            continue;
        }
        assert_eq!(Some(version - 1), last, "{} {}", told.event, told.argument);
        last = Some(version);
        changes.push((version, (told.event, told.argument)));
    }
    changes
}
