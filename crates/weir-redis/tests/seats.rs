//! Ownership of seats: stale nodes are fenced off, and no ghost stays, whoever restores a room.

mod common;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use common::options;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use tokio::time::timeout;
use weir_cluster::{Directory, DirectoryError, NewMember, Watch, contract::Recorder};
use weir_protocol::{
    Change, Json, LeaveReason, MemberId, RoomId, TrackKind, TrackSpec, TrackUpdate,
};
use weir_redis::RedisDirectory;
use weir_testkit::{Forwarder, RedisServer, eventually};

/// Time limit for what a lease, its reaping and a few heartbeats may take.
const SOON: Duration = Duration::from_secs(60);

/// A node behind a network of its own, with its members.
struct Node {
    directory: RedisDirectory,
    inbox: Arc<Recorder>,
    network: Forwarder,
    watches: HashMap<RoomId, Watch>,
    members: Vec<(RoomId, MemberId)>,
}

impl Node {
    async fn start(server: &RedisServer) -> Self {
        let options = options("test");
        let network = Forwarder::to(server.processes[0].port).await;
        let target = network.redis_url();
        let inbox = Arc::new(Recorder::default());
        let target = target.parse().expect("a Redis");
        let directory = RedisDirectory::new(&target, &options, inbox.clone());
        let node = Self {
            directory: directory.expect("a good target"),
            inbox,
            network,
            watches: HashMap::new(),
            members: Vec::new(),
        };
        node.until_healthy(true).await;
        node
    }

    async fn until_healthy(&self, healthy: bool) {
        let mut health = self.directory.health();
        let waited = timeout(SOON, health.wait_for(|health| health.works() == healthy)).await;
        waited.expect("it is noticed").expect("the directory lives");
    }

    /// Joins as the gateway does: watches the room first, and ends the watch with the last member.
    async fn join(&mut self, room: &RoomId, id: &str) -> Result<(), DirectoryError> {
        if !self.watches.contains_key(room) {
            let watch = self.directory.watch(room).await?;
            self.watches.insert(room.clone(), watch);
        }
        let member = NewMember {
            id: MemberId::new(id),
            name: id.to_owned(),
            metadata: Json::empty_object(),
            create_missing: Some(1_000),
        };
        let joined = self.directory.join(room, member).await;
        if joined.is_ok() {
            self.members.push((room.clone(), MemberId::new(id)));
        }
        self.forget_empty(room);
        joined.map(drop)
    }

    async fn leave(&mut self, room: &RoomId, id: &MemberId) -> Result<(), DirectoryError> {
        self.members.retain(|(_, member)| member != id);
        let left = self.directory.leave(room, id, LeaveReason::Left).await;
        self.forget_empty(room);
        left
    }

    fn forget_empty(&mut self, room: &RoomId) {
        if !self.members.iter().any(|(of, _)| of == room) {
            self.watches.remove(room);
        }
    }

    /// Reasons for which a member's departure reached the inbox.
    fn departures(&self, room: &RoomId, member: &str) -> Vec<LeaveReason> {
        let events = self.inbox.events(room).into_iter();
        let departures = events.filter_map(|event| match &event.change {
            Change::MemberLeft { id, reason } if id.as_str() == member => Some(*reason),
            _ => None,
        });
        departures.collect()
    }

    /// Value of a counter.
    fn counter(&self, metric: &str) -> u64 {
        let samples = self.directory.samples().into_iter();
        let values = samples.filter(|sample| sample.metric == metric);
        values.map(|sample| sample.value as u64).sum()
    }
}

fn hall() -> RoomId {
    RoomId::made("hall")
}

fn spec() -> TrackSpec {
    TrackSpec {
        kind: TrackKind::Audio,
        source: None,
        name: None,
        codec: "opus".to_owned(),
        width: None,
        height: None,
        frame_rate: None,
        sample_rate: None,
        channels: None,
        init: None,
    }
}

/// Ids in a hash or set of Redis, sorted.
fn ids(server: &RedisServer, command: &str, key: &str) -> BTreeSet<String> {
    let ids = server.processes[0].cli(&[command, key]);
    ids.lines()
        .filter(|id| !id.is_empty())
        .map(str::to_owned)
        .collect()
}

async fn until_members(server: &RedisServer, wanted: &[&str]) {
    let wanted: BTreeSet<String> = wanted.iter().copied().map(str::to_owned).collect();
    eventually(&format!("the members are {wanted:?}"), SOON, async || {
        (ids(server, "hkeys", "test:{hall}:members") == wanted).then_some(())
    })
    .await;
}

/// Two nodes with a member each; the first knows of the second, and is then cut off from Redis.
async fn cut_off(server: &RedisServer) -> (Node, Node) {
    let (mut a, mut b) = (Node::start(server).await, Node::start(server).await);
    a.join(&hall(), "a1").await.expect("there is room");
    b.join(&hall(), "b1").await.expect("there is room");
    a.inbox.events_until(&hall(), 2).await;
    a.network.cut();
    a.until_healthy(false).await;
    (a, b)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owner_removes_ghost_that_a_returning_node_has_restored() {
    let server = RedisServer::standalone().await;
    let (a, mut b) = cut_off(&server).await;
    // The departure is long confirmed, and nobody at its node watches the room, when the room is restored.
    b.leave(&hall(), &MemberId::new("b1"))
        .await
        .expect("it leaves");
    server.processes[0].cli(&["flushall"]);
    a.network.heal();
    a.until_healthy(true).await;
    until_members(&server, &["a1"]).await;
    eventually("a hears of the departure", SOON, async || {
        (a.departures(&hall(), "b1").len() == 1).then_some(())
    })
    .await;
    assert_eq!(a.counter("weir.directory.ghosts"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reaper_removes_ghost_of_a_dead_node_that_a_returning_node_has_restored() {
    let server = RedisServer::standalone().await;
    let (a, b) = cut_off(&server).await;
    drop(b);
    server.processes[0].cli(&["flushall"]);
    a.network.heal();
    a.until_healthy(true).await;
    until_members(&server, &["a1"]).await;
    eventually("a hears of the departure", SOON, async || {
        (a.departures(&hall(), "b1") == [LeaveReason::NodeLost]).then_some(())
    })
    .await;
    let ledgers = server.processes[0].cli(&["--scan", "--pattern", "test:{.nodes}:held:*"]);
    assert_eq!(ledgers.lines().count(), 1, "{ledgers}");
}

/// Makes another node the owner of a seat, as a takeover does.
fn take_over(server: &RedisServer, member: &str) -> String {
    let seat = "ffffffffffffffff.1 1".to_owned();
    server.processes[0].cli(&["hset", "test:{hall}:seats", member, &seat]);
    seat
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_to_a_seat_that_another_node_owns_are_refused_and_counted() {
    let server = RedisServer::standalone().await;
    let mut a = Node::start(&server).await;
    a.join(&hall(), "a1").await.expect("there is room");
    let (room, a1) = (hall(), MemberId::new("a1"));
    let published = a.directory.publish(&room, &a1, spec(), 8).await;
    let track = published.expect("it is published").id;
    let seat = take_over(&server, "a1");
    let before = a.directory.snapshot(&room).await.expect("it is there");

    let directory = &a.directory;
    let name = Some("stale".to_owned());
    let update = TrackUpdate {
        muted: Some(true),
        ..TrackUpdate::default()
    };
    let again = NewMember {
        id: a1.clone(),
        name: String::new(),
        metadata: Json::empty_object(),
        create_missing: None,
    };
    let refusals = [
        directory.update_member(&room, &a1, name, None).await.err(),
        directory.publish(&room, &a1, spec(), 8).await.err(),
        directory
            .update_track(&room, &a1, track, update)
            .await
            .err(),
        directory.unpublish(&room, &a1, track).await.err(),
        directory.join(&room, again).await.err(),
        directory.leave(&room, &a1, LeaveReason::Left).await.err(),
    ];
    for (at, refusal) in refusals.into_iter().enumerate() {
        let fenced = DirectoryError::NotSeatOwner(a1.clone());
        assert_eq!(refusal, Some(fenced), "write {at}");
    }
    assert_eq!(a.counter("weir.directory.fenced"), 6);
    let after = a.directory.snapshot(&room).await.expect("it is there");
    assert_eq!(after, before);
    let found = server.processes[0].cli(&["hget", "test:{hall}:seats", "a1"]);
    assert_eq!(found, seat);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_was_taken_for_dead_leaves_a_seat_to_its_new_owner() {
    let server = RedisServer::standalone().await;
    let mut a = Node::start(&server).await;
    for id in ["a1", "a2"] {
        a.join(&hall(), id).await.expect("there is room");
    }
    let seat = take_over(&server, "a1");
    let first = a.directory.node();
    server.processes[0].cli(&["zrem", "test:{.nodes}:alive", &first]);
    let seat_of = |member| server.processes[0].cli(&["hget", "test:{hall}:seats", member]);
    eventually("a2 is reclaimed", SOON, async || {
        let second = a.directory.node();
        (second != first && seat_of("a2").starts_with(&format!("{second} "))).then_some(())
    })
    .await;
    eventually("the reclaim of a1 is refused", SOON, async || {
        (a.counter("weir.directory.fenced") == 1).then_some(())
    })
    .await;
    assert_eq!(seat_of("a1"), seat);
    let refused = a
        .directory
        .update_member(&hall(), &MemberId::new("a1"), None, None)
        .await;
    let fenced = DirectoryError::NotSeatOwner(MemberId::new("a1"));
    assert_eq!(refused, Err(fenced));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn join_without_an_answer_leaves_no_ghost() {
    let server = RedisServer::standalone().await;
    let mut a = Node::start(&server).await;
    a.join(&hall(), "a1").await.expect("there is room");
    server.processes[0].cli(&["client", "pause", "2500", "write"]);
    let joined = a.join(&hall(), "a2").await;
    assert!(
        matches!(joined, Err(DirectoryError::Unavailable(_))),
        "{joined:?}"
    );
    // A leaving that Redis does not answer is done once it does.
    let left = a.leave(&hall(), &MemberId::new("a1")).await;
    left.expect("leaving is never refused");
    until_members(&server, &[]).await;
    eventually("the ledger is empty", SOON, async || {
        let ledger = format!("test:{{.nodes}}:held:{}", a.directory.node());
        ids(&server, "smembers", &ledger).is_empty().then_some(())
    })
    .await;
}

/// Number of nodes, rooms and steps of the simulation.
const NODES: usize = 3;
const ROOMS: usize = 3;
const STEPS: usize = 60;

/// Random joins and departures, while nodes are cut off, crash and lose their leases, and Redis loses everything.
struct Simulation {
    server: RedisServer,
    nodes: Vec<Node>,
    random: StdRng,
    /// Number of members so far.
    members: usize,
}

impl Simulation {
    async fn step(&mut self) {
        let at = self.random.random_range(0..NODES);
        let room = RoomId::made(&format!("room{}", self.random.random_range(0..ROOMS)));
        match self.random.random_range(0..100) {
            0..45 => {
                self.members += 1;
                let id = format!("m{}", self.members);
                match self.nodes[at].join(&room, &id).await {
                    Ok(()) | Err(DirectoryError::Unavailable(_)) => {}
                    Err(error) => panic!("{id} in {room}: {error}"),
                }
            }
            45..75 => {
                let member = self.nodes[at].members.choose(&mut self.random).cloned();
                if let Some((room, id)) = member {
                    // Redis may have lost the room, or a reaper may have removed the member.
                    match self.nodes[at].leave(&room, &id).await {
                        Ok(())
                        | Err(
                            DirectoryError::MemberNotFound(_) | DirectoryError::RoomNotFound(_),
                        ) => {}
                        Err(error) => panic!("{id} in {room}: {error}"),
                    }
                }
            }
            75..84 => self.nodes[at].network.cut(),
            84..90 => self.nodes[at].network.heal(),
            90..95 => {
                self.server.processes[0].cli(&["flushall"]);
            }
            95..98 => {
                // As if the node had been frozen for longer than its lease.
                let node = self.nodes[at].directory.node();
                self.server.processes[0].cli(&["zadd", "test:{.nodes}:alive", "xx", "1", &node]);
            }
            _ => self.nodes[at] = Node::start(&self.server).await,
        }
    }

    /// Asserts that Redis has exactly the members that the nodes hold, in rooms and ledgers.
    async fn assert_agreement(&self) {
        for room in (0..ROOMS).map(|n| format!("room{n}")) {
            let members = self.nodes.iter().flat_map(|node| &node.members);
            let members = members.filter(|(of, _)| of.as_str() == room);
            let wanted: BTreeSet<String> = members.map(|(_, id)| id.to_string()).collect();
            let key = format!("test:{{{room}}}:members");
            eventually(&format!("{wanted:?} are in {room}"), SOON, async || {
                (ids(&self.server, "hkeys", &key) == wanted).then_some(())
            })
            .await;
        }
        for node in &self.nodes {
            let members = node.members.iter();
            let wanted: BTreeSet<_> = members.map(|(room, id)| format!("{room}/{id}")).collect();
            eventually("a ledger has a node's members", SOON, async || {
                let key = format!("test:{{.nodes}}:held:{}", node.directory.node());
                (ids(&self.server, "smembers", &key) == wanted).then_some(())
            })
            .await;
        }
    }
}

/// `WEIR_SEED` sets the seed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_losses_partitions_and_crashes_leave_no_ghosts() {
    let given = std::env::var("WEIR_SEED").ok();
    let seed = given.map_or_else(rand::random, |seed| seed.parse().expect("a number"));
    eprintln!("simulating with WEIR_SEED={seed}");
    let server = RedisServer::standalone().await;
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(Node::start(&server).await);
    }
    let mut simulation = Simulation {
        server,
        nodes,
        random: StdRng::seed_from_u64(seed),
        members: 0,
    };
    for _ in 0..STEPS {
        simulation.step().await;
    }
    for node in &simulation.nodes {
        node.network.heal();
    }
    for node in &simulation.nodes {
        node.until_healthy(true).await;
    }
    simulation.assert_agreement().await;
}
