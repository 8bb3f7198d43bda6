//! Isolation of clusters that use different databases of one Redis.
//!
//! Pub/sub has one set of channels for all databases: redis/ioredis#1208, valkey-io/valkey#1868.

mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use common::options;
use weir_cluster::{
    Bus, ChunkSink, Directory, Inbox, NewMember, Relayed, Signal, SignalSink, Subscription,
    TrackKey, Watch,
};
use weir_protocol::{Chunk, Json, MemberId, RoomEvent, RoomId, TrackId};
use weir_redis::{Health, RedisBus, RedisDirectory};
use weir_testkit::{RedisServer, eventually};

const SOON: Duration = Duration::from_secs(20);

/// Log of the events that a node received, in short form.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl Heard {
    fn add(&self, what: String) {
        self.0.lock().expect("nobody panicked").push(what);
    }

    fn has(&self, what: &str) -> bool {
        let heard = self.0.lock().expect("nobody panicked");
        heard.iter().any(|heard| heard == what)
    }
}

impl ChunkSink for Heard {
    fn chunk(&self, relayed: Relayed, _more: bool) {
        self.add(format!("chunk {}", relayed.chunk.seq));
    }
}

impl SignalSink for Heard {
    fn signal(&self, signal: Arc<Signal>) {
        if let Signal::Message { from, .. } = &*signal {
            self.add(format!("message of {from}"));
        }
    }

    fn interrupted(&self) {}
}

impl Inbox for Heard {
    fn room_event(&self, _: &RoomId, event: &Arc<RoomEvent>) {
        self.add(format!("event {:?}", event.change));
    }
}

/// Node subscribed to everything in one room.
struct Node {
    bus: RedisBus,
    directory: RedisDirectory,
    heard: Arc<Heard>,
    room: RoomId,
    track: TrackKey,
    _subscriptions: [Subscription; 2],
    _watch: Watch,
}

impl Node {
    async fn start(directory_url: &str, bus_url: &str) -> Self {
        let heard = Arc::new(Heard::default());
        let options = options("test");
        let target = directory_url.parse().expect("a Redis");
        let directory = RedisDirectory::new(&target, &options, heard.clone());
        let directory = directory.expect("a good target");
        let target = bus_url.parse().expect("a Redis");
        let bus = RedisBus::new(&target, "test");
        let planes = [
            directory.health(),
            directory.hears(),
            bus.hears(),
            bus.publishes(),
        ];
        for mut health in planes {
            health.wait_for(Health::works).await.expect("it lives");
        }
        let room = RoomId::made("room");
        let track = TrackKey {
            room: room.clone(),
            track: TrackId(1),
        };
        let subscriptions = [
            bus.listen(&room, heard.clone()).await.expect("it listens"),
            bus.subscribe(&track, heard.clone())
                .await
                .expect("it subscribes"),
        ];
        let watch = directory.watch(&room).await.expect("it watches");
        Self {
            bus,
            directory,
            heard,
            room,
            track,
            _subscriptions: subscriptions,
            _watch: watch,
        }
    }

    /// Joins a member, sends a message and publishes a chunk.
    async fn act(&self, name: &str, seq: u64) {
        let member = NewMember {
            id: MemberId::new(name),
            name: name.to_owned(),
            metadata: Json::empty_object(),
            create_missing: Some(10),
        };
        let joined = self.directory.join(&self.room, member).await;
        joined.expect("it joins");
        let message = Signal::Message {
            version: 1,
            from: MemberId::new(name),
            to: None,
            topic: None,
            data: Json::empty_object(),
            attachments: Vec::new(),
        };
        let delivered = self.bus.signals(&self.room).send(&message);
        delivered.expect("it is published");
        let chunk = Chunk {
            track: self.track.track,
            seq,
            ts: 0,
            key: true,
            dur: None,
            payload: vec![1; 10].into(),
        };
        let relayed = Relayed {
            chunk,
            counts_as_key: true,
            trace: None,
        };
        let published = self.bus.publisher(&self.track).publish(&relayed);
        published.expect("it is published");
        self.bus.flush(&self.track.room).await;
    }

    async fn until_heard(&self, name: &str, seq: u64) {
        let parts = [format!("message of {name}"), format!("chunk {seq}")];
        let what = format!("{name} is heard");
        eventually(&what, SOON, async || {
            parts.iter().all(|part| self.heard.has(part)).then_some(())
        })
        .await;
    }

    fn heard(&self) -> Vec<String> {
        self.heard.0.lock().expect("nobody panicked").clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_on_two_databases_are_isolated() {
    let server = RedisServer::standalone().await;
    let url = |database: u8| format!("{}/{database}", server.url());
    let (a, b) = (
        Node::start(&url(0), &url(0)).await,
        Node::start(&url(0), &url(0)).await,
    );
    let (c, d) = (
        Node::start(&url(1), &url(1)).await,
        Node::start(&url(1), &url(1)).await,
    );
    a.act("ann", 1).await;
    c.act("cat", 2).await;
    b.until_heard("ann", 1).await;
    d.until_heard("cat", 2).await;
    // Redis orders all publications, so a message not received by now is never received.
    b.act("ben", 3).await;
    d.act("dan", 4).await;
    a.until_heard("ben", 3).await;
    c.until_heard("dan", 4).await;
    for (node, others) in [
        (&a, "cat dan"),
        (&b, "cat dan"),
        (&c, "ann ben"),
        (&d, "ann ben"),
    ] {
        for heard in node.heard() {
            let strange = others.split(' ').any(|name| heard.contains(name));
            let number = if others.starts_with("cat") {
                ["chunk 2", "chunk 4"]
            } else {
                ["chunk 1", "chunk 3"]
            };
            assert!(!strange && !number.contains(&heard.as_str()), "{heard}");
        }
    }
    let joined = |name: &str| {
        a.heard()
            .iter()
            .any(|heard| heard.starts_with("event") && heard.contains(name))
    };
    assert!(joined("ann") && joined("ben"), "{:?}", a.heard());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_plane_uses_the_database_of_its_url() {
    let server = RedisServer::standalone().await;
    let url = |database: u8| format!("{}/{database}", server.url());
    let a = Node::start(&url(2), &url(3)).await;
    let b = Node::start(&url(2), &url(3)).await;
    a.act("ann", 1).await;
    b.until_heard("ann", 1).await;
    let channels = server.processes[0].cli(&["pubsub", "channels", "test:*"]);
    let (probes, mut others): (Vec<_>, Vec<_>) = channels
        .lines()
        .partition(|channel| channel.contains("{.probe"));
    let of = |database| {
        let prefix = format!("test:{database}:");
        probes
            .iter()
            .filter(|probe| probe.starts_with(&prefix))
            .count()
    };
    assert_eq!([of(2), of(3), probes.len()], [2, 2, 4], "{probes:?}");
    others.sort_unstable();
    assert_eq!(
        others,
        [
            "test:2:{room}:events",
            "test:3:{room}:chunks:1",
            "test:3:{room}:signals",
        ]
    );
}
