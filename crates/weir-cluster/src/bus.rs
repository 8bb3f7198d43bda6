//! Port for the transport of chunks and signals between nodes. The bus stores neither.

use std::{fmt::Debug, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use opentelemetry::trace::SpanContext;
use weir_protocol::{Chunk, Json, MemberId, RoomId, TrackId};

use crate::Subscription;

/// Id of a track among the tracks of all rooms, and name of its channel on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackKey {
    /// Room of the track.
    pub room: RoomId,
    /// Id of the track in its room.
    pub track: TrackId,
}

/// Message between the nodes of a room that is not part of the room's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A member's message.
    Message {
        /// Version of the room that the sender's node knew. A node that knows an older version
        /// delivers the events up to it first.
        version: u64,
        /// Sender.
        from: MemberId,
        /// Recipients; without it, everybody else in the room.
        to: Option<Vec<MemberId>>,
        /// Topic that the sender gave it.
        topic: Option<String>,
        /// Content, with placeholders for the attachments.
        data: Json,
        /// Binary values of the content.
        attachments: Vec<Bytes>,
    },
    /// Request to a track's publisher for a key chunk.
    KeyframeRequested(TrackId),
    /// Request of a node that has subscribed to a track for the [position](Self::Position) of the
    /// publisher's node.
    Wanted {
        /// Id of the track.
        track: TrackId,
        /// Whether it also requests all earlier chunks, if they are still kept.
        beginning: bool,
    },
    /// Announcement of the publisher's node that it publishes all chunks after a number.
    Position {
        /// Id of the track.
        track: TrackId,
        /// Number of the last chunk before; 0 if there was none.
        last: u64,
        /// Fate of the chunks up to it.
        earlier: EarlierChunks,
    },
}

/// Fate of a track's chunks up to the publisher's [position](Signal::Position).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlierChunks {
    /// They are kept, and were not requested.
    Kept,
    /// They were requested, and published again before the position. A node that subscribed
    /// meanwhile, after another node's request, may have missed them.
    Republished,
    /// They are no longer kept: a request would not help.
    Gone,
}

impl Signal {
    /// Returns the length of a message's content in bytes; 0 for other signals.
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

/// Chunk with what other nodes must know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relayed {
    /// Chunk as subscribers receive it.
    pub chunk: Chunk,
    /// Whether it counts as a key chunk, which depends on the publisher's marks so far.
    pub counts_as_key: bool,
    /// Parent of its spans, if it is traced.
    pub trace: Option<SpanContext>,
}

/// Number of other nodes that are subscribed to a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// No chunk was published yet.
    Unknown,
    /// Number at the last publication that the bus has acknowledged.
    Nodes(usize),
}

/// Error of an operation on the bus.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The outbox is full; the message is dropped.
    #[error("the bus's outbox holds its limit of {limit} bytes")]
    Full {
        /// Capacity in bytes.
        limit: usize,
    },
    /// The bus is unreachable, for the reason in the text.
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

    /// Waits until everything enqueued before for a room is on the bus or lost, so that later
    /// actions follow it on other nodes. Bounded by a short deadline.
    fn flush(&self, room: &RoomId) -> BoxFuture<'_, ()>;
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
    /// Receives a chunk, in the order in which the publisher's node published it. `more` says that
    /// messages behind it wait for this call to return.
    fn chunk(&self, chunk: Relayed, more: bool);
}

/// Receiver of one room's signals. The rules of [`ChunkSink`] hold for its calls.
pub trait SignalSink: Send + Sync + Debug {
    /// Receives a signal, in the order in which its sender's node sent it.
    fn signal(&self, signal: Arc<Signal>);

    /// Reports that the subscription was lost for a while and holds again. Messages may have been
    /// missed, and other nodes may have concluded that this one has no interest.
    fn interrupted(&self);
}
