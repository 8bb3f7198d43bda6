//! A node's end of the bus in memory.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use weir_protocol::{Chunk, RoomId};

use super::{audience::Listener, hub::MemoryHub};
use crate::{Bus, BusError, BusInbox, Interest, Signal, Subscription, TrackKey};

/// A node's handle on the bus of a [`MemoryHub`].
///
/// It has no outbox and is never full: what is put on it has reached the other nodes' inboxes when
/// the call returns.
#[derive(Debug)]
pub struct MemoryBus {
    hub: MemoryHub,
    node: u64,
    inbox: Arc<dyn BusInbox>,
}

impl MemoryBus {
    pub(super) fn new(hub: MemoryHub, node: u64, inbox: Arc<dyn BusInbox>) -> Self {
        Self { hub, node, inbox }
    }

    /// Tells everybody but this node and says how many they were.
    fn tell(
        &self,
        listeners: Option<&[Listener<dyn BusInbox>]>,
        tell: impl Fn(&dyn BusInbox),
    ) -> Interest {
        let listeners = listeners.unwrap_or_default();
        let others = listeners.iter().filter(|one| one.node != self.node);
        Interest::Nodes(others.map(|one| tell(&*one.inbox)).count())
    }
}

impl Bus for MemoryBus {
    fn subscribe<'a>(
        &'a self,
        track: &'a TrackKey,
    ) -> BoxFuture<'a, Result<Subscription, BusError>> {
        Box::pin(async move {
            let shared = Arc::clone(self.hub.shared());
            shared.subscribers.enter(track, self.node, &self.inbox);
            let (track, node) = (track.clone(), self.node);
            Ok(Subscription::new(move || {
                shared.subscribers.exit(&track, node);
            }))
        })
    }

    fn publish(&self, track: &TrackKey, chunk: Arc<Chunk>) -> Result<Interest, BusError> {
        let listeners = self.hub.shared().subscribers.of(track);
        Ok(self.tell(listeners.as_deref(), |inbox| inbox.chunk(track, &chunk)))
    }

    fn listen<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Subscription, BusError>> {
        Box::pin(async move {
            let shared = Arc::clone(self.hub.shared());
            shared.listeners.enter(room, self.node, &self.inbox);
            let (room, node) = (room.clone(), self.node);
            Ok(Subscription::new(move || {
                shared.listeners.exit(&room, node);
            }))
        })
    }

    fn send(&self, room: &RoomId, signal: Arc<Signal>) -> Result<Interest, BusError> {
        let listeners = self.hub.shared().listeners.of(room);
        Ok(self.tell(listeners.as_deref(), |inbox| inbox.signal(room, &signal)))
    }
}
