//! Outages of Redis under load. It returns empty, or a replica takes over.
//!
//! `WEIR_TEST_OUTAGE_S` sets the length of an outage in seconds; the default is 5.

mod common;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use common::{PATIENCE, ask, cluster, connect, get, member_with_id, publish};
use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};
use weir_testkit::{Incoming, RedisServer, ServerProcess, SocketClient, eventually};

/// Maximum time until a request is refused.
const REFUSED: Duration = Duration::from_secs(2);

/// Maximum time from Redis' return until chunks cross nodes again.
const BACK: Duration = Duration::from_secs(3);

fn outage() -> Duration {
    let seconds = std::env::var("WEIR_TEST_OUTAGE_S").ok();
    let seconds = seconds.map(|text| text.parse().expect("WEIR_TEST_OUTAGE_S is a number"));
    Duration::from_secs(seconds.unwrap_or(5))
}

/// Member that publishes a chunk every 20 ms.
struct Publisher {
    id: String,
    track: u64,
    /// Sequence number of the last chunk.
    seq: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<SocketClient>,
}

impl Publisher {
    async fn start(node: &ServerProcess, room: &str) -> Self {
        let (mut client, id) = member_with_id(node, room).await;
        let track = publish(&client, "audio").await;
        let (seq, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (last, stopped) = (Arc::clone(&seq), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            let mut ticks = interval(Duration::from_millis(20));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !stopped.load(Ordering::Relaxed) {
                ticks.tick().await;
                let sent = client.send_media(track, 0, false, &[1; 300]).await;
                sent.expect("its connection stays");
                last.fetch_add(1, Ordering::Relaxed);
                while client.try_next().is_some() {}
            }
            client
        });
        Self {
            id,
            track,
            seq,
            stop,
            task,
        }
    }

    async fn stop(self) -> SocketClient {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("it publishes")
    }
}

/// Member that records the events it receives.
struct Listener {
    id: String,
    told: Arc<Mutex<Vec<Incoming>>>,
    task: JoinHandle<()>,
}

impl Listener {
    async fn start(node: &ServerProcess, room: &str) -> Self {
        let (mut client, id) = member_with_id(node, room).await;
        let told = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&told);
        let task = tokio::spawn(async move {
            loop {
                let event = client.next().await.expect("its connection stays");
                keep.lock().expect("nobody panicked").push(event);
            }
        });
        Self { id, told, task }
    }

    fn told<T>(&self, pick: impl Fn(&Incoming) -> Option<T>) -> Vec<T> {
        let told = self.told.lock().expect("nobody panicked");
        told.iter().filter_map(pick).collect()
    }

    /// Returns the sequence number of the last chunk of a track.
    fn last(&self, track: u64) -> u64 {
        let numbers = self.told(|event| {
            let (header, _) = event.media()?;
            (header.track == track).then_some(header.seq)
        });
        numbers.last().copied().unwrap_or_default()
    }

    /// Waits for a chunk sent from now on. Returns how long it took.
    async fn until_chunks_come(&self, publisher: &Publisher) -> Duration {
        let start = Instant::now();
        let sent = publisher.seq.load(Ordering::Relaxed);
        let what = format!("a chunk of track {} comes", publisher.track);
        eventually(&what, PATIENCE, async || {
            (self.last(publisher.track) > sent).then_some(())
        })
        .await;
        start.elapsed()
    }

    /// Asserts that each chunk of a track arrived in order or was announced as lost. Returns the
    /// number of lost chunks.
    fn lost(&self, track: u64) -> u64 {
        let (mut next, mut lost) = (None, 0);
        for event in self.told(|event| Some(event.clone())) {
            if let Some((header, _)) = event.media().filter(|(header, _)| header.track == track) {
                assert_eq!(header.seq, *next.get_or_insert(header.seq), "{header:?}");
                next = Some(header.seq + 1);
            }
            let gap = &event.args[0];
            if event.event == "media:gap" && gap["track"] == track {
                assert_eq!(gap["from"].as_u64(), next, "{gap}");
                assert_eq!(gap["reason"], "lost", "{gap}");
                let to = gap["to"].as_u64().expect("a number");
                lost += to + 1 - next.expect("it had begun");
                next = Some(to + 1);
            }
        }
        lost
    }

    /// Returns the member ids in the received events of this name.
    fn ids(&self, event: &str) -> Vec<String> {
        self.told(|told| {
            let argument = &told.args[0];
            let id = argument["id"]
                .as_str()
                .or(argument["member"]["id"].as_str());
            (told.event == event).then(|| id.expect("an id").to_owned())
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Joins through a node, as soon as the room is available. Returns the answer.
async fn found(node: &ServerProcess, room: &str) -> Value {
    let client = connect(node).await;
    eventually("somebody joins", PATIENCE, async || {
        let asked = client.request("room:join", json!({"room": room})).await;
        let answer = asked.expect("an answer");
        if answer["ok"] == false {
            assert_eq!(answer["error"]["code"], "unavailable", "{answer}");
            return None;
        }
        Some(answer)
    })
    .await
}

/// Room on three nodes with a listener on each and publishers on two.
struct Scene {
    room: String,
    publishers: [Publisher; 2],
    listeners: Vec<Listener>,
    nodes: Vec<ServerProcess>,
}

impl Scene {
    async fn start(redis: &RedisServer, room: &str) -> Self {
        let nodes = cluster(redis.url(), 3, &[]).await;
        ask(
            &connect(&nodes[0]).await,
            "room:create",
            json!({"id": room}),
        )
        .await;
        let mut listeners = Vec::new();
        for node in &nodes {
            listeners.push(Listener::start(node, room).await);
        }
        let publishers = [
            Publisher::start(&nodes[0], room).await,
            Publisher::start(&nodes[1], room).await,
        ];
        let scene = Self {
            nodes,
            room: room.to_owned(),
            publishers,
            listeners,
        };
        scene.until_chunks_cross().await;
        scene
    }

    /// Waits until each listener receives a chunk of each publisher sent from now on. Returns how
    /// long it took.
    async fn until_chunks_cross(&self) -> Duration {
        let start = Instant::now();
        for publisher in &self.publishers {
            for listener in &self.listeners {
                listener.until_chunks_come(publisher).await;
            }
        }
        start.elapsed()
    }

    /// Asserts for the length of an outage that nodes refuse joins promptly and are not ready.
    async fn while_redis_is_away(&self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time {
            for node in &self.nodes {
                let client = connect(node).await;
                for (event, argument) in [
                    ("room:join", json!({"room": self.room})),
                    ("room:create", json!({})),
                ] {
                    let asked = Instant::now();
                    let answer = client.request(event, argument).await.expect("an answer");
                    assert_eq!(answer["error"]["code"], "unavailable", "{answer}");
                    assert!(asked.elapsed() < REFUSED, "{:?}", asked.elapsed());
                }
                let ops = node.ops_listen().expect("the node said it");
                assert!(get(ops, "/livez").await.starts_with("HTTP/1.1 200"));
                let ready = get(ops, "/readyz").await;
                assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
                assert!(ready.contains("redis: "), "{ready}");
            }
        }
    }

    /// Asserts the final state: no chunk was lost on its own node, all other lost chunks were
    /// announced, and the room has exactly its members. Returns the number of lost chunks.
    async fn end(self, gone: &[String]) -> u64 {
        let mut here: BTreeSet<_> = self.listeners.iter().map(|one| one.id.clone()).collect();
        here.extend(self.publishers.iter().map(|one| one.id.clone()));
        for node in &self.nodes {
            let found = found(node, &self.room).await;
            let members = found["members"].as_array().expect("a list");
            let mut ids: BTreeSet<_> = members.iter().map(|one| one["id"].as_str()).collect();
            ids.remove(&found["self"]["id"].as_str());
            // Earlier probes may still be leaving.
            let known = |id: &String| ids.contains(&Some(id.as_str()));
            assert!(here.iter().all(known), "{here:?} in {found}");
            assert!(!gone.iter().any(known), "{gone:?} in {found}");
            let tracks = found["tracks"].as_array().expect("a list").len();
            assert_eq!(tracks, self.publishers.len(), "{found}");
        }
        let mut crossing = 0;
        for (at, publisher) in self.publishers.iter().enumerate() {
            for (place, listener) in self.listeners.iter().enumerate() {
                let lost = listener.lost(publisher.track);
                crossing += lost;
                assert!(
                    lost == 0 || place != at,
                    "{lost} chunks lost on their own node"
                );
            }
        }
        for listener in &self.listeners {
            let left = listener.ids("member:left");
            for id in gone {
                let count = left.iter().filter(|one| *one == id).count();
                assert_eq!(count, 1, "{id} in {left:?}");
            }
            assert!(!left.iter().any(|id| here.contains(id)), "{left:?}");
            let came = listener.ids("member:joined");
            let distinct: BTreeSet<_> = came.iter().collect();
            assert_eq!(distinct.len(), came.len(), "somebody came twice: {came:?}");
        }
        for publisher in self.publishers {
            publisher.stop().await;
        }
        crossing
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_outage_stops_only_joins_and_cross_node_media() {
    let mut redis = RedisServer::standalone().await;
    let scene = Scene::start(&redis, "hall").await;
    let (leaving, its_id) = member_with_id(&scene.nodes[1], "hall").await;
    redis.first().kill();
    let half = outage() / 2;
    scene.while_redis_is_away(half).await;
    leaving.vanish().await.expect("it vanishes");
    scene.while_redis_is_away(half).await;
    redis.first().restart_empty();
    redis.until_it_answers().await;
    let took = scene.until_chunks_cross().await;
    println!("chunks cross again after {took:?}");
    assert!(took < BACK, "{took:?}");
    let what = "every listener is notified of the leaving";
    eventually(what, PATIENCE, async || {
        let told = |one: &Listener| one.ids("member:left").contains(&its_id);
        scene.listeners.iter().all(told).then_some(())
    })
    .await;
    let lost = scene.end(&[its_id]).await;
    println!("{lost} chunks were announced as lost between nodes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinel_failover_restores_cross_node_media() {
    let mut redis = RedisServer::sentinel().await;
    let scene = Scene::start(&redis, "hall").await;
    redis.first().kill();
    redis.until_another_master().await;
    let took = scene.until_chunks_cross().await;
    println!("chunks cross again after {took:?}");
    assert!(took < BACK, "{took:?}");
    scene.end(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_shard_affects_only_its_own_rooms() {
    let mut redis = RedisServer::cluster().await;
    let on_first = |room: &String| redis.slot(room) < 5_461;
    let mut rooms = (0..).map(|n| format!("hall{n}"));
    let lost = rooms.by_ref().find(on_first).expect("some");
    let stays = rooms.find(|room| !on_first(room)).expect("some");
    let scene = Scene::start(&redis, &lost).await;
    let other = Scene::start(&redis, &stays).await;
    redis.first().kill();
    // Rooms of other shards are not affected.
    other.until_chunks_cross().await;
    let client = connect(&scene.nodes[0]).await;
    let asked = Instant::now();
    let answer = client.request("room:join", json!({"room": lost})).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer["error"]["code"], "unavailable", "{answer}");
    assert!(asked.elapsed() < REFUSED, "{:?}", asked.elapsed());
    redis.first().restart_empty();
    redis.until_it_answers().await;
    let took = scene.until_chunks_cross().await;
    println!("chunks cross again after {took:?}");
    assert!(took < BACK, "{took:?}");
    scene.end(&[]).await;
    let publishers = other.publishers.iter();
    let tracks: Vec<_> = publishers.map(|publisher| publisher.track).collect();
    for listener in &other.listeners {
        let lost: Vec<_> = tracks.iter().map(|track| listener.lost(*track)).collect();
        // Nodes resubscribe to all shards: at most 500 ms of chunks are lost.
        assert!(lost.iter().all(|lost| *lost < 25), "{lost:?}");
    }
    other.end(&[]).await;
}
