//! State of the probes of each server, driven by `now` alone.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{Health, connection::server::ServerId};

/// Interval of the probes of a server.
const PERIOD: Duration = Duration::from_secs(1);

/// Deadline for a probe to come back.
const DEADLINE: Duration = Duration::from_secs(2);

/// Poll interval for due and late probes.
pub(crate) const POLL: Duration = Duration::from_millis(250);

/// Number of consecutive failures after which the connection is considered dead.
const DEAF: u32 = 2;

/// State of a server that its probe needs.
#[derive(Debug, Clone)]
pub(crate) struct ProbedServer {
    pub(crate) server: ServerId,
    /// Probe channel in one of the server's slots.
    pub(crate) channel: Arc<str>,
    pub(crate) subscribed: bool,
    /// Reason why the server does not serve.
    pub(crate) trouble: Option<Arc<str>>,
    /// True if the last connection attempt failed.
    pub(crate) unreachable: bool,
}

/// Probe state by channel.
#[derive(Debug, Default)]
pub(crate) struct ProbeRounds {
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
pub(crate) struct DueProbes {
    pub(crate) send: Vec<(Arc<str>, u64)>,
    pub(crate) deaf: Vec<ServerId>,
    pub(crate) failed: u64,
}

impl ProbeRounds {
    /// Returns the probes to send and the failures since the last call.
    pub(crate) fn poll(&mut self, probed: &[ProbedServer], now: Instant) -> DueProbes {
        let current: HashSet<_> = probed.iter().map(|probed| &probed.channel).collect();
        self.rounds.retain(|channel, _| current.contains(channel));
        let mut due = DueProbes::default();
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
    pub(crate) fn returned(
        &mut self,
        channel: &str,
        payload: &[u8],
        now: Instant,
    ) -> Option<Duration> {
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
    pub(crate) fn refused(
        &mut self,
        server: &ServerId,
        channel: &str,
        number: u64,
        why: &str,
        now: Instant,
    ) -> u64 {
        match self.rounds.get_mut(channel) {
            Some(round) if round.sent.is_some_and(|(sent, _)| sent == number) => {
                round.sent = None;
                round.next = now + POLL;
                round.fail(server, why)
            }
            _ => 0,
        }
    }

    /// Returns the health of the plane, given the last known one.
    pub(crate) fn health(&self, known: &Health) -> Health {
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
pub(crate) const WAITING: &str = "no message has come back yet";

impl Round {
    /// Records a failure. Returns 1 if the previous outcome was no failure.
    fn fail(&mut self, server: &ServerId, why: &str) -> u64 {
        let new = !matches!(self.verdict, Some(Err(_)));
        self.verdict = Some(Err(server.attribute(why)));
        u64::from(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probed(server: ServerId, subscribed: bool, trouble: Option<&str>) -> ProbedServer {
        ProbedServer {
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
    fn plane_works_once_every_server_returned_a_probe() {
        let now = Instant::now();
        let mut rounds = ProbeRounds::default();
        let starting = Health::fails(WAITING);
        assert_eq!(rounds.health(&starting), starting);
        let servers = [ServerId::at("a", 1), ServerId::at("b", 2)];
        let all = servers.map(|server| probed(server, true, None));
        let due = rounds.poll(&all, now);
        assert_eq!(due.send.len(), 2);
        for (channel, number) in due.send {
            assert_eq!(rounds.health(&starting), starting);
            assert_eq!(rounds.returned(&channel, b"another", now), None);
            let took = rounds.returned(&channel, &number.to_be_bytes(), now + SECOND);
            assert_eq!(took, Some(SECOND));
        }
        assert_eq!(rounds.health(&starting), Health::Works);
        assert!(rounds.poll(&all, now).send.is_empty(), "one a second");
        assert_eq!(rounds.poll(&all, now + PERIOD).send.len(), 2);
    }

    #[test]
    fn deaf_server_is_named_with_its_error_and_reconnected() {
        let mut now = Instant::now();
        let mut rounds = ProbeRounds::default();
        let good = probed(ServerId::at("a", 1), true, None);
        let deaf = probed(ServerId::at("b", 2), true, None);
        // Only probes of the healthy server come back.
        let mut look = |probed: &[ProbedServer], now| {
            let due = rounds.poll(probed, now);
            for (channel, number) in &due.send {
                if *channel == good.channel {
                    rounds.returned(channel, &number.to_be_bytes(), now);
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
    fn unreachable_server_fails_at_once_and_lost_connection_by_the_deadline() {
        let now = Instant::now();
        let mut rounds = ProbeRounds::default();
        let mut one = probed(ServerId::Only, true, None);
        let due = rounds.poll(std::slice::from_ref(&one), now);
        let (channel, number) = due.send[0].clone();
        rounds.returned(&channel, &number.to_be_bytes(), now);
        one.subscribed = false;
        one.trouble = Some("connection refused".into());
        rounds.poll(std::slice::from_ref(&one), now);
        assert_eq!(rounds.health(&Health::Works), Health::Works);
        one.unreachable = true;
        rounds.poll(std::slice::from_ref(&one), now);
        let health = rounds.health(&Health::Works);
        assert_eq!(cause(&health), "connection refused");
    }

    #[test]
    fn rejected_probe_fails_with_the_reply() {
        let now = Instant::now();
        let mut rounds = ProbeRounds::default();
        let one = probed(ServerId::Only, true, None);
        let due = rounds.poll(std::slice::from_ref(&one), now);
        let (channel, number) = due.send[0].clone();
        assert_eq!(
            rounds.refused(&one.server, &channel, number, "NOPERM", now),
            1
        );
        assert_eq!(cause(&rounds.health(&Health::Works)), "NOPERM");
        assert_eq!(
            rounds
                .poll(std::slice::from_ref(&one), now + POLL)
                .send
                .len(),
            1
        );
    }
}
