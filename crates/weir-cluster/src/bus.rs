//! The port for what is happening now: chunks and signals that are gone once they are told.

use std::{fmt::Debug, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use opentelemetry::trace::SpanContext;
use weir_protocol::{Chunk, Json, MemberId, RoomId, TrackId};

use crate::Subscription;

/// A track among those of all rooms: the name of its channel on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackKey {
    /// The room that it is published in.
    pub room: RoomId,
    /// Its id there.
    pub track: TrackId,
}

/// What a room's nodes tell each other without it being part of the room's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A member's message.
    Message {
        /// The room's version that its sender's node knew. Whoever knows an older one has events on
        /// the way that come first.
        version: u64,
        /// Who sent it.
        from: MemberId,
        /// Who gets it; everybody else in the room without it.
        to: Option<Vec<MemberId>>,
        /// What it is about.
        topic: Option<String>,
        /// What it says, with places for the attachments.
        data: Json,
        /// The binary values in `data`.
        attachments: Vec<Bytes>,
    },
    /// Somebody asks this track's publisher for a key chunk.
    KeyframeRequested(TrackId),
    /// A node has subscribed to this track and asks its publisher's node for its
    /// [position](Self::Position).
    Wanted {
        /// Which track.
        track: TrackId,
        /// Whether it also asks for the chunks that were sent before, if these are all that there
        /// are and are still there.
        beginning: bool,
    },
    /// The publisher's node says that it puts all chunks after this number on the bus.
    Position {
        /// Which track.
        track: TrackId,
        /// The number of the last chunk before; 0 if there was none.
        last: u64,
        /// Whether it was asked for the beginning, which then came before this.
        beginning: bool,
    },
}

impl Signal {
    /// The bytes of what a member says in it.
    #[must_use]
    pub fn length(&self) -> usize {
        match self {
            Self::Message {
                data, attachments, ..
            } => data.as_str().len() + attachments.iter().map(Bytes::len).sum::<usize>(),
            Self::KeyframeRequested(_) | Self::Wanted { .. } | Self::Position { .. } => 0,
        }
    }
}

/// A chunk on its way between nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relayed {
    /// The chunk.
    pub chunk: Chunk,
    /// Whether it counts as a key chunk, which depends on all that its publisher has marked so far.
    pub counts_as_key: bool,
    /// The span that its way is traced under, if it is.
    pub trace: Option<SpanContext>,
}

/// How many other nodes want a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Not known yet.
    Unknown,
    /// So many, as far as it is known; it may be as old as the last answer of the bus.
    Nodes(usize),
}

/// Why the bus did not take something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The outbox holds all the bytes that it may. What was to be put in is dropped.
    #[error("the bus's outbox holds its limit of {limit} bytes")]
    Full {
        /// The outbox's size, in bytes.
        limit: usize,
    },
    /// The bus cannot be reached now; the text says why.
    #[error("the bus is unavailable: {0}")]
    Unavailable(String),
}

/// Transport of chunks and signals between nodes. An instance belongs to one node.
///
/// There is one channel per track, and one per room for its signals. A node never receives its own
/// messages. A channel keeps the order of each node's messages, but may lose some without a
/// report. Chunks carry a `seq` that shows gaps; signals that must arrive are
/// [delivered](SignalSender::deliver).
///
/// A node subscribes to a channel for its first interested member, and drops the [`Subscription`]
/// after the last one. It therefore receives only what its own members need. Several subscriptions
/// to one channel may exist at a time; the sink of each receives every message once.
pub trait Bus: Send + Sync + Debug {
    /// Returns a handle that publishes the chunks of a track.
    fn publisher(&self, track: &TrackKey) -> Arc<dyn ChunkPublisher>;

    /// Delivers a track's chunks to `sink`, starting with those published after this has returned,
    /// until the subscription is dropped.
    ///
    /// # Errors
    /// `Unavailable`.
    fn subscribe<'a>(
        &'a self,
        track: &'a TrackKey,
        sink: Arc<dyn ChunkSink>,
    ) -> BoxFuture<'a, Result<Subscription, BusError>>;

    /// Returns a handle that sends the signals of a room.
    fn signals(&self, room: &RoomId) -> Arc<dyn SignalSender>;

    /// Delivers a room's signals to `sink`, as [`subscribe`](Self::subscribe) does with chunks.
    ///
    /// # Errors
    /// `Unavailable`.
    fn listen<'a>(
        &'a self,
        room: &'a RoomId,
        sink: Arc<dyn SignalSink>,
    ) -> BoxFuture<'a, Result<Subscription, BusError>>;

    /// Waits until everything enqueued before is on the bus or lost, so that later actions follow
    /// it on other nodes. Bounded by a short deadline.
    fn flush(&self) -> BoxFuture<'_, ()>;
}

/// Publisher of one track's chunks.
pub trait ChunkPublisher: Send + Sync + Debug {
    /// Enqueues a chunk. Never waits.
    ///
    /// # Errors
    /// `Full`, `Unavailable`; the chunk is dropped.
    fn publish(&self, chunk: &Relayed) -> Result<(), BusError>;

    /// Returns the number of other nodes that received the last published chunk.
    fn interest(&self) -> Interest;
}

/// Sender of one room's signals.
pub trait SignalSender: Send + Sync + Debug {
    /// Enqueues a signal without delivery guarantee, for requests that are repeated after a loss.
    /// Never waits.
    ///
    /// # Errors
    /// `Full`, `Unavailable`; the signal is dropped.
    fn send(&self, signal: &Signal) -> Result<(), BusError>;

    /// Publishes a signal and waits for the acknowledgement. Every node that listens to the room
    /// receives it exactly once, in the order of this node's other delivered signals. This holds
    /// even if a node's subscription is interrupted for a while.
    ///
    /// # Errors
    /// `Full`, `Unavailable`: no node receives the signal, unless only the acknowledgement was
    /// lost.
    fn deliver<'a>(&'a self, signal: &'a Arc<Signal>) -> BoxFuture<'a, Result<(), BusError>>;
}

/// Receiver of one track's chunks.
///
/// Calls must not block: they hold up everything that the bus carries to this node. Dropping a
/// [`Subscription`] within one is allowed.
pub trait ChunkSink: Send + Sync + Debug {
    /// Receives a chunk, in the order in which the publisher's node published it.
    fn chunk(&self, chunk: Relayed);
}

/// Receiver of one room's signals. The rules of [`ChunkSink`] hold for its calls.
pub trait SignalSink: Send + Sync + Debug {
    /// Receives a signal, in the order in which its sender's node sent it.
    fn signal(&self, signal: Arc<Signal>);

    /// Reports that the subscription was lost for a while and holds again. Messages may have been
    /// missed, and other nodes may have concluded that this one has no interest.
    fn interrupted(&self);
}
