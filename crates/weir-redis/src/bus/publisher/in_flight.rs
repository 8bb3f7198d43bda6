//! Batch of messages in flight to Redis.

use crate::bus::outbox::{Outbox, OutboxMessage, PublishReply};

/// Messages in flight. Without a reply they count as lost.
pub(super) struct InFlight<'a> {
    outbox: &'a Outbox,
    pub(super) messages: Vec<OutboxMessage>,
}

impl<'a> InFlight<'a> {
    /// Removes the next batch from the outbox.
    pub(super) fn new(outbox: &'a Outbox) -> Self {
        let messages = outbox.batch();
        Self { outbox, messages }
    }

    /// Records the replies. Returns whether a new connection is needed.
    pub(super) fn answered(mut self, replies: &[PublishReply]) -> bool {
        let messages = std::mem::take(&mut self.messages);
        self.outbox.answered(messages, replies)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let messages = std::mem::take(&mut self.messages);
        if !messages.is_empty() {
            let replies = vec![PublishReply::Lost; messages.len()];
            self.outbox.answered(messages, &replies);
        }
    }
}
