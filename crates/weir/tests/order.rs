//! Order of chunks from many publishers at many subscribers.

mod common;

use std::{collections::HashMap, sync::Arc};

use common::{UNHURRIED, cluster, counter, member, node, publish, room};
use tokio::{sync::Barrier, task::JoinSet};
use weir_testkit::{RedisServer, ServerProcess, SocketClient};

const PUBLISHERS: usize = 8;
const CHUNKS: u64 = 10_000;
const SUBSCRIBERS: usize = 20;

/// Chunks that each publisher sends before it waits for all subscribers. The sum fits into the queue
/// of one subscriber, so that no chunk may be dropped.
const ROUND: u64 = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_on_one_node_arrive_once_and_in_order() {
    let nodes = [node(UNHURRIED).await];
    run(&nodes).await;
    let copies = CHUNKS * (PUBLISHERS * SUBSCRIBERS) as u64;
    let sent = counter(&nodes[0], r#"weir_egress_chunks_total{way="direct"}"#).await;
    let queued = counter(&nodes[0], r#"weir_egress_chunks_total{way="queued"}"#).await;
    // The publishers receive each other's tracks too.
    let to_publishers = CHUNKS * (PUBLISHERS * (PUBLISHERS - 1)) as u64;
    assert_eq!(sent + queued, copies + to_publishers);
    assert_eq!(
        counter(&nodes[0], r#"weir_egress_dropped_total{reason="slow"}"#).await,
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_across_three_nodes_arrive_once_and_in_order() {
    between_nodes(UNHURRIED).await;
    // A single-threaded node sends each burst within a second, on any machine.
    let one_thread = [("WEIR_SERVER__THREADS", "1")];
    between_nodes(&[UNHURRIED, &one_thread].concat()).await;
}

async fn between_nodes(variables: &[(&str, &str)]) {
    let redis = RedisServer::standalone().await;
    let nodes = cluster(redis.url(), 3, variables).await;
    run(&nodes).await;
    let mut arrived = 0;
    for node in &nodes {
        for name in [
            r#"weir_relay_dropped_total{reason="lost"}"#,
            r#"weir_egress_dropped_total{reason="slow"}"#,
            r#"weir_relay_dropped_total{reason="refused"}"#,
            r#"weir_relay_overrun_total{what="chunk"}"#,
            r#"weir_bus_dropped_total{reason="old"}"#,
        ] {
            assert_eq!(counter(node, name).await, 0, "{name}");
        }
        arrived += counter(node, r#"weir_relay_chunks_total{direction="in"}"#).await;
    }
    // Each chunk crosses once to each of the two other nodes.
    assert_eq!(arrived, 2 * CHUNKS * PUBLISHERS as u64);
}

/// Sends all chunks from publishers to subscribers spread over the nodes.
async fn run(nodes: &[ServerProcess]) {
    let opener = common::connect(&nodes[0]).await;
    let room = room(&opener).await;
    let mut tracks = HashMap::new();
    let mut publishers = Vec::new();
    for index in 0..PUBLISHERS {
        let publisher = member(&nodes[index % nodes.len()], &room).await;
        tracks.insert(publish(&publisher, "data").await, index);
        publishers.push(publisher);
    }
    let tracks = Arc::new(tracks);
    let mut subscribers = Vec::new();
    for index in 0..SUBSCRIBERS {
        subscribers.push(member(&nodes[index % nodes.len()], &room).await);
    }

    let round = Arc::new(Barrier::new(PUBLISHERS + SUBSCRIBERS));
    let mut tasks = JoinSet::new();
    for (index, publisher) in publishers.into_iter().enumerate() {
        let track = *tracks
            .iter()
            .find(|(_, owner)| **owner == index)
            .expect("its track")
            .0;
        tasks.spawn(send(publisher, index, track, Arc::clone(&round)));
    }
    for subscriber in subscribers {
        tasks.spawn(receive(subscriber, Arc::clone(&tracks), Arc::clone(&round)));
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("nobody failed");
    }
}

async fn send(mut publisher: SocketClient, index: usize, track: u64, round: Arc<Barrier>) {
    let mut heard = 0;
    for number in 1..=CHUNKS {
        let ts = i64::try_from(number).expect("small");
        let payload = format!("{index} {number}");
        publisher
            .send_media(track, ts, number % 30 == 1, payload.as_bytes())
            .await
            .expect("it is sent");
        if number % ROUND == 0 {
            while heard < number * (PUBLISHERS as u64 - 1) {
                heard += u64::from(publisher.next().await.expect("an event").media().is_some());
            }
            round.wait().await;
        }
    }
}

async fn receive(
    mut subscriber: SocketClient,
    tracks: Arc<HashMap<u64, usize>>,
    round: Arc<Barrier>,
) {
    let mut last = [0; PUBLISHERS];
    for _ in 0..CHUNKS / ROUND {
        let mut left = ROUND * PUBLISHERS as u64;
        while left > 0 {
            let event = subscriber.next().await.expect("an event");
            let Some((header, payload)) = event.media() else {
                assert_ne!(event.event, "media:gap", "{event:?}");
                continue;
            };
            let publisher = tracks[&header.track];
            last[publisher] += 1;
            assert_eq!(header.seq, last[publisher]);
            assert_eq!(*payload, format!("{publisher} {}", header.seq));
            left -= 1;
        }
        round.wait().await;
    }
    assert_eq!(last, [CHUNKS; PUBLISHERS]);
}
