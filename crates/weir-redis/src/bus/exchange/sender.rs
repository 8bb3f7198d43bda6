//! Handle that sends a room's signals.

use std::{fmt, sync::Arc};

use weir_cluster::{BoxFuture, BusError, Signal, SignalSender};
use weir_protocol::RoomId;

use super::core::ExchangeCore;
use crate::bus::topic::Topic;

/// Sender of a room's signals.
pub(crate) struct RoomSender {
    core: Arc<ExchangeCore>,
    room: RoomId,
    topic: Arc<Topic>,
}

impl RoomSender {
    pub(crate) fn new(core: Arc<ExchangeCore>, room: &RoomId) -> Self {
        Self {
            room: room.clone(),
            topic: core.topic(room),
            core,
        }
    }
}

impl fmt::Debug for RoomSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoomSender({})", self.room)
    }
}

impl SignalSender for RoomSender {
    fn send(&self, signal: &Signal) -> Result<(), BusError> {
        self.core.send(&self.topic, signal)
    }

    fn deliver<'a>(&'a self, signal: &'a Arc<Signal>) -> BoxFuture<'a, Result<(), BusError>> {
        Box::pin(self.core.deliver(&self.room, &self.topic, signal))
    }
}
