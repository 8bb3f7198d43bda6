//! Reliable signals: numbered by their origin, retained for a while, retransmitted on request.
//!
//! Pub/sub loses messages published while a subscriber is disconnected. A node therefore numbers
//! the signals that it must deliver, per room, and [retains](retained::Retained) them. A
//! [receiver](received::ReceivedSignals) detects a sequence gap and requests retransmission. The end of a
//! sequence is announced a few times, so that receivers also detect the loss of its last number.
//! Both sides are state machines without IO or clock.

pub(crate) mod received;
pub(crate) mod retained;
#[cfg(test)]
mod simulation;
pub(crate) mod wire;

use std::time::Duration;

use bytes::Bytes;

use crate::bus::envelope::Origin;

/// Retention period of a signal: the time during which it can be retransmitted.
pub(crate) const KEPT: Duration = Duration::from_secs(30);

/// Identifier of an origin's sequence in a room. An origin that has forgotten a sequence starts
/// another one with a higher identifier.
pub(crate) type StreamId = u64;

/// Message on a room's signal channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// Unreliable signal, which is never retransmitted.
    Loose(Bytes),
    /// Signal that is delivered reliably.
    Numbered(NumberedSignal),
    /// Number of a signal that was not published, as its sender was notified.
    Void { stream: StreamId, seq: u64 },
    /// State of a sequence.
    Head {
        /// Requester that this answers; `None` for an announcement to all nodes.
        to: Option<Origin>,
        stream: StreamId,
        /// Highest number that the requester need not wait for: earlier missing signals are no
        /// longer retained, or predate its subscription.
        floor: u64,
        /// Highest published number.
        last: u64,
    },
    /// Retransmission request.
    Ask {
        /// Addressed origin; `None` for all origins.
        to: Option<Origin>,
        /// Duration of the requester's subscription to the room, in milliseconds. Older signals
        /// were not meant for it.
        listening: u64,
        /// Last number received without a gap, by origin.
        known: Vec<KnownPosition>,
    },
}

/// Signal with its position in the origin's sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NumberedSignal {
    pub(crate) stream: StreamId,
    /// Number in the sequence, starting at 1.
    pub(crate) seq: u64,
    /// Time of the first publication by the origin's clock, in milliseconds since 1970.
    pub(crate) at: u64,
    /// Interval since the previous signal, in milliseconds; the maximum if unknown.
    pub(crate) after: u32,
    /// True for a retransmission: the signal was published before, and Redis confirmed it.
    pub(crate) again: bool,
    pub(crate) body: Bytes,
}

/// Position in an origin's sequence up to which a receiver has every signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KnownPosition {
    pub(crate) origin: Origin,
    pub(crate) stream: StreamId,
    pub(crate) last: u64,
}
