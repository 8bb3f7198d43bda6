//! Outbox: messages to publish, and the outcome of each.

mod message;
mod queue;
mod settlement;

pub(super) use message::{DEADLINE, OutboxMessage, PublishReply};
pub(super) use queue::Outbox;
