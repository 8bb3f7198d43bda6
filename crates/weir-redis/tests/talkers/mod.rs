//! Nodes that exchange messages in one room, with the set of messages that each must receive.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinHandle, time::interval};
use weir_cluster::{Bus, Signal, SignalSink, Subscription};
use weir_protocol::{Json, MemberId, RoomId};
use weir_redis::{Health, RedisBus};
use weir_testkit::{RedisServer, eventually};

/// Send interval of each node.
const EVERY: Duration = Duration::from_millis(10);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Message identity: its sender's index, and its number there.
type Said = (usize, u64);

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<Said>>);

impl SignalSink for Heard {
    fn signal(&self, signal: Arc<Signal>) {
        if let Signal::Message { version, from, .. } = &*signal {
            let node = from.as_str().parse().expect("a number");
            lock(&self.0).push((node, *version));
        }
    }

    fn interrupted(&self) {}
}

struct Talker {
    bus: RedisBus,
    heard: Arc<Heard>,
    said: AtomicU64,
    /// Number of the last message that each node sent before this one joined.
    since: Vec<u64>,
    _listening: Subscription,
}

/// Outcomes of sent messages.
#[derive(Debug, Default)]
struct Outcomes {
    confirmed: BTreeSet<Said>,
    refused: BTreeMap<Said, String>,
}

pub(crate) struct Talkers {
    nodes: Vec<Arc<Talker>>,
    outcomes: Arc<Mutex<Outcomes>>,
    room: RoomId,
}

/// Running senders.
pub(crate) struct Talk {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
    outcomes: Arc<Mutex<Outcomes>>,
}

/// Number of confirmed and rejected messages.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) confirmed: usize,
    #[allow(dead_code, reason = "it is printed")]
    pub(crate) refused: usize,
}

impl Talk {
    pub(crate) async fn stop(self) -> Counts {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("nobody panicked");
        }
        let outcomes = lock(&self.outcomes);
        Counts {
            confirmed: outcomes.confirmed.len(),
            refused: outcomes.refused.len(),
        }
    }
}

impl Talkers {
    pub(crate) async fn start(server: &RedisServer, nodes: usize) -> Self {
        Self::start_at(server.url(), nodes).await
    }

    pub(crate) async fn start_at(url: &str, nodes: usize) -> Self {
        let mut talkers = Self {
            nodes: Vec::new(),
            outcomes: Arc::default(),
            room: RoomId::made("room"),
        };
        for _ in 0..nodes {
            talkers.add_at(url).await;
        }
        talkers
    }

    pub(crate) async fn add(&mut self, server: &RedisServer) {
        self.add_at(server.url()).await;
    }

    async fn add_at(&mut self, url: &str) {
        let heard = Arc::new(Heard::default());
        let bus = RedisBus::new(&url.parse().expect("a Redis"), "test");
        for mut health in [bus.hears(), bus.publishes()] {
            let up = health.wait_for(Health::works).await;
            up.expect("it lives");
        }
        let listening = bus.listen(&self.room, heard.clone()).await;
        let listening = listening.expect("it listens");
        let said = self
            .nodes
            .iter()
            .map(|node| node.said.load(Ordering::Relaxed));
        let since = said.collect();
        self.nodes.push(Arc::new(Talker {
            bus,
            heard,
            said: AtomicU64::new(0),
            since,
            _listening: listening,
        }));
    }

    /// Sends a message and waits for its outcome.
    pub(crate) async fn say(&self, node: usize) -> Result<(), String> {
        say(node, &self.nodes[node], &self.room, &self.outcomes).await
    }

    /// Starts sending on all nodes.
    pub(crate) fn talk(&self) -> Talk {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = self.nodes.iter().enumerate().map(|(n, node)| {
            let (node, room, stop) = (Arc::clone(node), self.room.clone(), Arc::clone(&stop));
            let outcomes = Arc::clone(&self.outcomes);
            tokio::spawn(async move {
                let mut ticks = interval(EVERY);
                while !stop.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    let _ = say(n, &node, &room, &outcomes).await;
                }
            })
        });
        Talk {
            tasks: tasks.collect(),
            stop,
            outcomes: Arc::clone(&self.outcomes),
        }
    }

    pub(crate) fn confirmed(&self) -> usize {
        lock(&self.outcomes).confirmed.len()
    }

    pub(crate) fn refusals(&self) -> Vec<String> {
        lock(&self.outcomes).refused.values().cloned().collect()
    }

    pub(crate) fn heard_by(&self, node: usize) -> usize {
        lock(&self.nodes[node].heard.0).len()
    }

    /// Returns the smallest number of messages that any node received.
    pub(crate) fn heard(&self) -> usize {
        let heard = (0..self.nodes.len()).map(|node| self.heard_by(node));
        heard.min().unwrap_or_default()
    }

    /// Waits until every node has received the confirmed messages. Asserts that each node received
    /// them in order, without duplicates.
    pub(crate) async fn until_all_is_heard(&self, soon: Duration) {
        let confirmed = lock(&self.outcomes).confirmed.clone();
        for (n, node) in self.nodes.iter().enumerate() {
            let what = format!("node {n} hears everything");
            eventually(&what, soon, async || {
                let heard: BTreeSet<_> = lock(&node.heard.0).iter().copied().collect();
                let meant = |said: &&Said| {
                    let (from, number) = **said;
                    from != n && number > node.since.get(from).copied().unwrap_or(0)
                };
                confirmed
                    .iter()
                    .filter(meant)
                    .all(|said| heard.contains(said))
                    .then_some(())
            })
            .await;
            let heard = lock(&node.heard.0).clone();
            for from in 0..self.nodes.len() {
                let of = heard.iter().filter(|(by, _)| *by == from);
                let of: Vec<_> = of.map(|(_, number)| *number).collect();
                let rising = of.windows(2).all(|pair| pair[0] < pair[1]);
                assert!(rising, "node {n} heard node {from} say {of:?}");
            }
        }
    }

    pub(crate) fn nothing_refused_was_heard(&self) {
        let outcomes = lock(&self.outcomes);
        for node in &self.nodes {
            for said in lock(&node.heard.0).iter() {
                assert_eq!(outcomes.refused.get(said), None, "{said:?} was heard");
            }
        }
    }
}

async fn say(
    n: usize,
    node: &Talker,
    room: &RoomId,
    outcomes: &Mutex<Outcomes>,
) -> Result<(), String> {
    let number = node.said.fetch_add(1, Ordering::Relaxed) + 1;
    let message = Arc::new(Signal::Message {
        version: number,
        from: MemberId::new(&n.to_string()),
        to: None,
        topic: None,
        data: Json::empty_object(),
        attachments: vec![vec![7; 200].into()],
    });
    let outcome = node.bus.signals(room).deliver(&message).await;
    let outcome = outcome.map_err(|error| error.to_string());
    let mut outcomes = lock(outcomes);
    match &outcome {
        Ok(()) => {
            outcomes.confirmed.insert((n, number));
        }
        Err(why) => {
            outcomes.refused.insert((n, number), why.clone());
        }
    }
    outcome
}
