//! Handle of the task that publishes a lane's messages.

use std::sync::Arc;

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{
    message::{OutboxMessage, PublishReply},
    outbox_core::Outbox,
};
use crate::{Health, connection::server::ServerId};

/// Lane of an outbox, served by one task.
#[derive(Debug)]
pub(crate) struct LaneHandle {
    outbox: Arc<Outbox>,
    place: usize,
    server: ServerId,
    filled: Arc<Notify>,
}

impl LaneHandle {
    /// Returns handles of the lanes that need a task and have none.
    pub(crate) fn start_all(outbox: &Arc<Outbox>) -> Vec<Self> {
        let mut lanes = outbox.lanes();
        let starting = lanes.start_unserved().into_iter();
        let handles = starting.map(|(place, server, filled)| Self {
            outbox: Arc::clone(outbox),
            place,
            server,
            filled: Arc::clone(filled),
        });
        handles.collect()
    }

    /// Returns the server of the lane.
    pub(crate) fn server(&self) -> &ServerId {
        &self.server
    }

    /// Waits until a message is due: a new one, or one to retry. Returns false if the lane is no
    /// longer needed: its server owns no slot. The handle must not be used then.
    pub(crate) async fn due(&self) -> bool {
        loop {
            let retry_at = {
                let mut table = self.outbox.lanes();
                if !table[self.place].queue.is_empty() {
                    return true;
                }
                if table.end(self.place) {
                    return false;
                }
                table[self.place].retry_at
            };
            let retry = sleep_until(retry_at.unwrap_or_else(Instant::now));
            tokio::select! {
                () = self.filled.notified() => {}
                () = retry, if retry_at.is_some() => return true,
            }
        }
    }

    /// Returns whether the lane is still needed. If not, the handle must not be used any more.
    pub(crate) fn is_needed(&self) -> bool {
        !self.outbox.lanes().end(self.place)
    }

    /// Removes the next batch from the queue, and drops messages past their deadline.
    pub(crate) fn batch(&self) -> Vec<OutboxMessage> {
        self.outbox.batch(self.place)
    }

    /// Records the replies of Redis. Returns whether a new connection is needed.
    pub(crate) fn answered(&self, messages: Vec<OutboxMessage>, replies: &[PublishReply]) -> bool {
        self.outbox.answered(self.place, messages, replies)
    }

    /// Drops queued messages past their deadline.
    pub(crate) fn expire(&self) {
        self.outbox.expire(self.place);
    }

    /// Sets the health of the connection, and returns whether it worked before.
    pub(crate) fn set_health(&self, health: &Health) -> bool {
        self.outbox.set_health(self.place, health)
    }
}
