//! Simulation of nodes whose channel loses, repeats, delays and rejects signals.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};
use weir_protocol::RoomId;

use super::{
    Note,
    received::{ReceivedSignals, Step},
    retained::{Retained, RetainedPlace},
    wire,
};
use crate::bus::envelope::{self, Origin, SIGNAL};

const STEP: Duration = Duration::from_millis(10);

/// Duration of sending and faults, and of the recovery that follows.
const TALK: Duration = Duration::from_secs(20);
const REST: Duration = Duration::from_secs(25);

/// Deadline and retry interval of the outbox.
const DEADLINE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

const NODES: usize = 4;

/// Time at which the last node joins.
const LATE: Duration = Duration::from_secs(8);

/// Probabilities of an interrupted subscription, and of each publication fault, in thousandths.
#[derive(Debug, Clone, Copy)]
struct Faults {
    interrupted: u32,
    refused: u32,
    /// Redis publishes, but its answer is lost.
    unanswered: u32,
    /// Redis publishes seconds later, after the sender has given up.
    stalled: u32,
}

/// Identity of a sent signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    origin: Origin,
    number: u64,
}

struct Node {
    origin: Origin,
    retained: Retained,
    received: ReceivedSignals,
    since: Duration,
    outbox: VecDeque<Waiting>,
    /// End of the current interruption of the subscription.
    deaf_until: Option<Duration>,
    /// Clock offset, in milliseconds.
    skew: u64,
    said: u64,
    heard: Vec<Said>,
}

struct Waiting {
    note: Note,
    place: Option<(RetainedPlace, Said)>,
    since: Duration,
    at: Duration,
}

struct World {
    random: StdRng,
    faults: Faults,
    now: Duration,
    room: RoomId,
    nodes: Vec<Node>,
    stalled: BTreeMap<Duration, Vec<(Origin, Note)>>,
    /// Times of sending and of acknowledgement, by signal.
    confirmed: BTreeMap<Said, (Duration, Duration)>,
    all: BTreeMap<Said, Duration>,
}

impl World {
    fn new(seed: u64, faults: Faults) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let nodes = (1..=NODES).map(|n| {
            let origin = n as Origin;
            Node {
                origin,
                retained: Retained::default(),
                received: ReceivedSignals::new(origin),
                since: if n == NODES { LATE } else { Duration::ZERO },
                outbox: VecDeque::new(),
                deaf_until: None,
                skew: random.random_range(0..20_000),
                said: 0,
                heard: Vec::new(),
            }
        });
        Self {
            nodes: nodes.collect(),
            random,
            faults,
            now: Duration::ZERO,
            room: RoomId::made("room"),
            stalled: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            all: BTreeMap::new(),
        }
    }

    fn chance(&mut self, thousandths: u32) -> bool {
        self.now < TALK && self.random.random_range(0..1_000) < thousandths
    }

    fn clock(&self, node: usize) -> u64 {
        u64::try_from(self.now.as_millis()).expect("a short time") + self.nodes[node].skew
    }

    fn say(&mut self, node: usize) {
        let (now, clock) = (self.now, self.clock(node));
        let node = &mut self.nodes[node];
        node.said += 1;
        let said = Said {
            origin: node.origin,
            number: node.said,
        };
        let body = Bytes::copy_from_slice(&said.number.to_be_bytes());
        let (place, note) = node.retained.number(&self.room, body, clock, now);
        node.outbox.push_back(Waiting {
            note,
            place: Some((place, said)),
            since: now,
            at: now,
        });
        self.all.insert(said, now);
    }

    fn put(&mut self, node: usize, note: Note) {
        let (since, at) = (self.now, self.now);
        self.nodes[node].outbox.push_back(Waiting {
            note,
            place: None,
            since,
            at,
        });
    }

    /// Delivers a note to every subscribed node.
    fn publish(&mut self, origin: Origin, note: &Note) {
        for n in 0..self.nodes.len() {
            let clock = self.clock(n);
            let now = self.now;
            let node = &mut self.nodes[n];
            if node.origin == origin || node.deaf_until.is_some() || now < node.since {
                continue;
            }
            let bytes = wire::encode(origin, note);
            let (sender, content) = envelope::open(SIGNAL, &bytes).expect("a signal");
            assert_eq!(sender, origin);
            let note = wire::decode(Bytes::copy_from_slice(content)).expect("a note");
            if let Note::Ask {
                to,
                listening,
                known,
            } = &note
            {
                if to.is_none_or(|to| to == node.origin) {
                    let (room, me) = (&self.room, node.origin);
                    node.retained
                        .asked(room, me, origin, *listening, known, now);
                }
                continue;
            }
            let step = node.received.receive(origin, note, now, clock);
            self.follow(n, Some(origin), step);
        }
    }

    fn follow(&mut self, n: usize, origin: Option<Origin>, step: Step) {
        for body in step.bodies {
            let number = u64::from_be_bytes(body[..].try_into().expect("a number"));
            // A tick does not know the origin, but it delivers signals only after a loss.
            let origin = origin.expect("a signal that came");
            self.nodes[n].heard.push(Said { origin, number });
        }
        for ask in step.asks {
            self.put(n, ask);
        }
    }

    /// Publishes the first due message of a node.
    fn flush(&mut self, n: usize) {
        let due = self.nodes[n]
            .outbox
            .iter()
            .position(|one| one.at <= self.now);
        let Some(first) = due else { return };
        let Some(mut waiting) = self.nodes[n].outbox.remove(first) else {
            return;
        };
        let (now, origin) = (self.now, self.nodes[n].origin);
        if now - waiting.since > DEADLINE {
            if let Some((place, _)) = waiting.place
                && let Some(void) = self.nodes[n].retained.settle(&place, false, now)
            {
                self.put(n, void);
            }
            return;
        }
        if self.chance(self.faults.refused) {
            waiting.at = now + PAUSE;
        } else if self.chance(self.faults.stalled) {
            let delay = Duration::from_millis(self.random.random_range(0..4_000));
            let stalled = self.stalled.entry(now + delay).or_default();
            stalled.push((origin, waiting.note.clone()));
            waiting.at = now + DEADLINE;
        } else {
            self.publish(origin, &waiting.note);
            if self.chance(self.faults.unanswered) {
                waiting.at = now + 4 * PAUSE;
            } else {
                if let Some((place, said)) = waiting.place {
                    self.nodes[n].retained.settle(&place, true, now);
                    self.confirmed.insert(said, (self.all[&said], now));
                }
                return;
            }
        }
        self.nodes[n].outbox.push_back(waiting);
    }

    fn step(&mut self) {
        self.now += STEP;
        let now = self.now;
        while let Some(entry) = self
            .stalled
            .first_entry()
            .filter(|entry| *entry.key() <= now)
        {
            for (origin, note) in entry.remove() {
                self.publish(origin, &note);
            }
        }
        for n in 0..self.nodes.len() {
            if now < self.nodes[n].since {
                continue;
            }
            self.nodes[n].received.listening(now);
            if self.nodes[n].deaf_until.is_some_and(|until| until <= now) {
                self.nodes[n].deaf_until = None;
                if let Some(ask) = self.nodes[n].received.resubscribed(now) {
                    self.put(n, ask);
                }
            } else if self.nodes[n].deaf_until.is_none() && self.chance(self.faults.interrupted) {
                let deaf = Duration::from_millis(self.random.random_range(20..800));
                self.nodes[n].deaf_until = Some(now + deaf);
            }
            if self.chance(30) {
                self.say(n);
            }
            for _ in 0..4 {
                self.flush(n);
            }
            for (_, note) in self.nodes[n].retained.due(now) {
                self.put(n, note);
            }
            let step = self.nodes[n].received.tick(now);
            self.follow(n, None, step);
        }
    }

    fn run(mut self) {
        while self.now < TALK + REST {
            self.step();
        }
        for node in &mut self.nodes {
            assert_eq!(node.received.take_lost(), 0, "node {}", node.origin);
            assert!(!node.received.is_missing(), "node {}", node.origin);
            let heard: BTreeSet<_> = node.heard.iter().copied().collect();
            assert_eq!(heard.len(), node.heard.len(), "something was told twice");
            for origin in 1..=NODES as Origin {
                let of: Vec<_> = node
                    .heard
                    .iter()
                    .filter(|said| said.origin == origin)
                    .collect();
                assert!(of.is_sorted(), "out of order: {of:?}");
            }
            // Signals confirmed before the node joined are not for it. A signal still being retried
            // then is allowed, with its successors.
            let before = |said: &Said| self.confirmed.get(said).map(|(_, at)| *at);
            let old = heard
                .iter()
                .find(|said| before(said).is_some_and(|at| at + DEADLINE < node.since));
            assert_eq!(
                old, None,
                "node {} heard what was said before it came",
                node.origin
            );
            // A request that waits for Redis may be slightly too late for signals sent at the time
            // of joining.
            let sure = node.since + DEADLINE;
            let missing = self.confirmed.iter().find(|(said, (at, _))| {
                said.origin != node.origin && *at >= sure && !heard.contains(said)
            });
            assert_eq!(missing, None, "node {} misses it", node.origin);
        }
        assert!(!self.confirmed.is_empty());
    }
}

/// Runs a range of seeds. A failure prints the seed that reproduces it.
fn run(seeds: std::ops::Range<u64>, faults: Faults) {
    for seed in seeds {
        println!("seed {seed} with {faults:?}");
        World::new(seed, faults).run();
    }
}

const NONE: Faults = Faults {
    interrupted: 0,
    refused: 0,
    unanswered: 0,
    stalled: 0,
};

#[test]
fn interrupted_subscriptions_lose_nothing() {
    let interrupted = 10;
    run(
        0..20,
        Faults {
            interrupted,
            ..NONE
        },
    );
}

#[test]
fn rejections_and_lost_replies_lose_and_repeat_nothing() {
    let (refused, unanswered) = (300, 100);
    let faults = Faults {
        refused,
        unanswered,
        ..NONE
    };
    run(100..120, faults);
}

#[test]
fn combined_faults_lose_and_repeat_nothing() {
    let faults = Faults {
        interrupted: 10,
        refused: 200,
        unanswered: 50,
        stalled: 20,
    };
    run(200..230, faults);
}
