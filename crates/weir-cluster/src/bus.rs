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

/// Transport of chunks and signals between nodes. An instance belongs to one node and dispatches to
/// that node's [`BusInbox`].
///
/// There is one channel for each track, and one for each room's signals. A node never receives its
/// own messages. A channel keeps the order of each node's messages, but may lose some without a
/// report. Chunks carry a `seq` that shows gaps; signals that must arrive are
/// [delivered](Self::deliver).
///
/// A node subscribes to a channel for its first interested member, and drops the [`Subscription`]
/// after the last one. It therefore receives only what its own members need.
pub trait Bus: Send + Sync + Debug {
    /// Has a track's chunks told to the node's inbox, from the ones that are published after this
    /// has answered; each once, however many subscriptions the node holds.
    ///
    /// # Errors
    /// `Unavailable`.
    fn subscribe<'a>(
        &'a self,
        track: &'a TrackKey,
    ) -> BoxFuture<'a, Result<Subscription, BusError>>;

    /// Puts a chunk of a track into the outbox. Never waits.
    ///
    /// # Errors
    /// `Full`, `Unavailable`; the chunk is dropped.
    fn publish(&self, track: &TrackKey, chunk: &Relayed) -> Result<(), BusError>;

    /// How many other nodes got what this node last put on the bus of a track.
    fn interest(&self, track: &TrackKey) -> Interest;

    /// Waits until all that was put into the outbox before is on the bus or lost, so that what is
    /// done next, elsewhere, comes after it. Never waits long.
    fn flush(&self) -> BoxFuture<'_, ()>;

    /// Has a room's signals told to the node's inbox, as [`subscribe`](Self::subscribe) does with
    /// chunks.
    ///
    /// # Errors
    /// `Unavailable`.
    fn listen<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Subscription, BusError>>;

    /// Enqueues a signal to a room without delivery guarantee, for requests that are repeated after
    /// a loss. Never waits.
    ///
    /// # Errors
    /// `Full`, `Unavailable`; the signal is dropped.
    fn send(&self, room: &RoomId, signal: &Arc<Signal>) -> Result<(), BusError>;

    /// Publishes a signal to a room and waits for the acknowledgement. Every node that listens to
    /// the room receives it exactly once, in the order of this node's other delivered signals. This
    /// holds even if a node's subscription is interrupted for a while.
    ///
    /// # Errors
    /// `Full`, `Unavailable`: no node receives the signal, unless only the acknowledgement was
    /// lost.
    fn deliver<'a>(
        &'a self,
        room: &'a RoomId,
        signal: &'a Arc<Signal>,
    ) -> BoxFuture<'a, Result<(), BusError>>;
}

/// Where a node is told what other nodes put on the bus.
///
/// The calls must not block: they may hold up everything that the bus carries to this node.
/// Dropping a [`Subscription`] is allowed.
pub trait BusInbox: Send + Sync + Debug {
    /// Takes a chunk of a track, in the order in which its publisher's node put it on the bus.
    fn chunk(&self, track: &TrackKey, chunk: &Arc<Relayed>);

    /// Takes a signal of a room, in the order in which its sender's node put it on the bus.
    fn signal(&self, room: &RoomId, signal: &Arc<Signal>);

    /// All subscriptions were interrupted and hold again: something may have been lost, and others
    /// may have come to believe that nobody here wants anything.
    fn interrupted(&self);
}
