//! Batch of messages in flight to Redis.

use crate::bus::outbox::{LaneHandle, OutboxMessage, PublishReply};

/// Messages in flight. Without a reply they count as lost.
pub(super) struct InFlight<'a> {
    lane: &'a LaneHandle,
    pub(super) messages: Vec<OutboxMessage>,
}

impl<'a> InFlight<'a> {
    /// Removes the next batch from a lane of the outbox.
    pub(super) fn new(lane: &'a LaneHandle) -> Self {
        let messages = lane.batch();
        Self { lane, messages }
    }

    /// Records the replies. Returns whether a new connection is needed.
    pub(super) fn answered(mut self, replies: &[PublishReply]) -> bool {
        let messages = std::mem::take(&mut self.messages);
        self.lane.answered(messages, replies)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let messages = std::mem::take(&mut self.messages);
        if !messages.is_empty() {
            let replies = vec![PublishReply::Lost; messages.len()];
            self.lane.answered(messages, &replies);
        }
    }
}
