//! Recovery of subscriptions and rooms after a failover of Redis.

mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use common::options;
use tokio::time::Instant;
use weir_cluster::{
    Bus, ChunkSink, Directory, Inbox, NewMember, Relayed, Subscription, TrackKey, Watch,
};
use weir_protocol::{Change, Chunk, Json, MemberId, RoomEvent, RoomId, TrackId};
use weir_redis::{Health, RedisBus, RedisDirectory};
use weir_testkit::{RedisServer, eventually};

const SOON: Duration = Duration::from_secs(40);

/// Both planes of a node, and a log of the events it received.
struct Node {
    directory: RedisDirectory,
    bus: RedisBus,
    told: Arc<Told>,
}

#[derive(Debug, Default)]
struct Told {
    chunks: Mutex<Vec<u64>>,
    joined: Mutex<Vec<String>>,
}

impl ChunkSink for Told {
    fn chunk(&self, relayed: Relayed, _more: bool) {
        self.chunks
            .lock()
            .expect("nobody panicked")
            .push(relayed.chunk.seq);
    }
}

impl Inbox for Told {
    fn room_event(&self, _: &RoomId, event: &Arc<RoomEvent>) {
        if let Change::MemberJoined(member) = &event.change {
            let mut joined = self.joined.lock().expect("nobody panicked");
            joined.push(member.id.to_string());
        }
    }
}

impl Node {
    async fn start(server: &RedisServer) -> Self {
        let told = Arc::new(Told::default());
        let options = options("test");
        let target = server.url().parse().expect("a Redis");
        let directory = RedisDirectory::new(&target, &options, told.clone());
        let node = Self {
            directory: directory.expect("a good target"),
            bus: RedisBus::new(&target, "test"),
            told,
        };
        let (directory, bus) = (&node.directory, &node.bus);
        for mut health in [
            directory.health(),
            directory.hears(),
            bus.hears(),
            bus.publishes(),
        ] {
            health.wait_for(Health::works).await.expect("it lives");
        }
        node
    }

    async fn join(&self, room: &RoomId, id: &str) -> Result<Watch, String> {
        let watch = self
            .directory
            .watch(room)
            .await
            .map_err(|error| error.to_string())?;
        let member = NewMember {
            id: MemberId::new(id),
            name: id.to_owned(),
            metadata: Json::empty_object(),
            create_missing: Some(100),
        };
        let joined = self.directory.join(room, member).await;
        joined.map(|_| watch).map_err(|error| error.to_string())
    }

    fn knows(&self, id: &str) -> usize {
        let joined = self.told.joined.lock().expect("nobody panicked");
        joined.iter().filter(|joined| *joined == id).count()
    }
}

/// Two nodes with one member each in some rooms. The second node receives a track of the first.
struct Pair {
    a: Node,
    b: Node,
    rooms: Vec<RoomId>,
    track: TrackKey,
    seq: u64,
    _watches: Vec<Watch>,
    _subscription: Subscription,
}

impl Pair {
    async fn start(server: &RedisServer) -> Self {
        let (a, b) = (Node::start(server).await, Node::start(server).await);
        // Enough rooms for every shard of a Redis Cluster.
        let rooms: Vec<_> = (0..12).map(|n| RoomId::made(&format!("room{n}"))).collect();
        let mut watches = Vec::new();
        for (n, room) in rooms.iter().enumerate() {
            watches.push(a.join(room, &format!("a{n}")).await.expect("it joins"));
            watches.push(b.join(room, &format!("b{n}")).await.expect("it joins"));
        }
        let track = TrackKey {
            room: rooms[0].clone(),
            track: TrackId(1),
        };
        let subscribed = b.bus.subscribe(&track, b.told.clone()).await;
        let subscription = subscribed.expect("it subscribes");
        Self {
            a,
            b,
            rooms,
            track,
            seq: 0,
            _watches: watches,
            _subscription: subscription,
        }
    }

    /// Publishes until a chunk arrives that was sent after the call, and returns the time until then.
    async fn until_chunks_cross(&mut self) -> Duration {
        let start = Instant::now();
        let first = self.seq;
        let (a, b, track) = (&self.a, &self.b, &self.track);
        let mut seq = first;
        eventually("a chunk crosses", SOON, async || {
            seq += 1;
            let chunk = Chunk {
                track: track.track,
                seq,
                ts: 0,
                key: true,
                dur: None,
                payload: vec![1; 100].into(),
            };
            // Rejected while there is no connection.
            let counts_as_key = true;
            let relayed = Relayed {
                chunk,
                counts_as_key,
                trace: None,
            };
            let _ = a.bus.publisher(track).publish(&relayed);
            let chunks = b.told.chunks.lock().expect("nobody panicked");
            chunks.iter().any(|seq| *seq > first).then_some(())
        })
        .await;
        self.seq = seq;
        start.elapsed()
    }

    /// Joins a member on each node to every room. Asserts that the other node receives one event.
    async fn until_rooms_go_on(&self, mark: &str) {
        for (n, room) in self.rooms.iter().enumerate() {
            for (node, other) in [(&self.a, &self.b), (&self.b, &self.a)] {
                let name = if std::ptr::eq(node, &self.a) {
                    "a"
                } else {
                    "b"
                };
                let mut attempt = 0;
                let watch = eventually("a member joins", SOON, async || {
                    attempt += 1;
                    let id = format!("{name}{n}{mark}{attempt}");
                    let joined = node.join(room, &id).await;
                    let joined = joined.inspect_err(|error| eprintln!("{id}: {error}"));
                    joined.ok().map(|watch| (watch, id))
                });
                let (_watch, id) = watch.await;
                let what = format!("{id} is told");
                eventually(&what, SOON, async || (other.knows(&id) == 1).then_some(())).await;
            }
        }
        for node in [&self.a, &self.b] {
            let joined = node.told.joined.lock().expect("nobody panicked").clone();
            let mut distinct = joined.clone();
            distinct.sort();
            distinct.dedup();
            assert_eq!(
                distinct.len(),
                joined.len(),
                "somebody came twice: {joined:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_are_restored_on_a_restarted_server() {
    let mut server = RedisServer::standalone().await;
    let mut pair = Pair::start(&server).await;
    pair.until_chunks_cross().await;
    server.first().kill();
    server.first().restart_empty();
    let took = pair.until_chunks_cross().await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    pair.until_rooms_go_on("x").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_are_restored_on_the_master_that_sentinels_elect() {
    let mut server = RedisServer::sentinel().await;
    let mut pair = Pair::start(&server).await;
    pair.until_chunks_cross().await;
    server.first().kill();
    // Sentinels need a second to agree on the loss, and more to elect another master.
    let took = pair.until_chunks_cross().await;
    assert!(took < Duration::from_secs(20), "{took:?}");
    pair.until_rooms_go_on("x").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_and_subscriptions_are_restored_on_a_restarted_shard() {
    let mut server = RedisServer::cluster().await;
    let mut pair = Pair::start(&server).await;
    pair.until_chunks_cross().await;
    server.first().kill();
    server.first().restart_empty();
    pair.until_chunks_cross().await;
    pair.until_rooms_go_on("x").await;
}

/// A room counts as deaf while either node is, and must recover soon.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_follow_a_migrated_slot() {
    let server = RedisServer::cluster().await;
    let mut pair = Pair::start(&server).await;
    pair.until_chunks_cross().await;
    for round in 0..3 {
        for n in [0, 5] {
            let slot = server.slot(&format!("room{n}"));
            server.move_slot(slot, (server.primary(slot) + 1) % 3);
        }
        let took = pair.until_chunks_cross().await;
        assert!(took < Duration::from_secs(3), "{took:?}");
        pair.until_rooms_go_on(&format!("x{round}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_follow_a_promoted_replica() {
    let server = RedisServer::cluster_with_replicas().await;
    let mut pair = Pair::start(&server).await;
    pair.until_chunks_cross().await;
    for round in 0..2 {
        server.fail_over(server.slot("room0")).await;
        let took = pair.until_chunks_cross().await;
        assert!(took < Duration::from_secs(3), "{took:?}");
        pair.until_rooms_go_on(&format!("x{round}")).await;
    }
}
