//! Simulation of an outbox and the servers of a Redis Cluster: slots move, servers disagree, reply
//! with errors, or do not reply.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{sync::oneshot, time::Instant};
use weir_cluster::{BusError, Relayed};
use weir_protocol::{Chunk, TrackId};

use super::{
    lane_handle::LaneHandle,
    message::{OutboxMessage, PublishReply, REDIRECTS},
    outbox_core::Outbox,
};
use crate::{
    Health,
    bus::{
        envelope::MessageHead,
        topic::{ChannelKind, Topic},
    },
    connection::{
        cluster::{ClusterView, SlotMap},
        server::ServerId,
    },
};

const TOPICS: usize = 6;

/// Number of servers that ever own a slot, and of those at the start.
const SERVERS: usize = 6;
const AT_FIRST: usize = 3;

const STEPS: usize = 400;

fn server(number: usize) -> ServerId {
    ServerId::at("host", u16::try_from(number).expect("few"))
}

fn number_of(server: &ServerId) -> usize {
    match server {
        ServerId::At(_, port) => usize::from(*port),
        ServerId::Only => panic!("there is no such server in a cluster"),
    }
}

/// Number of a message among those of its topic.
type Number = u64;

/// Connection of a lane, with the batch in flight.
struct Connection {
    lane: LaneHandle,
    up: bool,
    sent: Vec<OutboxMessage>,
}

/// Servers, each with the owners that it believes in, and what they accepted.
struct Servers {
    believed: [[usize; TOPICS]; SERVERS],
    /// Accepted messages by topic, in order.
    accepted: [Vec<Number>; TOPICS],
    /// Number of redirections of each message.
    redirected: BTreeMap<(usize, Number), u8>,
    /// Signals that were refused or lost, and so may be accepted late or twice.
    retried: BTreeSet<(usize, Number)>,
}

/// Way in which a server answers a batch.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Replies,
    Refused(&'static str),
    /// The connection is lost, before or after the server executed the batch.
    Lost {
        executed: bool,
    },
}

impl Servers {
    /// Executes a message. Returns the reply.
    fn execute(&mut self, at: usize, topic: usize, number: Number) -> PublishReply {
        let owner = self.believed[at][topic];
        if owner == at {
            self.accepted[topic].push(number);
            return PublishReply::Nodes(1);
        }
        *self.redirected.entry((topic, number)).or_default() += 1;
        PublishReply::Moved(server(owner), "MOVED".into())
    }
}

struct Simulation {
    random: StdRng,
    outbox: Arc<Outbox>,
    topics: Vec<Arc<Topic>>,
    servers: Servers,
    /// Actual owner of each topic's slot.
    owners: [usize; TOPICS],
    connections: Vec<Connection>,
    put: [Number; TOPICS],
    refused: u64,
    /// Number of chunks with a reply that they are published.
    published: u64,
    waiting: Vec<oneshot::Receiver<Result<(), BusError>>>,
    resolved: u64,
    given_up: u64,
}

/// Returns the topic and the number of a message.
fn identity(topics: &[Arc<Topic>], message: &OutboxMessage) -> (usize, Number) {
    let mut written = Vec::new();
    message.write(&mut written);
    let tail: [u8; 8] = written[written.len() - 10..written.len() - 2]
        .try_into()
        .expect("eight bytes");
    let topic = topics
        .iter()
        .position(|topic| Arc::ptr_eq(topic, &message.topic));
    (topic.expect("a topic"), Number::from_be_bytes(tail))
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let owners = std::array::from_fn(|topic| topic % AT_FIRST);
        let topics = (0..TOPICS).map(|n| Topic::new(format!("{{room{n}}}"), ChannelKind::Sharded));
        let mut simulation = Self {
            random: StdRng::seed_from_u64(seed),
            outbox: Outbox::new(ChannelKind::Sharded),
            topics: topics.collect(),
            servers: Servers {
                believed: [owners; SERVERS],
                accepted: Default::default(),
                redirected: BTreeMap::new(),
                retried: BTreeSet::new(),
            },
            owners,
            connections: Vec::new(),
            put: [0; TOPICS],
            refused: 0,
            published: 0,
            waiting: Vec::new(),
            resolved: 0,
            given_up: 0,
        };
        simulation.show(owners);
        simulation
    }

    fn below(&mut self, end: usize) -> usize {
        self.random.random_range(0..end)
    }

    /// Reports owners to the outbox.
    fn show(&mut self, owners: [usize; TOPICS]) {
        let mut slots = SlotMap::default();
        for (topic, owner) in self.topics.iter().zip(owners) {
            slots.moved(topic.slot, server(owner));
        }
        let slots = Arc::new(slots);
        let unknown = None;
        self.outbox.set_view(&ClusterView { slots, unknown });
    }

    fn start_lanes(&mut self) {
        for lane in LaneHandle::start_all(&self.outbox) {
            let known = |one: &Connection| one.lane.server() == lane.server();
            assert!(
                !self.connections.iter().any(known),
                "two tasks for one lane"
            );
            let (up, sent) = (false, Vec::new());
            self.connections.push(Connection { lane, up, sent });
        }
    }

    fn put(&mut self) {
        let topic = self.below(TOPICS);
        self.put[topic] += 1;
        let payload = Bytes::copy_from_slice(&self.put[topic].to_be_bytes());
        let name = Arc::clone(&self.topics[topic]);
        let (mut message, waiting) = if self.random.random_bool(0.5) {
            let relayed = Relayed {
                chunk: Chunk {
                    track: TrackId(1),
                    seq: 1,
                    ts: 0,
                    key: true,
                    dur: None,
                    payload,
                },
                counts_as_key: true,
                trace: None,
            };
            let chunk = OutboxMessage::chunk(name, MessageHead::default(), &relayed);
            (chunk, None)
        } else {
            let (signal, waiting) = OutboxMessage::awaited(name, payload);
            (signal, Some(waiting))
        };
        if self.random.random_bool(0.05) {
            // Its deadline passes in the queue.
            message.at = Instant::now()
                .checked_sub(Duration::from_secs(3))
                .expect("later");
        }
        match self.outbox.put(message) {
            Ok(()) => self.waiting.extend(waiting),
            Err(_) => self.refused += 1,
        }
    }

    /// Sends the next batch of a connection, if one is due.
    fn send(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        if !connection.up || !connection.sent.is_empty() {
            return;
        }
        match connection.lane.due().now_or_never() {
            Some(false) => drop(self.connections.swap_remove(at)),
            // Signals to retry may be due, whatever the timer says.
            Some(true) | None => connection.sent = connection.lane.batch(),
        }
    }

    /// Answers the batch in flight of a connection.
    fn answer(&mut self, at: usize, answer: Answer) {
        let Self {
            connections,
            servers,
            topics,
            ..
        } = self;
        let connection = &mut connections[at];
        let place = number_of(connection.lane.server());
        let sent = std::mem::take(&mut connection.sent);
        let replies: Vec<_> = sent
            .iter()
            .map(|message| {
                let (topic, number) = identity(topics, message);
                let reply = match answer {
                    Answer::Replies | Answer::Lost { executed: true } => {
                        servers.execute(place, topic, number)
                    }
                    Answer::Lost { executed: false } => PublishReply::Lost,
                    Answer::Refused(text) => PublishReply::Refused(text.into()),
                };
                let lost = matches!(answer, Answer::Lost { .. });
                let reply = if lost { PublishReply::Lost } else { reply };
                match &reply {
                    PublishReply::Nodes(_) if !message.is_signal() => self.published += 1,
                    PublishReply::Nodes(_) => {}
                    PublishReply::Moved(..)
                        if servers.redirected[&(topic, number)] <= REDIRECTS => {}
                    PublishReply::Moved(..) => {
                        // A signal is retried after a pause, a chunk is dropped.
                        let last = servers.redirected[&(topic, number)] == REDIRECTS + 1;
                        assert!(last || message.is_signal(), "it was redirected again");
                        servers.retried.insert((topic, number));
                    }
                    _ => {
                        servers.retried.insert((topic, number));
                    }
                }
                reply
            })
            .collect();
        if !sent.is_empty() {
            connection.lane.answered(sent, &replies);
        }
        if matches!(answer, Answer::Lost { .. }) {
            connection.lane.set_health(&Health::fails("lost"));
            connection.lane.expire();
            connection.up = false;
        }
    }

    fn random_answer(&mut self) -> Answer {
        match self.below(20) {
            0 => Answer::Refused("LOADING Redis is loading"),
            1 => Answer::Refused("OOM out of memory"),
            2 => Answer::Lost { executed: true },
            3 => Answer::Lost { executed: false },
            _ => Answer::Replies,
        }
    }

    /// Connects, or finds that the connection is not needed any more.
    fn connect(&mut self, at: usize) {
        if self.connections[at].up {
            return;
        }
        if self.connections[at].lane.is_needed() {
            self.connections[at].lane.set_health(&Health::Works);
            self.connections[at].up = true;
        } else {
            self.connections.swap_remove(at);
        }
    }

    fn step(&mut self) {
        let count = self.connections.len();
        match self.below(12) {
            0..4 => self.put(),
            4..6 if count > 0 => {
                let at = self.below(count);
                self.send(at);
            }
            6..8 if count > 0 => {
                let (at, answer) = (self.below(count), self.random_answer());
                self.answer(at, answer);
            }
            8 if count > 0 => {
                let at = self.below(count);
                self.connect(at);
            }
            9 => {
                // A slot moves, of which only some servers know yet.
                let (topic, owner) = (self.below(TOPICS), self.below(SERVERS));
                self.owners[topic] = owner;
                let knows = self.below(SERVERS);
                self.servers.believed[knows][topic] = owner;
            }
            10 => {
                let knows = self.below(SERVERS);
                self.servers.believed[knows] = self.owners;
            }
            11 => {
                // The reply of any server, which may be outdated.
                let asked = self.below(SERVERS);
                self.show(self.servers.believed[asked]);
            }
            _ => {}
        }
        self.start_lanes();
    }

    /// Ends all faults, and publishes what is queued.
    fn recover(&mut self) {
        self.servers.believed = [self.owners; SERVERS];
        self.show(self.owners);
        for _ in 0..20 {
            self.start_lanes();
            for at in (0..self.connections.len()).rev() {
                self.connect(at);
            }
            for at in (0..self.connections.len()).rev() {
                self.send(at);
            }
            for at in 0..self.connections.len() {
                self.answer(at, Answer::Replies);
                // Retries at once.
                self.connections[at].lane.set_health(&Health::Works);
            }
        }
    }

    fn check(&mut self) {
        for (topic, accepted) in self.servers.accepted.iter().enumerate() {
            let on_time = accepted
                .iter()
                .filter(|number| !self.servers.retried.contains(&(topic, **number)));
            let on_time: Vec<_> = on_time.collect();
            let rising = on_time.windows(2).all(|pair| pair[0] < pair[1]);
            assert!(rising, "topic {topic} was published as {accepted:?}");
        }
        for mut waiting in self.waiting.drain(..) {
            match waiting.try_recv().expect("every signal has an outcome") {
                Ok(()) => self.resolved += 1,
                Err(_) => self.given_up += 1,
            }
        }
        let samples = self.outbox.samples();
        let dropped = |reason: &'static str| {
            let sample = samples.iter().find(|sample| {
                sample.metric == "weir.bus.dropped" && sample.attributes == [("reason", reason)]
            });
            sample.expect("a reason").value as u64
        };
        let (old, lost, rejected) = (dropped("old"), dropped("lost"), dropped("rejected"));
        assert_eq!(dropped("unavailable") + dropped("full"), self.refused);
        assert!(old + rejected >= self.given_up);
        let put = self.put.iter().sum::<Number>();
        assert_eq!(
            put,
            self.refused + self.published + self.resolved + old + lost + rejected,
            "each message ends once"
        );
        for name in ["weir.bus.outbox.size", "weir.bus.outbox.messages"] {
            let sample = samples.iter().find(|sample| sample.metric == name);
            assert_eq!(sample.expect("a sample").value as u64, 0, "{name}");
        }
        let owning: BTreeSet<_> = self.owners.into_iter().collect();
        let served = self.connections.iter();
        let served: BTreeSet<_> = served.map(|one| number_of(one.lane.server())).collect();
        assert_eq!(served, owning, "each owner has a task, and nobody else");
    }
}

#[tokio::test]
async fn messages_keep_their_order_and_end_once_while_slots_move() {
    for seed in 0..50 {
        println!("seed {seed}");
        let mut simulation = Simulation::new(seed);
        for _ in 0..STEPS {
            simulation.step();
        }
        simulation.recover();
        simulation.check();
    }
}
