//! Signals that must arrive: numbered by their origin, retained for a while, asked for again.
//!
//! Pub/sub loses what is published while a subscriber's connection is away. So a node numbers the
//! signals that it was asked to deliver, per room, and [retains](retained::Retained) them. Whoever
//! [receives](received::Received) them sees a gap in the numbers and asks; the end of a sequence is
//! announced a few times, so that the loss of its last number is seen, too. Both are state machines
//! without IO or clock.

pub(crate) mod received;
pub(crate) mod retained;
#[cfg(test)]
mod simulation;
pub(crate) mod wire;

use std::time::Duration;

use bytes::Bytes;

use crate::envelope::Origin;

/// How long a signal can be asked for again.
pub(crate) const KEPT: Duration = Duration::from_secs(30);

/// Which sequence of an origin in a room: an origin that has forgotten one begins another, whose id
/// is higher.
pub(crate) type Stream = u64;

/// What goes over a room's channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// A signal that nobody asks for again.
    Loose(Bytes),
    /// A signal with its place in the origin's sequence, from 1 on.
    Numbered {
        stream: Stream,
        seq: u64,
        /// When it was put on the bus, by the origin's clock, in milliseconds since 1970.
        at: u64,
        /// How long before that its predecessor was, in milliseconds; the maximum if that is not known.
        after: u32,
        /// It was published before, and Redis has confirmed it.
        again: bool,
        body: Bytes,
    },
    /// A number whose signal was not published, as its sender was told.
    Void { stream: Stream, seq: u64 },
    /// How far a sequence goes.
    Head {
        /// Who has asked; without it, it is an announcement to all.
        to: Option<Origin>,
        stream: Stream,
        /// What they miss up to here does not come any more, or was never for them.
        floor: u64,
        /// The highest number that was published.
        last: u64,
    },
    /// A request for what was missed.
    Ask {
        /// Which origin is asked; without it, all are.
        to: Option<Origin>,
        /// How long the one who asks has listened to the room, in milliseconds. What is older was not
        /// for it.
        listening: u64,
        /// Up to which number it has everything, by origin.
        known: Vec<Known>,
    },
}

/// Up to where somebody has everything of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) origin: Origin,
    pub(crate) stream: Stream,
    pub(crate) last: u64,
}
