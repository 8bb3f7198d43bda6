//! A node that stops reading from the bus for a while.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use common::{PATIENCE, UNHURRIED, ask, cluster, connect, counter, member, publish, signal};
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};
use weir_testkit::{RedisServer, ServerProcess, SocketClient, eventually};

const FROZEN: Duration = Duration::from_secs(5);

/// Payload size in bytes; with `CHUNKS_PER_SECOND`, 200 Mbit/s.
const CHUNK: usize = 16 * 1024;
const CHUNKS_PER_SECOND: u32 = 1_526;

/// Maximum growth of memory in bytes: data queued for a subscriber's socket, and buffers.
const GROWTH: u64 = 64 * 1024 * 1024;

/// Maximum time from thawing until chunks sent afterwards arrive.
const FLOWS: Duration = Duration::from_secs(1);

/// Returns the peak resident memory of a process in bytes.
fn peak(node: &ServerProcess) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid()));
    let status = status.expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kibibytes: u64 = number.expect("a size").parse().expect("a number");
    kibibytes * 1024
}

/// Publisher at a constant bitrate.
struct Sender {
    /// Number of the last chunk.
    seq: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    /// The client, which stays connected, and the bitrate in bits per second.
    task: JoinHandle<(SocketClient, f64)>,
}

impl Sender {
    fn start(publisher: SocketClient, track: u64) -> Self {
        let seq = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (last, stopped) = (Arc::clone(&seq), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            let mut ticks = interval(Duration::from_millis(10));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let payload = vec![7; CHUNK];
            let (start, mut sent) = (Instant::now(), 0);
            while !stopped.load(Ordering::Relaxed) {
                ticks.tick().await;
                while f64::from(sent) < start.elapsed().as_secs_f64() * f64::from(CHUNKS_PER_SECOND)
                {
                    // Any chunk may be the first after a gap.
                    let done = publisher.send_media(track, 0, true, &payload).await;
                    done.expect("it is sent");
                    sent += 1;
                    last.fetch_add(1, Ordering::Relaxed);
                }
            }
            (
                publisher,
                f64::from(sent) * CHUNK as f64 * 8.0 / start.elapsed().as_secs_f64(),
            )
        });
        Self { seq, stop, task }
    }

    /// Stops sending. Returns the bitrate.
    async fn stop(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("it sends").1
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_node_costs_bounded_memory_and_resumes_when_thawed() {
    let redis = RedisServer::standalone().await;
    let nodes = cluster(redis.url(), 2, UNHURRIED).await;
    let [sending, freezing] = &nodes[..] else {
        panic!("two nodes")
    };
    let opener = connect(sending).await;
    ask(&opener, "room:create", json!({"id": "hall"})).await;
    let publisher = member(sending, "hall").await;
    let mut viewer = member(freezing, "hall").await;
    let track = publish(&publisher, "data").await;

    let sender = Sender::start(publisher, track);
    let mut flow = Flow::default();
    flow.read_past(&mut viewer, 3_000).await;

    let (peaks, lost) = (
        nodes.iter().map(peak),
        counter(freezing, r#"weir_relay_dropped_total{reason="lost"}"#).await,
    );
    let peaks: Vec<_> = peaks.collect();
    signal(freezing.pid(), "STOP");
    let frozen = Instant::now();
    // The length of the freeze is what is tested.
    eventually("it was frozen for long enough", PATIENCE, async || {
        (frozen.elapsed() >= FROZEN).then_some(())
    })
    .await;
    signal(freezing.pid(), "CONT");
    let thawed = Instant::now();
    let sent = sender.seq.load(Ordering::Relaxed);
    flow.read_past(&mut viewer, sent).await;
    let took = thawed.elapsed();
    let announced = flow.missing;
    let lost = counter(freezing, r#"weir_relay_dropped_total{reason="lost"}"#).await - lost;
    let growth: Vec<_> = nodes
        .iter()
        .zip(&peaks)
        // The kernel's peak is approximate and may shrink.
        .map(|(node, before)| peak(node).saturating_sub(*before))
        .collect();
    let bits = sender.stop().await;
    println!(
        "{:.0} Mbit/s; flows again {took:?} after thawing; {lost} chunks were lost, {announced} \
         announced as missing; memory grew by {growth:?} bytes",
        bits / 1e6
    );
    assert!(bits > 150e6, "{bits} bit/s");
    assert!(took < FLOWS, "{took:?}");
    assert!(lost > 0, "five seconds of media fit into no buffer");
    assert!(growth.iter().all(|growth| *growth < GROWTH), "{growth:?}");
}

/// Chunk numbers of a track as a viewer sees them. Each arrives or is announced as missing.
#[derive(Default)]
struct Flow {
    next: Option<u64>,
    missing: u64,
}

impl Flow {
    /// Reads until a chunk newer than `seq` arrives.
    async fn read_past(&mut self, viewer: &mut SocketClient, seq: u64) {
        loop {
            let event = viewer.next().await.expect("an event");
            let gap = &event.args[0];
            if event.event == "media:gap" {
                assert_eq!(gap["from"].as_u64(), self.next, "{gap}");
                let to = gap["to"].as_u64().expect("a number");
                self.missing += to + 1 - self.next.expect("it has begun");
                self.next = Some(to + 1);
            }
            if let Some((header, _)) = event.media() {
                assert_eq!(header.seq, self.next.unwrap_or(header.seq));
                self.next = Some(header.seq + 1);
                if header.seq > seq {
                    return;
                }
            }
        }
    }
}
