//! Cost of the bus: nodes receive only chunks that their own members want.

mod common;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use common::{UNHURRIED, ask, cluster, connect, counter, member, publish};
use serde_json::json;
use tokio::task::JoinSet;
use weir_testkit::{RedisServer, ServerProcess, SocketClient, eventually};

const NODES: usize = 20;
const ROOMS: usize = 100;

/// Members of a room on each of its two nodes. The first of each half publishes.
const HALF: usize = 3;

/// Chunks that each publisher sends.
const CHUNKS: u64 = 50;

/// Payload size of a chunk in bytes.
const CHUNK: usize = 1_200;

const SOON: Duration = Duration::from_secs(60);

/// Returns a number from Redis' `INFO`.
fn info(redis: &RedisServer, section: &str, name: &str) -> u64 {
    let text = redis.processes[0].cli(&["info", section]);
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let digits = value.unwrap_or("0").split(',').next().unwrap_or_default();
    digits.trim().parse().expect("a number")
}

/// Returns the number of `PUBLISH` commands that Redis has executed.
fn publishes(redis: &RedisServer) -> u64 {
    info(redis, "commandstats", "cmdstat_publish:calls=")
}

/// Returns the number of published probes with a known outcome.
async fn probes(nodes: &[ServerProcess]) -> u64 {
    let mut sum = 0;
    for node in nodes {
        sum += counter(node, "weir_redis_probes_total").await;
    }
    sum
}

/// Commands that a Redis executes, as its `MONITOR` prints them.
struct Monitor<'a> {
    redis: &'a RedisServer,
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl<'a> Monitor<'a> {
    fn start(redis: &'a RedisServer) -> Self {
        let port = redis.processes[0].port.to_string();
        let mut child = Command::new("redis-cli")
            .args(["-p", &port, "monitor"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-cli runs");
        let output = child.stdout.take().expect("its output");
        let mut lines = BufReader::new(output).lines();
        let first = lines.next().expect("a line").expect("text");
        assert_eq!(first, "OK");
        Self {
            redis,
            child,
            lines,
        }
    }

    /// Returns the number of messages published since the last call, without probes.
    fn published(&mut self) -> u64 {
        // Redis executes it after all earlier publications.
        self.redis.processes[0].cli(&["echo", "counted"]);
        let mut count = 0;
        for line in &mut self.lines {
            let line = line.expect("text").to_lowercase();
            if line.ends_with("\"echo\" \"counted\"") {
                return count;
            }
            count += u64::from(line.contains("] \"publish\"") && !line.contains("{.probe"));
        }
        panic!("MONITOR ended");
    }
}

impl Drop for Monitor<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the number of Redis connections by their number of subscribed channels.
fn subscribers(redis: &RedisServer) -> HashMap<u64, usize> {
    let mut counts = HashMap::new();
    for client in redis.processes[0].cli(&["client", "list"]).lines() {
        let fields = client.split(' ');
        let channels = fields.filter_map(|field| field.strip_prefix("sub=")).next();
        let channels = channels.and_then(|count| count.parse().ok());
        *counts.entry(channels.expect("a number")).or_default() += 1;
    }
    counts
}

/// Sends all chunks of a track at a steady pace.
async fn send(client: &SocketClient, track: u64) {
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..CHUNKS {
        ticks.tick().await;
        let sent = client.send_media(track, 0, false, &[7; CHUNK]).await;
        sent.expect("it is sent");
    }
}

/// Reads `count` chunks and asserts that none is missing.
async fn receive(client: &mut SocketClient, mut count: u64) {
    while count > 0 {
        let event = client.next().await.expect("an event");
        assert_ne!(event.event, "media:gap", "{event:?}");
        count -= u64::from(event.media().is_some());
    }
}

/// Fills each room with members on two nodes. Returns the publishers, with their tracks, and the viewers.
async fn fill_rooms(nodes: &[ServerProcess]) -> (Vec<(u64, SocketClient)>, Vec<SocketClient>) {
    let opener = connect(&nodes[0]).await;
    let (mut publishers, mut viewers) = (Vec::new(), Vec::new());
    for number in 0..ROOMS {
        let room = format!("room{number}");
        ask(&opener, "room:create", json!({"id": room})).await;
        for node in [&nodes[number % NODES], &nodes[(number + 1) % NODES]] {
            let publisher = member(node, &room).await;
            publishers.push((publish(&publisher, "audio").await, publisher));
            for _ in 1..HALF {
                viewers.push(member(node, &room).await);
            }
        }
    }
    (publishers, viewers)
}

/// Sends all chunks of all publishers, and reads them at all members. Returns the members.
async fn exchange(
    publishers: Vec<(u64, SocketClient)>,
    viewers: Vec<SocketClient>,
) -> Vec<SocketClient> {
    let mut tasks = JoinSet::new();
    for (track, mut publisher) in publishers {
        tasks.spawn(async move {
            send(&publisher, track).await;
            receive(&mut publisher, CHUNKS).await;
            publisher
        });
    }
    for mut viewer in viewers {
        tasks.spawn(async move {
            receive(&mut viewer, 2 * CHUNKS).await;
            viewer
        });
    }
    let mut clients = Vec::new();
    while let Some(done) = tasks.join_next().await {
        clients.push(done.expect("it receives every chunk"));
    }
    clients
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_receive_only_chunks_their_members_want() {
    let redis = RedisServer::standalone().await;
    let nodes = cluster(redis.url(), NODES, UNHURRIED).await;
    let (publishers, viewers) = fill_rooms(&nodes).await;
    // Each node has members of ten rooms and needs one track of each from another node. Each
    // connection also subscribes to a channel for its probes.
    let rooms = (2 * ROOMS / NODES) as u64;
    eventually(
        "nodes subscribe to the tracks their members want",
        SOON,
        async || {
            let counts = subscribers(&redis);
            let all = |channels| counts.get(&channels) == Some(&NODES);
            (all(rooms + 1) && all(2 * rooms + 1)).then_some(())
        },
    )
    .await;

    let probes_before = probes(&nodes).await;
    let (sent_before, put_before) = (output(&redis), publishes(&redis));
    let mut received_before = Vec::new();
    for node in &nodes {
        received_before.push(counter(node, "weir_bus_payload_bytes_total").await);
    }
    let _clients = exchange(publishers, viewers).await;

    // One other node wants each track.
    let chunks = (2 * ROOMS) as u64 * CHUNKS;
    let wanted = chunks * CHUNK as u64;
    let (sent, put) = (output(&redis) - sent_before, publishes(&redis) - put_before);
    let overhead = sent as f64 / wanted as f64 - 1.0;
    println!(
        "{wanted} bytes are wanted; Redis sent {sent} ({:.1} % more), after {put} PUBLISH of {chunks} \
         chunks",
        100.0 * overhead
    );
    assert!(overhead < 0.1, "{sent} of {wanted} bytes");
    // One probe per plane and node may be in flight at each count.
    let probed = probes(&nodes).await - probes_before + 2 * NODES as u64;
    assert!((chunks..=chunks + probed).contains(&put), "{put} PUBLISH");
    let wanted = wanted / NODES as u64;
    for (node, before) in nodes.iter().zip(received_before) {
        let received = counter(node, "weir_bus_payload_bytes_total").await - before;
        let overhead = received as f64 / wanted as f64 - 1.0;
        assert!(
            (0.0..0.1).contains(&overhead),
            "{received} of {wanted} bytes"
        );
    }
}

/// Returns the bytes that Redis has sent to all clients.
fn output(redis: &RedisServer) -> u64 {
    info(redis, "stats", "total_net_output_bytes:")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn room_on_one_node_publishes_nothing_and_no_chunk_echoes() {
    let redis = RedisServer::standalone().await;
    let nodes = cluster(redis.url(), 2, UNHURRIED).await;
    let opener = connect(&nodes[0]).await;
    ask(&opener, "room:create", json!({"id": "hall"})).await;
    let publisher = member(&nodes[0], "hall").await;
    let mut viewer = member(&nodes[0], "hall").await;
    let track = publish(&publisher, "audio").await;
    let mut monitor = Monitor::start(&redis);
    monitor.published();
    send(&publisher, track).await;
    receive(&mut viewer, CHUNKS).await;
    assert_eq!(monitor.published(), 0);

    let mut other = member(&nodes[1], "hall").await;
    monitor.published();
    let back = counter(&nodes[0], "weir_bus_messages_total").await;
    send(&publisher, track).await;
    receive(&mut viewer, CHUNKS).await;
    receive(&mut other, CHUNKS).await;
    assert_eq!(monitor.published(), CHUNKS);
    assert_eq!(counter(&nodes[0], "weir_bus_messages_total").await, back);
}
