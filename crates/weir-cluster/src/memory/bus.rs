//! A node's end of the bus in memory.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use weir_protocol::RoomId;

use super::{channel::MemoryChannel, hub::MemoryHub};
use crate::{
    Bus, BusError, ChunkPublisher, ChunkSink, Interest, Relayed, Signal, SignalSender, SignalSink,
    Subscription, TrackKey,
};

/// A node's handle on the bus of a [`MemoryHub`].
///
/// It has no queue and is never full: a message has reached the other nodes' sinks when the call
/// that sends it returns.
#[derive(Debug)]
pub struct MemoryBus {
    hub: MemoryHub,
    node: u64,
}

impl MemoryHub {
    /// Returns the bus of a new node.
    #[must_use]
    pub fn bus(&self) -> MemoryBus {
        let (hub, node) = (self.clone(), self.shared().number());
        MemoryBus { hub, node }
    }
}

impl Bus for MemoryBus {
    fn publisher(&self, track: &TrackKey) -> Arc<dyn ChunkPublisher> {
        let channel = self.hub.shared().tracks.open(track);
        let node = self.node;
        Arc::new(MemoryPublisher { channel, node })
    }

    fn subscribe<'a>(
        &'a self,
        track: &'a TrackKey,
        sink: Arc<dyn ChunkSink>,
    ) -> BoxFuture<'a, Result<Subscription, BusError>> {
        Box::pin(async move { Ok(self.hub.shared().tracks.subscribe(track, self.node, sink)) })
    }

    fn signals(&self, room: &RoomId) -> Arc<dyn SignalSender> {
        let channel = self.hub.shared().signals.open(room);
        let node = self.node;
        Arc::new(MemorySender { channel, node })
    }

    fn listen<'a>(
        &'a self,
        room: &'a RoomId,
        sink: Arc<dyn SignalSink>,
    ) -> BoxFuture<'a, Result<Subscription, BusError>> {
        Box::pin(async move { Ok(self.hub.shared().signals.subscribe(room, self.node, sink)) })
    }

    fn flush(&self, _: &RoomId) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Publisher of a track on a [`MemoryBus`].
#[derive(Debug)]
struct MemoryPublisher {
    channel: Arc<MemoryChannel<TrackKey, dyn ChunkSink>>,
    node: u64,
}

impl ChunkPublisher for MemoryPublisher {
    fn publish(&self, chunk: &Relayed) -> Result<(), BusError> {
        self.channel
            .to_others(self.node, |sink| sink.chunk(chunk.clone(), false));
        Ok(())
    }

    fn interest(&self) -> Interest {
        Interest::Nodes(self.channel.others(self.node))
    }
}

/// Sender of a room's signals on a [`MemoryBus`].
#[derive(Debug)]
struct MemorySender {
    channel: Arc<MemoryChannel<RoomId, dyn SignalSink>>,
    node: u64,
}

impl SignalSender for MemorySender {
    fn send(&self, signal: &Signal) -> Result<(), BusError> {
        let signal = Arc::new(signal.clone());
        self.channel
            .to_others(self.node, |sink| sink.signal(Arc::clone(&signal)));
        Ok(())
    }

    fn deliver<'a>(&'a self, signal: &'a Arc<Signal>) -> BoxFuture<'a, Result<(), BusError>> {
        self.channel
            .to_others(self.node, |sink| sink.signal(Arc::clone(signal)));
        Box::pin(std::future::ready(Ok(())))
    }
}
