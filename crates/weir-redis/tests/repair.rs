//! What becomes of rooms when Redis, or a node, goes away.

mod common;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::options;
use tokio::time::{Instant, timeout};
use weir_cluster::{Directory, DirectoryError, Inbox, Joined, NewMember, NewRoom, Watch};
use weir_protocol::{
    Change, Init, Json, LeaveReason, MemberId, RoomEvent, RoomId, TrackKind, TrackSpec,
};
use weir_redis::RedisDirectory;
use weir_testkit::{RedisServer, eventually};

/// A node, and what it was told.
struct Node {
    directory: RedisDirectory,
    told: Arc<Told>,
}

#[derive(Debug, Default)]
struct Told(Mutex<Vec<Arc<RoomEvent>>>);

impl Inbox for Told {
    fn room_event(&self, _: &RoomId, event: &Arc<RoomEvent>) {
        self.0
            .lock()
            .expect("nobody panicked")
            .push(Arc::clone(event));
    }
}

impl Told {
    fn events(&self) -> Vec<Arc<RoomEvent>> {
        self.0.lock().expect("nobody panicked").clone()
    }

    /// How often each member was told to have come, and to have gone for which reason.
    fn comings(&self) -> HashMap<(String, String), usize> {
        let mut counts = HashMap::new();
        for event in self.events() {
            let told = match &event.change {
                Change::MemberJoined(member) => (member.id.to_string(), "came".to_owned()),
                Change::MemberLeft { id, reason } => (id.to_string(), reason.to_string()),
                _ => continue,
            };
            *counts.entry(told).or_default() += 1;
        }
        counts
    }

    fn assert_versions_increase(&self) {
        let versions: Vec<_> = self.events().iter().map(|event| event.version).collect();
        assert!(
            versions.windows(2).all(|two| two[0] < two[1]),
            "{versions:?}"
        );
    }
}

impl Node {
    async fn start(server: &RedisServer) -> Self {
        let options = options("test");
        let told = Arc::new(Told::default());
        let inbox: Arc<dyn Inbox> = told.clone();
        let directory =
            RedisDirectory::new(&server.url().parse().expect("a Redis"), &options, inbox);
        let node = Self {
            directory: directory.expect("a good target"),
            told,
        };
        node.until_healthy(true).await;
        node
    }

    async fn until_healthy(&self, healthy: bool) {
        let mut known = self.directory.health();
        let waited = timeout(SOON, known.wait_for(|known| known.works() == healthy)).await;
        waited.expect("it is noticed").expect("it lives");
    }

    async fn join(&self, room: &RoomId, id: &str) -> (Watch, Joined) {
        let watch = self.directory.watch(room).await.expect("it is watched");
        let joined = self.directory.join(room, new(id)).await;
        (watch, joined.expect("there is room"))
    }

    /// The ids of a room's members, as Redis knows them, sorted.
    async fn members(&self, room: &RoomId) -> Vec<String> {
        let Ok(snapshot) = self.directory.snapshot(room).await else {
            return Vec::new();
        };
        let mut ids: Vec<_> = snapshot.members.iter().map(|m| m.id.to_string()).collect();
        ids.sort();
        ids
    }

    async fn until_members(&self, room: &RoomId, wanted: &[&str]) {
        eventually(&format!("the members are {wanted:?}"), SOON, async || {
            (self.members(room).await == wanted).then_some(())
        })
        .await;
    }
}

const SOON: Duration = Duration::from_secs(20);

/// Asserts that the size of the room's state recorded in Redis equals the actual one, whatever
/// wrote it.
async fn assert_counted(server: &RedisServer, node: &Node, room: &RoomId) {
    let snapshot = node.directory.snapshot(room).await;
    let snapshot = snapshot.expect("the room is there");
    let inside = server.processes[0].cli(&["hget", "test:{hall}:room", "bytes"]);
    let inside: usize = inside.parse().expect("a count");
    let commas = snapshot.members.len().saturating_sub(1) + snapshot.tracks.len().saturating_sub(1);
    let around = r#"{"room":,"members":[],"tracks":[]}"#.len();
    assert_eq!(
        inside + around + commas,
        snapshot.encoded_len(),
        "{snapshot:?}"
    );
}

fn new(id: &str) -> NewMember {
    NewMember {
        id: MemberId::new(id),
        name: id.to_owned(),
        metadata: Json::empty_object(),
        create_missing: Some(100),
    }
}

fn count(told: &Told, id: &str, what: &str) -> usize {
    let comings = told.comings();
    comings
        .get(&(id.to_owned(), what.to_owned()))
        .copied()
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_back_empty_is_given_what_it_lost() {
    let mut server = RedisServer::standalone().await;
    let (a, b) = (Node::start(&server).await, Node::start(&server).await);
    let room = RoomId::made("hall");
    let (_watch_a, _) = a.join(&room, "a1").await;
    let (_watch_b, _) = b.join(&room, "b1").await;
    let (_watch_c, _) = b.join(&room, "b2").await;
    let spec = TrackSpec {
        kind: TrackKind::Video,
        source: None,
        name: None,
        codec: "vp8".to_owned(),
        width: None,
        height: None,
        frame_rate: Some(29.97),
        sample_rate: None,
        channels: None,
        init: Some(Init::encode(&[0, 255, 1])),
    };
    let track = a
        .directory
        .publish(&room, &MemberId::new("a1"), spec, 16)
        .await;
    let track = track.expect("it is published");
    eventually("a knows b2", SOON, async || {
        (count(&a.told, "b2", "came") == 1).then_some(())
    })
    .await;

    server.first().kill();
    a.until_healthy(false).await;
    let start = Instant::now();
    let other = NewRoom {
        id: RoomId::made("other"),
        metadata: Json::empty_object(),
        max_members: 3,
    };
    let refused = a.directory.create(other).await;
    assert!(
        matches!(refused, Err(DirectoryError::Unavailable(_))),
        "{refused:?}"
    );
    let refused = a.directory.join(&room, new("a2")).await;
    assert!(
        matches!(refused, Err(DirectoryError::Unavailable(_))),
        "{refused:?}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
    // A leaving is never refused.
    b.directory
        .leave(&room, &MemberId::new("b2"), LeaveReason::Left)
        .await
        .expect("it leaves");

    server.first().restart_empty();
    a.until_members(&room, &["a1", "b1"]).await;
    // If a finds b2 gone when it compares, and was not told of it, nobody knows why any more.
    eventually("a is told that b2 is gone", SOON, async || {
        let told = count(&a.told, "b2", "left") + count(&a.told, "b2", "disconnected");
        (told == 1).then_some(())
    })
    .await;
    // If b did not know the track and was the first to write the room back, a adds it.
    eventually("the track is there", SOON, async || {
        let snapshot = b.directory.snapshot(&room).await.ok()?;
        (snapshot.tracks == [track.clone()]).then_some(())
    })
    .await;
    for node in [&a, &b] {
        node.told.assert_versions_increase();
        let comings = node.told.comings();
        assert!(comings.values().all(|times| *times == 1), "{comings:?}");
    }
    // And it goes on as if nothing had been.
    let (_watch, joined) = b.join(&room, "b3").await;
    assert_eq!(joined.snapshot.members.len(), 3);
    eventually("a knows b3", SOON, async || {
        (count(&a.told, "b3", "came") == 1).then_some(())
    })
    .await;
    a.told.assert_versions_increase();
    assert_counted(&server, &a, &room).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_before_a_lost_room_is_written_back_is_no_ghost() {
    let server = RedisServer::standalone().await;
    let (a, b) = (Node::start(&server).await, Node::start(&server).await);
    let room = RoomId::made("hall");
    let (_watch_a, _) = a.join(&room, "a1").await;
    let (watch_b, _) = b.join(&room, "b1").await;
    eventually("a knows b1", SOON, async || {
        (count(&a.told, "b1", "came") == 1).then_some(())
    })
    .await;
    server.processes[0].cli(&["flushall"]);
    // There is nothing that it could leave, and its node has nobody else in the room.
    let left = b
        .directory
        .leave(&room, &MemberId::new("b1"), LeaveReason::Left)
        .await;
    assert!(
        matches!(left, Err(DirectoryError::RoomNotFound(_))),
        "{left:?}"
    );
    drop(watch_b);
    // Now a finds that the room is not the one that it knows, and writes that one back.
    let joined = a.directory.join(&room, new("a2")).await;
    joined.expect("there is room");
    eventually("a is told that b1 is gone", SOON, async || {
        (count(&a.told, "b1", "left") == 1).then_some(())
    })
    .await;
    a.until_members(&room, &["a1", "a2"]).await;
    a.told.assert_versions_increase();
    assert_counted(&server, &a, &room).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_members_of_a_dead_node_are_told_gone_once() {
    let server = RedisServer::standalone().await;
    let (a, b, c) = (
        Node::start(&server).await,
        Node::start(&server).await,
        Node::start(&server).await,
    );
    let room = RoomId::made("hall");
    let (_watch_a, _) = a.join(&room, "a1").await;
    let (_watch_c, _) = c.join(&room, "c1").await;
    let mut watches = Vec::new();
    for number in 0..20 {
        watches.push(b.join(&room, &format!("b{number}")).await);
    }
    let start = Instant::now();
    // Its tasks end at once, and nobody leaves.
    drop(watches);
    drop(b);
    for node in [&a, &c] {
        eventually("all of b are gone", SOON, async || {
            let all =
                (0..20).all(|number| count(&node.told, &format!("b{number}"), "node-lost") == 1);
            all.then_some(())
        })
        .await;
        node.told.assert_versions_increase();
    }
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "{:?}",
        start.elapsed()
    );
    a.until_members(&room, &["a1", "c1"]).await;
    let left = server.processes[0].cli(&["--scan", "--pattern", "test:{.nodes}:held:*"]);
    assert_eq!(left.lines().count(), 2, "{left}");
    assert_counted(&server, &a, &room).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_taken_for_dead_has_its_members_back() {
    let server = RedisServer::standalone().await;
    let (a, b) = (Node::start(&server).await, Node::start(&server).await);
    let room = RoomId::made("hall");
    let (_watch_a, _) = a.join(&room, "a1").await;
    let (_watch_b, _) = b.join(&room, "b1").await;
    // As if b had been frozen for longer than its lease: it is still among the held, but b's own
    // heartbeat comes too late.
    let nodes = server.processes[0].cli(&["zrange", "test:{.nodes}:alive", "0", "-1"]);
    let held = nodes.lines().find(|node| {
        let held = server.processes[0].cli(&["smembers", &format!("test:{{.nodes}}:held:{node}")]);
        held == "hall/b1"
    });
    let b_id = held.expect("b holds b1").to_owned();
    server.processes[0].cli(&["zrem", "test:{.nodes}:alive", &b_id]);
    server.processes[0].cli(&["zadd", "test:{.nodes}:reaping", "1", &b_id]);
    eventually("b1 was lost and is back", SOON, async || {
        let lost = count(&a.told, "b1", "node-lost");
        let came = count(&a.told, "b1", "came");
        (lost == 1 && came == 2
            || lost == 0 && server.processes[0].cli(&["zcard", "test:{.nodes}:reaping"]) == "0")
            .then_some(())
    })
    .await;
    b.until_members(&room, &["a1", "b1"]).await;
    a.told.assert_versions_increase();
    b.told.assert_versions_increase();
    assert_eq!(count(&b.told, "b1", "node-lost"), 0, "b is told of its own");
    assert_counted(&server, &a, &room).await;
}
