//! Outcome of a batch of published messages.

use tokio::time::Instant;
use weir_cluster::Hop;

use super::message::{MessageKind, OutboxMessage, PublishReply};
use crate::connection::{
    cluster::Slot,
    failure::{Remedy, remedy},
    server::ServerId,
};

/// Outcome of a batch: counters, and the messages that are not done with their reply alone.
#[derive(Debug, Default)]
pub(super) struct Settlement {
    /// Number of chunks whose reply was lost.
    pub(super) lost: usize,
    /// Number of messages that Redis rejected for good.
    pub(super) rejected: usize,
    /// Number of signals past their deadline.
    pub(super) old: usize,
    /// Number of messages that need no retry.
    pub(super) done: u64,
    /// True if a new connection is needed.
    pub(super) reconnect: bool,
    /// Slots that have moved, and their owners.
    pub(super) moved: Vec<(Slot, ServerId)>,
    /// Messages of these slots to send to the owners at once, in order.
    pub(super) redirected: Vec<OutboxMessage>,
    /// Signals to retry.
    pub(super) retry: Vec<OutboxMessage>,
    /// Published signals.
    pub(super) published: Vec<OutboxMessage>,
    /// Signals that are given up.
    pub(super) failed: Vec<OutboxMessage>,
}

impl Settlement {
    /// Evaluates the replies to a batch, on a connection of this epoch.
    pub(super) fn new(messages: Vec<OutboxMessage>, replies: &[PublishReply], epoch: u32) -> Self {
        let mut settlement = Self::default();
        let now = Instant::now();
        for (mut message, reply) in messages.into_iter().zip(replies) {
            if let PublishReply::Moved(to, _) = reply {
                settlement.moved.push((message.topic.slot, to.clone()));
            }
            if matches!(reply, PublishReply::Moved(..)) && message.may_follow() {
                settlement.redirected.push(message);
            } else if message.is_signal() {
                settlement.signal(message, reply, now);
            } else {
                settlement.done += 1;
                settlement.chunk(&message, reply, epoch);
            }
        }
        settlement
    }

    fn chunk(&mut self, message: &OutboxMessage, reply: &PublishReply, epoch: u32) {
        match reply {
            PublishReply::Nodes(nodes) => {
                message.topic.set_interest(epoch, *nodes);
                if let MessageKind::Chunk { measured, trace } = &message.kind {
                    if *measured {
                        Hop::Bus.record(message.at.elapsed());
                    }
                    if let Some(trace) = trace {
                        Hop::Bus.trace(trace, message.at.elapsed());
                    }
                }
            }
            PublishReply::Lost => {
                self.lost += 1;
                message.topic.forget_interest();
            }
            PublishReply::Refused(text) | PublishReply::Moved(_, text) => {
                self.rejected += 1;
                self.reconnect |= remedy(text) == Remedy::Reconnect;
            }
        }
    }

    fn signal(&mut self, mut message: OutboxMessage, reply: &PublishReply, now: Instant) {
        let (text, remedy) = match reply {
            PublishReply::Nodes(_) => {
                self.done += 1;
                self.published.push(message);
                return;
            }
            PublishReply::Refused(text) | PublishReply::Moved(_, text) => {
                (Some(text), remedy(text))
            }
            PublishReply::Lost => (None, Remedy::Retry),
        };
        self.reconnect |= text.is_some() && remedy == Remedy::Reconnect;
        if let (Some(text), MessageKind::Signal { why, .. }) = (text, &mut message.kind) {
            *why = Some(format!("Redis: {text}").into());
        }
        if remedy != Remedy::Fail && !message.is_old(now) {
            self.retry.push(message);
            return;
        }
        match reply {
            PublishReply::Refused(_) | PublishReply::Moved(..) => self.rejected += 1,
            _ => self.old += 1,
        }
        self.done += 1;
        self.failed.push(message);
    }
}
