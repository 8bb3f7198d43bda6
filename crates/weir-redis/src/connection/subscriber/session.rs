//! Connection to one server: subscribes to the channels that the server owns, and reconnects after
//! a loss.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use redis::{Cmd, PushKind, Value, cmd};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use super::{
    Cause, Shared, backoff,
    channels::Batch,
    refusal::{Refusal, Remedy},
    slots::Server,
    tell,
    wire::{Trouble, Wire, is_replica},
};
use crate::Target;

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
pub(super) async fn keep(target: Target, server: Server, shared: Arc<Shared>) {
    let mut attempt = 0;
    loop {
        let mut session = match Session::open(&target, &server, &shared).await {
            Ok(session) => session,
            Err(trouble) => {
                shared.down(&server, &trouble, true);
                tell(attempt, "cannot subscribe", &target, &trouble);
                pause(&trouble, &mut attempt).await;
                continue;
            }
        };
        let trouble = session.run(&mut attempt).await;
        shared.count_lost(match trouble {
            Trouble::Replica => Cause::Role,
            Trouble::Deaf => Cause::Deaf,
            _ => Cause::Connection,
        });
        shared.down(&server, &trouble, trouble.is_for_operators());
        warn!(redis = %target, %server, %trouble, "subscriptions are lost; connecting again");
        // A connection that served for a while is reopened at once; further attempts back off.
        if session.opened.elapsed() < LASTING || trouble.is_for_operators() {
            pause(&trouble, &mut attempt).await;
        }
    }
}

async fn pause(trouble: &Trouble, attempt: &mut u32) {
    if trouble.is_for_operators() {
        // No event signals the changed permission.
        #[allow(clippy::disallowed_methods)]
        tokio::time::sleep(FOR_OPERATORS).await;
    } else {
        backoff(attempt).await;
    }
}

/// Open connection to a server.
struct Session<'a> {
    target: &'a Target,
    server: &'a Server,
    shared: &'a Arc<Shared>,
    wire: Wire,
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

impl<'a> Session<'a> {
    async fn open(
        target: &'a Target,
        server: &'a Server,
        shared: &'a Arc<Shared>,
    ) -> Result<Self, Trouble> {
        let (wire, replica) = Wire::open(target, server, Arc::clone(&shared.on_message)).await?;
        if replica && *server == Server::Only {
            warn!(redis = %target, "the server is a replica: what is published on it stays there");
        }
        Ok(Self {
            target,
            server,
            shared,
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
    async fn run(&mut self, attempt: &mut u32) -> Trouble {
        loop {
            let Some(wake) = self.shared.channels().wake(self.server) else {
                // The server owns no slots any more, so this task is about to be aborted.
                return Trouble::Strange;
            };
            if self.shared.channels().is_deaf(self.server) {
                return Trouble::Deaf;
            }
            if self.sent.is_none() {
                self.send();
            }
            let until = match &self.sent {
                Some(sent) => sent.deadline,
                None => self
                    .retry
                    .map_or(self.next_heartbeat, |retry| retry.min(self.next_heartbeat)),
            };
            let value = tokio::select! {
                // Replies count, however late they are read.
                biased;
                value = self.wire.next() => value,
                () = wake.notified() => continue,
                primary = async { self.other.as_mut().expect("there is one").await }, if self.other.is_some() => {
                    if primary {
                        return Trouble::Replica;
                    }
                    self.other = None;
                    continue;
                }
                () = sleep_until(until) => match &self.sent {
                    Some(_) => return Trouble::Late(ANSWER),
                    None => continue,
                },
            };
            let taken = match value {
                Ok(value) => self.take(value, attempt),
                Err(trouble) => Err(trouble),
            };
            if let Err(trouble) = taken {
                return trouble;
            }
        }
    }

    /// Sends the pending work, or a heartbeat if one is due.
    fn send(&mut self) {
        let now = Instant::now();
        let may_begin = self.retry.is_none_or(|retry| retry <= now);
        let batch = self.shared.channels().work(self.server, may_begin, BATCH);
        if batch == Batch::default() && now < self.next_heartbeat {
            return;
        }
        if may_begin {
            self.retry = None;
        }
        let (subscribe, unsubscribe, per_command) = match self.server {
            // One channel per command: the channels of a command must share a slot.
            Server::At(..) => ("SSUBSCRIBE", "SUNSUBSCRIBE", 1),
            Server::Only => ("SUBSCRIBE", "UNSUBSCRIBE", PER_COMMAND),
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
    fn take(&mut self, value: Value, attempt: &mut u32) -> Result<(), Trouble> {
        match value {
            Value::Push { kind, data } => {
                self.push(&kind, &data);
                Ok(())
            }
            Value::ServerError(error) => {
                let refusal = Refusal::new(&error, self.server);
                if let Remedy::Follow(slot, to) = &refusal.remedy {
                    let mut channels = self.shared.channels();
                    channels.moved(*slot, to.clone());
                    channels.ask(Some(self.server.clone()));
                }
                match &mut self.sent {
                    Some(sent) if sent.refusals.len() < sent.commands => {
                        sent.refusals.push(refusal);
                        Ok(())
                    }
                    // `HELLO` itself was rejected: the connection is unusable.
                    _ => Err(Trouble::Refused(refusal)),
                }
            }
            answer => {
                let replica = is_replica(&answer).ok_or(Trouble::Strange)?;
                let sent = self.sent.take().ok_or(Trouble::Strange)?;
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
                let recovered = self.shared.channels().confirmed(self.server, channel);
                if let Some(sent) = &mut self.sent {
                    sent.recovered |= recovered;
                }
                if recovered {
                    self.shared.resubscribed.fetch_add(1, Ordering::Relaxed);
                }
            }
            PushKind::Unsubscribe | PushKind::SUnsubscribe => {
                if self.shared.channels().ended(self.server, channel) {
                    self.shared.count_lost(Cause::Ended);
                    debug!(server = %self.server, channel, "Redis has ended a subscription");
                }
            }
            // The reader dispatches regular messages, so these have an unknown form.
            PushKind::Message | PushKind::SMessage => self.shared.count_unexpected("message"),
            PushKind::PMessage => self.shared.count_unexpected("pmessage"),
            PushKind::PSubscribe => self.shared.count_unexpected("psubscribe"),
            PushKind::PUnsubscribe => self.shared.count_unexpected("punsubscribe"),
            PushKind::Invalidate => self.shared.count_unexpected("invalidate"),
            // Disconnection events belong to connections of the library, which this is not.
            PushKind::Disconnection => self.shared.count_unexpected("disconnection"),
            // `Other`, and kinds that future versions of the library name.
            _ => self.shared.count_unexpected("other"),
        }
    }

    /// Evaluates a batch whose commands are all answered, and schedules a retry of failed
    /// subscriptions.
    fn answered(&mut self, sent: Sent) {
        let mut channels = self.shared.channels();
        let failed = channels.unconfirmed(self.server, sent.begun);
        if failed == 0 {
            self.failures = 0;
            if channels.is_idle(self.server) {
                channels.set_trouble(self.server, None);
            }
        } else {
            let for_operators = |refusal: &Refusal| refusal.remedy == Remedy::Operator;
            let refusals = &sent.refusals;
            let worst = refusals.iter().find(|one| for_operators(one));
            let worst = worst.or(refusals.first());
            let pause = match worst.map(|refusal| &refusal.remedy) {
                Some(Remedy::Operator) => FOR_OPERATORS,
                _ => (Duration::from_millis(25) * (1 << self.failures.min(5))).min(FOR_OPERATORS),
            };
            let trouble = worst.map_or("subscriptions are not confirmed", |one| one.text.as_str());
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
        self.shared.answered(sent.recovered);
    }

    /// Tracks the role of the server, since messages are published on primaries.
    fn check_role(&mut self, replica: bool) -> Result<(), Trouble> {
        let was = std::mem::replace(&mut self.replica, replica);
        if !replica {
            return Ok(());
        }
        match self.server {
            Server::At(..) => self.shared.channels().ask(Some(self.server.clone())),
            Server::Only if !was => return Err(Trouble::Replica),
            // A replica relays the messages of its primary, until the address leads to the primary
            // itself.
            Server::Only => {
                let (target, server) = (self.target, self.server);
                if self.other.is_none() {
                    let opening = Wire::open(target, server, Arc::new(|_: &[u8], _| {}));
                    let primary = opening.map(|opened| matches!(opened, Ok((_, false))));
                    self.other = Some(primary.boxed());
                }
            }
        }
        Ok(())
    }
}

fn hello() -> Cmd {
    let mut hello = cmd("HELLO");
    hello.arg(3);
    hello
}
