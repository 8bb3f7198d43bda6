//! Outbox: messages to publish, in one lane per server, and the outcome of each.

mod drops;
mod lane;
mod lane_handle;
mod lane_table;
mod message;
mod outbox_core;
mod settlement;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub(super) use lane_handle::LaneHandle;
pub(super) use message::{DEADLINE, OutboxMessage, PublishReply};
pub(super) use outbox_core::Outbox;
