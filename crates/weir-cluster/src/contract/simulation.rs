//! Simulation: random operations of several nodes, which must agree after each round.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use weir_protocol::{LeaveReason, MemberId, RoomId, TrackId, TrackKind, TrackUpdate};

use super::{
    Backend, SharedStore, StoreOptions, View,
    support::{ContractNode, new_member, new_room, room, spec},
};
use crate::{DirectoryError, NewMember, Watch};

const NODES: usize = 3;
const ROOMS: usize = 4;
/// Small, so that rooms are often full.
const MEMBERS: u32 = 5;
const TRACKS: usize = 3;

/// Parameters of a simulation.
#[derive(Debug, Clone, Copy)]
pub struct Simulation {
    /// Seed of the random operations.
    pub seed: u64,
    /// Number of rounds of concurrent operations.
    pub rounds: usize,
    /// Whether time passes between rounds, so that rooms expire.
    pub time_passes: bool,
}

/// A simulation in which no room expires.
pub async fn nodes_agree(backend: &dyn Backend) {
    simulate(backend, false).await;
}

/// Returns the seed in `WEIR_SEED`, or a random one.
pub(super) async fn simulate(backend: &dyn Backend, time_passes: bool) {
    let given = std::env::var("WEIR_SEED").ok();
    let seed = given.map_or_else(rand::random, |seed| seed.parse().expect("a number"));
    let simulation = Simulation {
        seed,
        rounds: 300,
        time_passes,
    };
    simulation.run(backend).await;
}

impl Simulation {
    /// Runs the simulation, and prints its seed.
    ///
    /// # Panics
    /// If the nodes disagree, or an operation has an impossible outcome.
    pub async fn run(self, backend: &dyn Backend) {
        eprintln!("simulating with WEIR_SEED={}", self.seed);
        let mut random = StdRng::seed_from_u64(self.seed);
        let options = StoreOptions::default();
        let store = backend.store(options).await;
        let mut nodes = Vec::new();
        for number in 0..NODES {
            nodes.push(Simulated::new(&*store, number).await);
        }
        for _ in 0..self.rounds {
            let round = nodes.into_iter().map(|mut node| {
                let mut random = StdRng::from_rng(&mut random);
                tokio::spawn(async move {
                    for _ in 0..random.random_range(1..=6) {
                        node.act(&mut random).await;
                    }
                    node
                })
            });
            let round = join_all(round).await.into_iter();
            nodes = round.map(|node| node.expect("no node panics")).collect();
            agree(&mut nodes).await;
            if self.time_passes && random.random_bool(0.2) {
                let longest = u64::try_from(options.empty_ttl.as_millis()).expect("small") * 3 / 2;
                let pause = Duration::from_millis(random.random_range(1..longest));
                store.advance(pause).await;
                agree(&mut nodes).await;
            }
        }
    }
}

/// Asserts that the operations, the directory and the events agree.
async fn agree(nodes: &mut [Simulated]) {
    for place in 0..ROOMS {
        let id = &room_at(place);
        let mut truths = Vec::new();
        for node in nodes.iter_mut() {
            truths.push(node.catch_up(place).await);
        }
        assert!(truths.windows(2).all(|two| two[0] == two[1]), "{truths:?}");
        let members = truths.swap_remove(0).map(|truth| truth.members);
        let there: BTreeSet<MemberId> = members
            .into_iter()
            .flatten()
            .map(|member| member.id)
            .collect();
        let own = nodes.iter().flat_map(|node| &node.members);
        let own = own.filter(|(room, _)| room == id);
        let own: BTreeSet<MemberId> = own.map(|(_, id)| id.clone()).collect();
        assert_eq!(there, own, "in {id}");
    }
}

fn room_at(place: usize) -> RoomId {
    room(&format!("room{place}"))
}

/// Node with its view of the rooms.
struct Simulated {
    node: ContractNode,
    number: usize,
    /// Its members, which only it removes.
    members: Vec<(RoomId, MemberId)>,
    /// Number of members that it has had.
    count: usize,
    /// Watched rooms.
    watched: Vec<Option<Watched>>,
}

struct Watched {
    _watch: Watch,
    view: View,
    /// Number of events in the view.
    seen: usize,
}

impl Simulated {
    async fn new(store: &dyn SharedStore, number: usize) -> Self {
        Self {
            node: ContractNode::new(store).await,
            number,
            members: Vec::new(),
            count: 0,
            watched: (0..ROOMS).map(|_| None).collect(),
        }
    }

    /// Executes a random operation.
    async fn act(&mut self, random: &mut StdRng) {
        let place = random.random_range(0..ROOMS);
        let own = self.members.choose(random).cloned();
        match (random.random_range(0..100), own) {
            (0..10, _) => self.create(&room_at(place)).await,
            (10..20, _) => self.watch_anew(place).await,
            (20..23, _) => self.watched[place] = None,
            (23..45, _) | (_, None) => self.join(&room_at(place), random).await,
            (45..65, Some((room, id))) => self.leave(&room, &id).await,
            (65..70, Some((room, id))) => {
                let name = random.random_range(0..1_000).to_string();
                let directory = &self.node.directory;
                let updated = directory.update_member(&room, &id, Some(name), None);
                updated.await.expect("own members are there");
            }
            (_, Some((room, id))) => self.change_tracks(&room, &id, random).await,
        }
    }

    async fn create(&self, room: &RoomId) {
        match self.node.directory.create(new_room(room, MEMBERS)).await {
            Ok(_) | Err(DirectoryError::RoomExists(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn join(&mut self, room: &RoomId, random: &mut StdRng) {
        self.count += 1;
        let new = NewMember {
            create_missing: random.random_bool(0.5).then_some(MEMBERS),
            ..new_member(&format!("n{}m{}", self.number, self.count))
        };
        let creates = new.create_missing.is_some();
        match self.node.directory.join(room, new).await {
            Ok(joined) => {
                assert_eq!(joined.snapshot.members.last(), Some(&joined.member));
                self.members.push((room.clone(), joined.member.id));
            }
            Err(DirectoryError::RoomNotFound(_)) if !creates => {}
            Err(DirectoryError::RoomFull { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn leave(&mut self, room: &RoomId, id: &MemberId) {
        let left = self.node.directory.leave(room, id, LeaveReason::Left).await;
        left.expect("own members are there");
        self.members.retain(|(_, one)| one != id);
    }

    async fn change_tracks(&self, room: &RoomId, id: &MemberId, random: &mut StdRng) {
        let directory = &self.node.directory;
        let track = TrackId(random.random_range(1..40));
        let error = match random.random_range(0..4) {
            0 | 1 => {
                let spec = spec(TrackKind::Video);
                directory.publish(room, id, spec, TRACKS).await.err()
            }
            2 => {
                let update = TrackUpdate {
                    muted: Some(random.random()),
                    width: Some(random.random_range(1..4_000)),
                    ..TrackUpdate::default()
                };
                let updated = directory.update_track(room, id, track, update);
                updated.await.err()
            }
            _ => directory.unpublish(room, id, track).await.err(),
        };
        match error {
            None
            | Some(
                DirectoryError::TooManyTracks { .. }
                | DirectoryError::TrackNotFound(_)
                | DirectoryError::NotTrackOwner(_),
            ) => {}
            Some(error) => panic!("{error}"),
        }
    }

    /// Watches a room anew, then reads its snapshot, as a node does.
    async fn watch_anew(&mut self, place: usize) {
        let room = room_at(place);
        self.watched[place] = None;
        let seen = self.node.inbox.events(&room).len();
        let watch = self.node.watch(&room).await;
        let view = match self.node.directory.snapshot(&room).await {
            Ok(snapshot) => View::from(snapshot),
            Err(DirectoryError::RoomNotFound(_)) => View::default(),
            Err(error) => panic!("{error}"),
        };
        self.watched[place] = Some(Watched {
            _watch: watch,
            view,
            seen,
        });
    }

    /// Returns the directory's snapshot, once the node's view has its version.
    async fn catch_up(&mut self, place: usize) -> Option<weir_protocol::Snapshot> {
        let room = room_at(place);
        let truth = match self.node.directory.snapshot(&room).await {
            Ok(snapshot) => Some(snapshot),
            Err(DirectoryError::RoomNotFound(_)) => None,
            Err(error) => panic!("{error}"),
        };
        if let Some(watched) = &mut self.watched[place] {
            let inbox = Arc::clone(&self.node.inbox);
            // The version returns to 0 only when the room ends.
            let version = truth.as_ref().map_or(0, |truth| truth.version);
            while watched.view.version() != version {
                watched.seen += 1;
                let events = inbox.events_until(&room, watched.seen).await;
                watched.view.apply(&events[watched.seen - 1]);
            }
            if let Some(truth) = &truth {
                watched.view.assert_is(truth);
            }
        }
        truth
    }
}
