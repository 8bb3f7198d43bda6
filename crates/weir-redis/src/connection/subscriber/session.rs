//! Connection to one server: subscribes to the channels that the server owns, and reconnects after
//! a loss.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use redis::{PushKind, Value, cmd};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use super::state::{Interruption, SubscriberState};
use crate::{
    Target,
    connection::{
        backoff::{back_off, log_failure},
        failure::Refusal,
        server::ServerId,
        wire::{ConnectionError, RespConnection, hello, is_replica},
    },
};

/// Maximum number of channels per batch, before its replies are awaited.
const BATCH: usize = 1_000;

/// Number of channels per `SUBSCRIBE` command, outside of a Redis Cluster.
const PER_COMMAND: usize = 250;

/// Interval of heartbeats, which distinguish a dead peer from an idle one.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Deadline for the replies to a batch.
const ANSWER: Duration = Duration::from_secs(2);

/// Minimum lifetime of a connection that is reopened without backoff.
const LASTING: Duration = Duration::from_millis(500);

/// Retry interval of requests that only an operator can make succeed.
const FOR_OPERATORS: Duration = Duration::from_secs(2);

/// Maintains the connection to a server, for as long as it is polled.
pub(super) async fn run(target: Target, server: ServerId, state: Arc<SubscriberState>) {
    let mut attempt = 0;
    loop {
        let mut session = match ServerSession::open(&target, &server, &state).await {
            Ok(session) => session,
            Err(error) => {
                state.down(&server, &error, true);
                log_failure(attempt, "cannot subscribe", &target, &error);
                pause(&error, &mut attempt).await;
                continue;
            }
        };
        let trouble = session.serve(&mut attempt).await;
        state.count_lost(match trouble {
            ConnectionError::Demoted => Interruption::Role,
            ConnectionError::Deaf => Interruption::Deaf,
            _ => Interruption::Connection,
        });
        state.down(&server, &trouble, trouble.needs_operator());
        warn!(redis = %target, %server, %trouble, "subscriptions are lost; connecting again");
        // A connection that served for a while is reopened at once; further attempts back off.
        if session.opened.elapsed() < LASTING || trouble.needs_operator() {
            pause(&trouble, &mut attempt).await;
        }
    }
}

async fn pause(trouble: &ConnectionError, attempt: &mut u32) {
    if trouble.needs_operator() {
        // No event signals the changed permission.
        #[allow(clippy::disallowed_methods)]
        tokio::time::sleep(FOR_OPERATORS).await;
    } else {
        back_off(attempt).await;
    }
}

/// Open connection to a server.
struct ServerSession<'a> {
    target: &'a Target,
    server: &'a ServerId,
    state: &'a Arc<SubscriberState>,
    wire: RespConnection,
    opened: Instant,
    /// True if the server was a replica at the last heartbeat.
    replica: bool,
    /// Pending check, while the server is a replica, whether its address now leads to a primary.
    other: Option<BoxFuture<'a, bool>>,
    /// Batch in flight.
    sent: Option<Sent>,
    next_heartbeat: Instant,
    /// Time of the next attempt after failed subscriptions.
    retry: Option<Instant>,
    failures: u32,
}

/// Batch of commands sent together, ending with `HELLO`. Redis answers `HELLO` in every state, and
/// only after the other commands.
struct Sent {
    begun: Vec<Arc<str>>,
    /// Number of commands that may be rejected.
    commands: usize,
    refusals: Vec<Refusal>,
    deadline: Instant,
    /// True if a lost subscription was restored.
    recovered: bool,
}

impl<'a> ServerSession<'a> {
    async fn open(
        target: &'a Target,
        server: &'a ServerId,
        state: &'a Arc<SubscriberState>,
    ) -> Result<Self, ConnectionError> {
        let (wire, replica) = RespConnection::open(target, server).await?;
        if replica && *server == ServerId::Only {
            warn!(redis = %target, "the server is a replica: what is published on it stays there");
        }
        Ok(Self {
            target,
            server,
            state,
            wire,
            opened: Instant::now(),
            replica,
            other: None,
            sent: None,
            next_heartbeat: Instant::now(),
            retry: None,
            failures: 0,
        })
    }

    /// Serves the connection until it is no longer usable.
    async fn serve(&mut self, attempt: &mut u32) -> ConnectionError {
        loop {
            let Some(wake) = self.state.channels.lock().wake(self.server) else {
                // The server owns no slots any more, so this task is about to be aborted.
                return ConnectionError::Unexpected;
            };
            if self.state.channels.lock().is_deaf(self.server) {
                return ConnectionError::Deaf;
            }
            self.send();
            let until = match &self.sent {
                Some(sent) => sent.deadline,
                None => self
                    .retry
                    .map_or(self.next_heartbeat, |retry| retry.min(self.next_heartbeat)),
            };
            let value = tokio::select! {
                // Replies count, however late they are read.
                biased;
                value = self.wire.next() => value.map_err(ConnectionError::from),
                () = wake.notified() => continue,
                primary = async { self.other.as_mut().expect("there is one").await }, if self.other.is_some() => {
                    if primary {
                        return ConnectionError::Demoted;
                    }
                    self.other = None;
                    continue;
                }
                () = sleep_until(until) => match &self.sent {
                    Some(_) => return ConnectionError::Late(ANSWER),
                    None => continue,
                },
            };
            let processed = value.and_then(|value| self.process(value, attempt));
            if let Err(error) = processed {
                return error;
            }
        }
    }

    /// Sets changed sinks and, unless a batch is in flight, sends the pending work, or a heartbeat
    /// if one is due.
    fn send(&mut self) {
        let now = Instant::now();
        let idle = self.sent.is_none();
        let may_begin = idle && self.retry.is_none_or(|retry| retry <= now);
        let limit = if idle { BATCH } else { 0 };
        let mut channels = self.state.channels.lock();
        let batch = channels.work(self.server, may_begin, limit);
        drop(channels);
        let no_commands = batch.has_no_commands();
        for (channel, sinks) in batch.routes {
            self.wire.routes().set(channel, sinks);
        }
        for waiting in batch.routed {
            // The subscriber may have stopped waiting.
            let _ = waiting.send(());
        }
        if !idle || no_commands && now < self.next_heartbeat {
            return;
        }
        if may_begin {
            self.retry = None;
        }
        let (subscribe, unsubscribe, per_command) = match self.server {
            // One channel per command: the channels of a command must share a slot.
            ServerId::At(..) => ("SSUBSCRIBE", "SUNSUBSCRIBE", 1),
            ServerId::Only => ("SUBSCRIBE", "UNSUBSCRIBE", PER_COMMAND),
        };
        let mut commands = 0;
        for (name, channels) in [(unsubscribe, &batch.end), (subscribe, &batch.begin)] {
            for channels in channels.chunks(per_command) {
                let channels: Vec<&str> = channels.iter().map(AsRef::as_ref).collect();
                self.wire.queue(cmd(name).arg(channels));
                commands += 1;
            }
        }
        self.wire.queue(&hello());
        self.next_heartbeat = now + HEARTBEAT;
        self.sent = Some(Sent {
            begun: batch.begin,
            commands,
            refusals: Vec::new(),
            deadline: now + ANSWER,
            recovered: false,
        });
    }

    /// Processes a value that is not a message.
    fn process(&mut self, value: Value, attempt: &mut u32) -> Result<(), ConnectionError> {
        match value {
            Value::Push { kind, data } => {
                self.push(&kind, &data);
                Ok(())
            }
            Value::ServerError(error) => {
                let refusal = Refusal::new(&error);
                if let Some((slot, to)) = refusal.moved(self.server) {
                    let mut channels = self.state.channels.lock();
                    channels.moved(slot, to);
                    channels.ask(Some(self.server.clone()));
                }
                match &mut self.sent {
                    Some(sent) if sent.refusals.len() < sent.commands => {
                        sent.refusals.push(refusal);
                        Ok(())
                    }
                    // `HELLO` itself was rejected: the connection is unusable.
                    _ => Err(ConnectionError::Refused(refusal)),
                }
            }
            answer => {
                let replica = is_replica(&answer).ok_or(ConnectionError::Unexpected)?;
                let sent = self.sent.take().ok_or(ConnectionError::Unexpected)?;
                self.answered(sent);
                *attempt = 0;
                self.check_role(replica)
            }
        }
    }

    /// Processes confirmations, ended subscriptions, and unsolicited push messages.
    fn push(&mut self, kind: &PushKind, data: &[Value]) {
        let channel = match data.first() {
            Some(Value::BulkString(channel)) => std::str::from_utf8(channel).unwrap_or_default(),
            _ => "",
        };
        match kind {
            PushKind::Subscribe | PushKind::SSubscribe => {
                self.confirmed(channel);
            }
            PushKind::Unsubscribe | PushKind::SUnsubscribe => {
                let mut channels = self.state.channels.lock();
                let ended = channels.ended(self.server, channel);
                let wanted = channels.is_wanted_on(self.server, channel);
                drop(channels);
                if !wanted {
                    self.wire.routes().remove(channel);
                }
                if ended {
                    self.state.count_lost(Interruption::Ended);
                    debug!(server = %self.server, channel, "Redis has ended a subscription");
                }
            }
            // The reader dispatches regular messages, so these have an unknown form.
            PushKind::Message | PushKind::SMessage => self.state.count_unexpected("message"),
            PushKind::PMessage => self.state.count_unexpected("pmessage"),
            PushKind::PSubscribe => self.state.count_unexpected("psubscribe"),
            PushKind::PUnsubscribe => self.state.count_unexpected("punsubscribe"),
            PushKind::Invalidate => self.state.count_unexpected("invalidate"),
            // Disconnection events belong to connections of the library, which this is not.
            PushKind::Disconnection => self.state.count_unexpected("disconnection"),
            // `Other`, and kinds that future versions of the library name.
            _ => self.state.count_unexpected("other"),
        }
    }

    /// Delivers the messages of a confirmed subscription to its sinks.
    fn confirmed(&mut self, channel: &str) {
        let confirmation = self.state.channels.lock().confirmed(self.server, channel);
        let Some(confirmation) = confirmation else {
            return;
        };
        self.wire.routes().set(channel.into(), confirmation.sinks);
        for waiting in confirmation.waiting {
            // The subscriber may have stopped waiting.
            let _ = waiting.send(());
        }
        if confirmation.recovered {
            self.state.resubscribed.fetch_add(1, Ordering::Relaxed);
            if let Some(sent) = &mut self.sent {
                sent.recovered = true;
            }
        }
    }

    /// Evaluates a batch whose commands are all answered, and schedules a retry of failed
    /// subscriptions.
    fn answered(&mut self, sent: Sent) {
        let mut channels = self.state.channels.lock();
        let failed = channels.unconfirmed(self.server, sent.begun);
        if failed == 0 {
            self.failures = 0;
            if channels.is_idle(self.server) {
                channels.set_trouble(self.server, None);
            }
        } else {
            let refusals = &sent.refusals;
            let worst = refusals.iter().find(|one| one.needs_operator());
            let pause = match worst {
                Some(_) => FOR_OPERATORS,
                None => {
                    (Duration::from_millis(25) * (1 << self.failures.min(5))).min(FOR_OPERATORS)
                }
            };
            let worst = worst.or(refusals.first());
            let trouble = worst.map_or("subscriptions are not confirmed", Refusal::text);
            if self.failures == 0 {
                warn!(redis = %self.target, server = %self.server, failed, trouble,
                    "subscriptions are refused; trying again");
            }
            self.failures += 1;
            self.retry = Some(Instant::now() + pause);
            channels.set_trouble(self.server, Some(trouble));
            channels.ask(Some(self.server.clone()));
        }
        drop(channels);
        let probe = &self.state.probe;
        if !probe.health().borrow().works() {
            probe.nudge.notify_one();
        }
        if sent.recovered {
            self.wire.routes().interrupted();
        }
    }

    /// Tracks the role of the server, since messages are published on primaries.
    fn check_role(&mut self, replica: bool) -> Result<(), ConnectionError> {
        let was = std::mem::replace(&mut self.replica, replica);
        if !replica {
            return Ok(());
        }
        match self.server {
            ServerId::At(..) => self.state.channels.lock().ask(Some(self.server.clone())),
            ServerId::Only if !was => return Err(ConnectionError::Demoted),
            // A replica relays the messages of its primary, until the address leads to the primary
            // itself.
            ServerId::Only => {
                let (target, server) = (self.target, self.server);
                if self.other.is_none() {
                    let opening = RespConnection::open(target, server);
                    let primary = opening.map(|opened| matches!(opened, Ok((_, false))));
                    self.other = Some(primary.boxed());
                }
            }
        }
        Ok(())
    }
}
