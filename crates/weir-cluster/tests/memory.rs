//! The memory backend keeps the contract.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::time::timeout;
use weir_cluster::{
    Bus, Directory, DirectoryError, Inbox, Interest, MemoryDirectory, MemoryHub, MemoryOptions,
    NewMember, TrackKey, Watch,
    contract::{Backend, Recorder, SharedStore, StoreOptions, View},
    contract_suite,
};
use weir_protocol::{Json, LeaveReason, MemberId, RoomEvent, RoomId, TrackId};

struct Memory;

struct MemoryStore(MemoryHub);

impl Backend for Memory {
    fn store(&self, options: StoreOptions) -> BoxFuture<'_, Arc<dyn SharedStore>> {
        let options = MemoryOptions {
            empty_ttl: options.empty_ttl,
            max_rooms: options.max_rooms,
            room_state_bytes: options.room_state_bytes,
            ..MemoryOptions::default()
        };
        Box::pin(
            async move { Arc::new(MemoryStore(MemoryHub::new(options))) as Arc<dyn SharedStore> },
        )
    }
}

impl SharedStore for MemoryStore {
    fn directory(&self, inbox: Arc<dyn Inbox>) -> BoxFuture<'_, Arc<dyn Directory>> {
        Box::pin(async move { Arc::new(self.0.directory(inbox)) as Arc<dyn Directory> })
    }

    fn bus(&self) -> BoxFuture<'_, Arc<dyn Bus>> {
        Box::pin(async move { Arc::new(self.0.bus()) as Arc<dyn Bus> })
    }

    /// On the paused clock, where whatever is due in between has its turn.
    fn advance(&self, by: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let _ = timeout(by, pending::<()>()).await;
        })
    }
}

contract_suite!(
    #[tokio::test(start_paused = true)]
    Memory
);

/// The same cases where nodes are really at it at once; those that need time to pass are not here.
mod threads {
    use weir_cluster::contract::{self, simulation::Simulation};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn at_once() {
        for _ in 0..20 {
            contract::rooms::one_of_many_creators_succeeds(&Memory).await;
            contract::members::concurrent_creating_joins_share_one_room(&Memory).await;
            contract::members::concurrent_joins_fill_the_room_exactly(&Memory).await;
            contract::tracks::concurrent_publications_stay_within_the_limit(&Memory).await;
            contract::watches::every_node_sees_the_same_events_in_order(&Memory).await;
            contract::watches::a_snapshot_and_later_events_are_the_room(&Memory).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nodes_agree() {
        let simulation = Simulation {
            seed: rand::random(),
            rounds: 500,
            time_passes: false,
        };
        simulation.run(&Memory).await;
    }

    /// Rooms that go at once, while others create and join them: a member is never without a room.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn joining_races_the_end_of_a_room() {
        let hub = MemoryHub::new(MemoryOptions {
            empty_ttl: Duration::ZERO,
            ..MemoryOptions::default()
        });
        let room = RoomId::made("hall");
        let inbox = Arc::new(Recorder::default());
        let watching = hub.directory(inbox.clone());
        let watch = watching.watch(&room).await.expect("memory is there");
        let tasks: Vec<_> = (0..4)
            .map(|task| {
                let directory = hub.directory(Arc::new(Recorder::default()));
                tokio::spawn(come_and_go(directory, RoomId::made("hall"), task))
            })
            .collect();
        for task in tasks {
            task.await.expect("no task panics");
        }
        let mut view = View::default();
        for event in inbox.events_until_closed(&room).await {
            view.apply(&event);
        }
        drop(watch);
    }

    async fn come_and_go(directory: MemoryDirectory, room: RoomId, task: usize) {
        for n in 0..500 {
            let new = NewMember {
                id: MemberId::new(&format!("t{task}m{n}")),
                name: String::new(),
                metadata: Json::default(),
                create_missing: (n % 2 == 0).then_some(10_u32),
            };
            let id = new.id.clone();
            match directory.join(&room, new).await {
                Ok(_) => {
                    tokio::task::yield_now().await;
                    let snapshot = directory.snapshot(&room).await.expect("it is not empty");
                    assert!(snapshot.members.iter().any(|member| member.id == id));
                    let left = directory.leave(&room, &id, LeaveReason::Left).await;
                    left.expect("it is still a member");
                }
                Err(error) => assert_eq!(error, DirectoryError::RoomNotFound(room.clone())),
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn the_sweeper_ends_with_the_last_handle() {
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let hub = MemoryHub::new(MemoryOptions::default());
    let directory = hub.directory(Arc::new(Recorder::default()));
    drop(hub);
    tokio::task::yield_now().await;
    assert_eq!(tasks(), 1, "a directory needs it");
    drop(directory);
    tokio::task::yield_now().await;
    assert_eq!(tasks(), 0);
}

/// Lets go of its watch when it is told of the first event.
#[derive(Debug, Default)]
struct Leaving(Mutex<Option<Watch>>, AtomicUsize);

impl Inbox for Leaving {
    fn room_event(&self, _: &RoomId, _: &Arc<RoomEvent>) {
        self.1.fetch_add(1, Ordering::Relaxed);
        *self.0.lock().expect("nothing panics under it") = None;
    }
}

#[tokio::test]
async fn an_inbox_may_drop_its_watch_within_a_call() {
    let hub = MemoryHub::new(MemoryOptions::default());
    let inbox = Arc::new(Leaving::default());
    let directory = hub.directory(inbox.clone());
    let room = RoomId::made("hall");
    let watch = directory.watch(&room).await.expect("memory is there");
    *inbox.0.lock().expect("nothing panics under it") = Some(watch);
    for n in 0..2 {
        let member = NewMember {
            id: MemberId::new(&format!("m{n}")),
            name: String::new(),
            metadata: Json::default(),
            create_missing: Some(10),
        };
        let joined = directory.join(&room, member).await;
        joined.expect("there is a place");
    }
    assert_eq!(inbox.1.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn interest_counts_the_other_nodes_with_a_subscription() {
    let hub = MemoryHub::new(MemoryOptions::default());
    let [a, b, c] = [(); 3].map(|()| hub.bus());
    let track = TrackKey {
        room: RoomId::made("hall"),
        track: TrackId(1),
    };
    let recorder = Arc::new(Recorder::default());
    let publisher = a.publisher(&track);
    let mut held = Vec::new();
    for (bus, nodes) in [(&a, 0), (&b, 1), (&c, 2), (&c, 2)] {
        let subscribed = bus.subscribe(&track, recorder.chunks_of(&track)).await;
        held.push(subscribed.expect("memory is there"));
        assert_eq!(publisher.interest(), Interest::Nodes(nodes));
    }
    drop(held);
    assert_eq!(publisher.interest(), Interest::Nodes(0));
}
