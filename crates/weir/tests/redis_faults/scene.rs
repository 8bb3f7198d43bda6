//! Rooms with a member on each of three nodes, and a check of the nodes' readiness.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};
use weir_testkit::{ServerProcess, eventually};

use super::{
    common::{cluster, get},
    participant::{LONG, Participant},
};

/// Maximum recovery time after a fault.
const HEARD: Duration = Duration::from_secs(3);

/// Maximum time that a node may stay ready while one of its members hears nobody.
const DEAF: Duration = Duration::from_secs(5);

const NODES: usize = 3;

pub(crate) struct Scene {
    /// Members by room, then by node.
    rooms: Vec<Vec<Arc<Participant>>>,
    watching: JoinHandle<()>,
    /// Nodes that stayed ready while deaf, and for how long.
    wrong: Arc<Mutex<Vec<(usize, Duration)>>>,
    _nodes: Vec<ServerProcess>,
}

impl Scene {
    pub(crate) async fn start(redis: &str, names: &[String]) -> Self {
        let nodes = cluster(redis, NODES, &[]).await;
        let mut rooms = Vec::new();
        for name in names {
            let mut members = Vec::new();
            for (number, node) in nodes.iter().enumerate() {
                members.push(Arc::new(Participant::start(node, number, name).await));
            }
            rooms.push(members);
        }
        let wrong = Arc::new(Mutex::new(Vec::new()));
        let operations = nodes.iter().map(|node| node.ops_listen().expect("it says"));
        let watching = tokio::spawn(watch(
            operations.collect(),
            rooms.iter().flatten().cloned().collect(),
            Arc::clone(&wrong),
        ));
        let scene = Self {
            rooms,
            watching,
            wrong,
            _nodes: nodes,
        };
        scene
            .until_heard("everybody hears everybody at first", LONG)
            .await;
        for member in scene.rooms.iter().flatten() {
            member.begin();
        }
        scene
    }

    /// Waits until every member has received new messages and media of every other member of its
    /// room. Asserts that this takes less than `HEARD`.
    pub(crate) async fn until_everybody_hears(&self, what: &str) {
        let begun = Instant::now();
        self.until_heard(what, LONG).await;
        let took = begun.elapsed();
        println!("{what}: everybody hears everybody after {took:?}");
        assert!(took < HEARD, "{what}: {took:?}");
    }

    async fn until_heard(&self, what: &str, deadline: Duration) {
        let begun = Instant::now();
        for members in &self.rooms {
            let next: Vec<_> = members.iter().map(|member| member.heard().next).collect();
            for member in members {
                for (other, first) in members.iter().zip(&next) {
                    if Arc::ptr_eq(member, other) {
                        continue;
                    }
                    let label = format!(
                        "{what}: node {} hears node {} of {}",
                        member.node, other.node, other.id
                    );
                    eventually(&label, deadline, async || {
                        assert!(member.lives() && other.lives(), "their connections stay");
                        let heard = member.heard();
                        let chunk = heard.chunks.get(&other.track);
                        let chunk = chunk.is_some_and(|at| *at > begun);
                        let messages = heard.messages.get(&other.id);
                        let last = messages.and_then(|numbers| numbers.last());
                        (chunk && last.is_some_and(|last| last >= first)).then_some(())
                    })
                    .await;
                }
            }
        }
    }

    /// Asserts that each acknowledged message arrived exactly once, and that no node stayed ready
    /// for long while it was deaf.
    pub(crate) async fn end(self) {
        let (mut sent, mut refused) = (0, 0);
        for members in &self.rooms {
            for sender in members {
                let numbers = sender.sent_to_all();
                sent += numbers.len();
                refused += sender.heard().refused;
                for member in members {
                    if !Arc::ptr_eq(member, sender) {
                        member.until_it_has(sender, &numbers).await;
                    }
                }
            }
        }
        println!("{sent} messages were answered ok, {refused} refused");
        let wrong = self.wrong.lock().expect("nobody panicked").clone();
        assert!(wrong.is_empty(), "ready while deaf, by node: {wrong:?}");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// Compares the nodes' readiness with what their members receive.
async fn watch(
    operations: Vec<std::net::SocketAddr>,
    members: Vec<Arc<Participant>>,
    wrong: Arc<Mutex<Vec<(usize, Duration)>>>,
) {
    let mut looks = interval(Duration::from_millis(200));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Per member, the start of the time in which it hears nobody although its node is ready.
    let mut since: Vec<_> = members.iter().map(|_| Instant::now()).collect();
    loop {
        looks.tick().await;
        for (number, operations) in operations.iter().enumerate() {
            let ready = get(*operations, "/readyz")
                .await
                .starts_with("HTTP/1.1 200");
            for (member, since) in members.iter().zip(&mut since) {
                if member.node != number {
                    continue;
                }
                let last = member.heard().last.unwrap_or(*since);
                if !ready {
                    *since = Instant::now();
                }
                *since = (*since).max(last);
                if since.elapsed() > DEAF {
                    let mut wrong = wrong.lock().expect("nobody panicked");
                    wrong.push((number, since.elapsed()));
                }
            }
        }
    }
}
