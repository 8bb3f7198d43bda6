//! End-to-end health check: the messages that a node publishes to itself must come back on every
//! server.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::{info, warn};
use weir_cluster::Sample;

use super::{Shared, slots::Server};
use crate::Health;

/// Interval of the probes of a server.
const PERIOD: Duration = Duration::from_secs(1);

/// Deadline for a probe to come back.
const DEADLINE: Duration = Duration::from_secs(2);

/// Poll interval for due and late probes.
const LOOK: Duration = Duration::from_millis(250);

/// Number of consecutive failures after which the connection is considered dead.
const DEAF: u32 = 2;

/// Function that publishes a probe on a channel, with the cause of a failure as its error.
pub(crate) type Publish =
    Arc<dyn Fn(Arc<str>, Bytes) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// State of a server that its probe needs.
#[derive(Debug, Clone)]
pub(super) struct Probed {
    pub(super) server: Server,
    /// Probe channel in one of the server's slots.
    pub(super) channel: Arc<str>,
    pub(super) subscribed: bool,
    /// Reason why the server does not serve.
    pub(super) trouble: Option<Arc<str>>,
    /// True if the last connection attempt failed.
    pub(super) unreachable: bool,
}

/// Probes of a plane.
#[derive(Debug)]
pub(super) struct Probe {
    rounds: Mutex<Rounds>,
    health: watch::Sender<Health>,
    /// Notified when the state may change before the next poll.
    pub(super) nudge: Notify,
    heard: AtomicU64,
    failed: AtomicU64,
    round_trip_micros: AtomicU64,
}

/// Probe state by channel. Driven by `now` alone.
#[derive(Debug, Default)]
struct Rounds {
    number: u64,
    rounds: HashMap<Arc<str>, Round>,
}

#[derive(Debug)]
struct Round {
    /// Sequence number and send time of the probe in flight.
    sent: Option<(u64, Instant)>,
    /// Time of the next probe.
    next: Instant,
    /// Time since which its channel is not subscribed.
    unsubscribed: Option<Instant>,
    /// Outcome of the last probe.
    verdict: Option<Result<(), Arc<str>>>,
    failures: u32,
}

/// Actions that are due.
#[derive(Debug, Default)]
struct Due {
    send: Vec<(Arc<str>, u64)>,
    deaf: Vec<Server>,
    failed: u64,
}

impl Rounds {
    fn look(&mut self, probed: &[Probed], now: Instant) -> Due {
        let current: HashSet<_> = probed.iter().map(|probed| &probed.channel).collect();
        self.rounds.retain(|channel, _| current.contains(channel));
        let mut due = Due::default();
        for probed in probed {
            let channel = Arc::clone(&probed.channel);
            let round = self.rounds.entry(channel).or_insert_with(|| Round {
                sent: None,
                next: now,
                unsubscribed: None,
                verdict: None,
                failures: 0,
            });
            if let Some((_, at)) = round.sent
                && now >= at + DEADLINE
            {
                round.sent = None;
                round.failures += 1;
                let why = || {
                    let seconds = DEADLINE.as_secs();
                    format!("no message came back within {seconds} s").into()
                };
                let why = probed.trouble.clone().unwrap_or_else(why);
                due.failed += round.fail(&probed.server, &why);
                if round.failures >= DEAF {
                    round.failures = 0;
                    due.deaf.push(probed.server.clone());
                }
            }
            if probed.subscribed && !probed.unreachable {
                round.unsubscribed = None;
                if round.sent.is_none() && now >= round.next {
                    self.number += 1;
                    round.sent = Some((self.number, now));
                    round.next = now + PERIOD;
                    due.send.push((Arc::clone(&probed.channel), self.number));
                }
            } else {
                let since = *round.unsubscribed.get_or_insert(now);
                if probed.unreachable || now >= since + DEADLINE {
                    let why = || "the subscription is not confirmed".into();
                    let why = probed.trouble.clone().unwrap_or_else(why);
                    due.failed += round.fail(&probed.server, &why);
                    round.sent = None;
                }
            }
        }
        due
    }

    /// Records a probe that came back, and returns its round-trip time.
    fn heard(&mut self, channel: &str, payload: &[u8], now: Instant) -> Option<Duration> {
        let round = self.rounds.get_mut(channel)?;
        let (number, at) = round.sent?;
        if payload != number.to_be_bytes() {
            return None;
        }
        round.sent = None;
        round.failures = 0;
        round.verdict = Some(Ok(()));
        Some(now - at)
    }

    /// Records a probe that could not be published. Returns 1 if the previous outcome was no
    /// failure.
    fn refused(
        &mut self,
        server: &Server,
        channel: &str,
        number: u64,
        why: &str,
        now: Instant,
    ) -> u64 {
        match self.rounds.get_mut(channel) {
            Some(round) if round.sent.is_some_and(|(sent, _)| sent == number) => {
                round.sent = None;
                round.next = now + LOOK;
                round.fail(server, why)
            }
            _ => 0,
        }
    }

    fn health(&self, known: &Health) -> Health {
        let verdicts = || self.rounds.values().map(|round| &round.verdict);
        let failed = verdicts().find_map(|verdict| match verdict {
            Some(Err(why)) => Some(Arc::clone(why)),
            _ => None,
        });
        if let Some(why) = failed {
            return Health::Fails(why);
        }
        let all = !self.rounds.is_empty() && verdicts().all(Option::is_some);
        match known {
            // A new server does not fail a working plane before its first outcome.
            Health::Works if !self.rounds.is_empty() => Health::Works,
            _ if all => Health::Works,
            _ => Health::fails(WAITING),
        }
    }
}

/// Cause reported by a new node before its first probes come back.
const WAITING: &str = "no message has come back yet";

impl Round {
    /// Records a failure. Returns 1 if the previous outcome was no failure.
    fn fail(&mut self, server: &Server, why: &str) -> u64 {
        let why = match server {
            Server::Only => why.to_owned(),
            Server::At(..) => format!("{server}: {why}"),
        };
        let new = !matches!(self.verdict, Some(Err(_)));
        self.verdict = Some(Err(why.into()));
        u64::from(new)
    }
}

impl Probe {
    pub(super) fn new() -> Self {
        Self {
            rounds: Mutex::default(),
            health: watch::channel(Health::fails(WAITING)).0,
            nudge: Notify::new(),
            heard: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            round_trip_micros: AtomicU64::new(0),
        }
    }

    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Processes a message that may be a probe of this node.
    pub(super) fn heard(&self, channel: &str, payload: &[u8]) {
        let took = self.rounds().heard(channel, payload, Instant::now());
        if let Some(took) = took {
            self.heard.fetch_add(1, Ordering::Relaxed);
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            self.round_trip_micros.store(micros, Ordering::Relaxed);
            if !self.health.borrow().works() {
                self.nudge.notify_one();
            }
        }
    }

    /// Returns metrics: probes by outcome, and the last round-trip time.
    pub(super) fn samples(&self, plane: &'static str) -> [Sample; 3] {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (heard, failed) = (value(&self.heard), value(&self.failed));
        let took = Duration::from_micros(value(&self.round_trip_micros));
        let plane = ("plane", plane);
        let of = |outcome, count| {
            Sample::new("weir.redis.probes", &[plane, ("outcome", outcome)], count)
        };
        [
            of("heard", heard),
            of("failed", failed),
            Sample::seconds("weir.redis.probe.round_trip", &[plane], took),
        ]
    }
}

/// Outcome of publishing a probe.
type Published = (Server, Arc<str>, u64, Result<(), String>);

/// Publishes probes and updates the health from them, for as long as it is polled.
pub(super) async fn keep(plane: &'static str, shared: Arc<Shared>, publish: Publish) {
    let probe = &shared.probe;
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut publishing = FuturesUnordered::<BoxFuture<'static, Published>>::new();
    loop {
        tokio::select! {
            // Publication outcomes first: the poll evaluates them.
            biased;
            Some((server, channel, number, published)) = publishing.next() => {
                if let Err(why) = published {
                    let (mut rounds, now) = (probe.rounds(), Instant::now());
                    let failed = rounds.refused(&server, &channel, number, &why, now);
                    probe.failed.fetch_add(failed, Ordering::Relaxed);
                }
            }
            () = probe.nudge.notified() => {}
            _ = looks.tick() => {}
        }
        let probed = shared.channels().probed();
        let due = probe.rounds().look(&probed, Instant::now());
        probe.failed.fetch_add(due.failed, Ordering::Relaxed);
        for server in &due.deaf {
            shared.channels().deafen(server);
        }
        for (channel, number) in due.send {
            let server = probed.iter().find(|probed| probed.channel == channel);
            let server = server.map_or(Server::Only, |probed| probed.server.clone());
            let payload = Bytes::copy_from_slice(&number.to_be_bytes());
            let published = publish(Arc::clone(&channel), payload);
            publishing.push(async move { (server, channel, number, published.await) }.boxed());
        }
        let unknown = shared.channels().unknown();
        let health = match unknown {
            Some(why) if probed.is_empty() => Health::Fails(why),
            _ => probe.rounds().health(&probe.health.borrow()),
        };
        probe.health.send_if_modified(|known| {
            let changed = *known != health;
            match (&*known, &health) {
                (Health::Works, Health::Fails(cause)) => {
                    warn!(plane, %cause, "Redis: what this node publishes does not come back");
                }
                (Health::Fails(_), Health::Works) => {
                    info!(plane, "Redis: what this node publishes comes back");
                }
                _ => {}
            }
            *known = health;
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probed(server: Server, subscribed: bool, trouble: Option<&str>) -> Probed {
        Probed {
            channel: format!("probe of {server}").into(),
            server,
            subscribed,
            trouble: trouble.map(Into::into),
            unreachable: false,
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn cause(health: &Health) -> &str {
        health.cause().expect("it fails")
    }

    #[test]
    fn a_plane_works_once_each_server_has_sent_a_message_back() {
        let now = Instant::now();
        let mut rounds = Rounds::default();
        let starting = Health::fails(WAITING);
        assert_eq!(rounds.health(&starting), starting);
        let servers = [Server::at("a", 1), Server::at("b", 2)];
        let all = servers.map(|server| probed(server, true, None));
        let due = rounds.look(&all, now);
        assert_eq!(due.send.len(), 2);
        for (channel, number) in due.send {
            assert_eq!(rounds.health(&starting), starting);
            assert_eq!(rounds.heard(&channel, b"another", now), None);
            let took = rounds.heard(&channel, &number.to_be_bytes(), now + SECOND);
            assert_eq!(took, Some(SECOND));
        }
        assert_eq!(rounds.health(&starting), Health::Works);
        assert!(rounds.look(&all, now).send.is_empty(), "one a second");
        assert_eq!(rounds.look(&all, now + PERIOD).send.len(), 2);
    }

    #[test]
    fn one_deaf_server_is_named_with_what_it_said_and_then_connected_to_again() {
        let mut now = Instant::now();
        let mut rounds = Rounds::default();
        let good = probed(Server::at("a", 1), true, None);
        let deaf = probed(Server::at("b", 2), true, None);
        // Only probes of the healthy server come back.
        let mut look = |probed: &[Probed], now| {
            let due = rounds.look(probed, now);
            for (channel, number) in &due.send {
                if *channel == good.channel {
                    rounds.heard(channel, &number.to_be_bytes(), now);
                }
            }
            (due, rounds.health(&Health::Works))
        };
        let (mut failures, mut given_up) = (0, Vec::new());
        let mut health = Health::Works;
        for _ in 0..6 {
            let (due, now_known) = look(&[good.clone(), deaf.clone()], now);
            failures += due.failed;
            given_up.extend(due.deaf);
            health = now_known;
            now += SECOND;
        }
        assert_eq!(cause(&health), "b:2: no message came back within 2 s");
        assert_eq!(failures, 1, "it failed once, and then still");
        assert_eq!(given_up, std::slice::from_ref(&deaf.server));
        let refused = probed(deaf.server, false, Some("NOPERM no channels"));
        look(&[good.clone(), refused.clone()], now);
        let (_, health) = look(&[good.clone(), refused], now + DEADLINE);
        assert_eq!(cause(&health), "b:2: NOPERM no channels");
        // The server has left the cluster.
        let (_, health) = look(std::slice::from_ref(&good), now + DEADLINE);
        assert_eq!(health, Health::Works);
    }

    #[test]
    fn a_server_that_cannot_be_reached_fails_at_once_and_a_lost_connection_by_the_deadline() {
        let now = Instant::now();
        let mut rounds = Rounds::default();
        let mut one = probed(Server::Only, true, None);
        let due = rounds.look(std::slice::from_ref(&one), now);
        let (channel, number) = due.send[0].clone();
        rounds.heard(&channel, &number.to_be_bytes(), now);
        one.subscribed = false;
        one.trouble = Some("connection refused".into());
        rounds.look(std::slice::from_ref(&one), now);
        assert_eq!(rounds.health(&Health::Works), Health::Works);
        one.unreachable = true;
        rounds.look(std::slice::from_ref(&one), now);
        let health = rounds.health(&Health::Works);
        assert_eq!(cause(&health), "connection refused");
    }

    #[test]
    fn what_cannot_be_published_fails_with_what_was_answered() {
        let now = Instant::now();
        let mut rounds = Rounds::default();
        let one = probed(Server::Only, true, None);
        let due = rounds.look(std::slice::from_ref(&one), now);
        let (channel, number) = due.send[0].clone();
        assert_eq!(
            rounds.refused(&one.server, &channel, number, "NOPERM", now),
            1
        );
        assert_eq!(cause(&rounds.health(&Health::Works)), "NOPERM");
        assert_eq!(
            rounds
                .look(std::slice::from_ref(&one), now + LOOK)
                .send
                .len(),
            1
        );
    }
}
