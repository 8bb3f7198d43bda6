//! A node's end of the bus in memory.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use weir_protocol::RoomId;

use super::{audience::Listener, hub::MemoryHub};
use crate::{Bus, BusError, BusInbox, Interest, Relayed, Signal, Subscription, TrackKey};

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

    /// Those of the listeners that are not this node.
    fn others<'a>(
        &'a self,
        listeners: Option<&'a [Listener<dyn BusInbox>]>,
    ) -> impl Iterator<Item = &'a dyn BusInbox> {
        let listeners = listeners.unwrap_or_default().iter();
        let others = listeners.filter(|one| one.node != self.node);
        others.map(|one| &*one.inbox)
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

    fn publish(&self, track: &TrackKey, chunk: &Relayed) -> Result<(), BusError> {
        let listeners = self.hub.shared().subscribers.of(track);
        let chunk = Arc::new(chunk.clone());
        self.others(listeners.as_deref())
            .for_each(|inbox| inbox.chunk(track, &chunk));
        Ok(())
    }

    fn interest(&self, track: &TrackKey) -> Interest {
        let listeners = self.hub.shared().subscribers.of(track);
        Interest::Nodes(self.others(listeners.as_deref()).count())
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
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

    fn send(&self, room: &RoomId, signal: &Arc<Signal>) -> Result<(), BusError> {
        let listeners = self.hub.shared().listeners.of(room);
        self.others(listeners.as_deref())
            .for_each(|inbox| inbox.signal(room, signal));
        Ok(())
    }

    fn deliver<'a>(
        &'a self,
        room: &'a RoomId,
        signal: &'a Arc<Signal>,
    ) -> BoxFuture<'a, Result<(), BusError>> {
        Box::pin(std::future::ready(self.send(room, signal)))
    }
}
