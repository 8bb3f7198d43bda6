//! The way to one connection's client.

use std::fmt::Debug;

use weir_protocol::Frame;

use crate::Counters;

/// Outcome of handing a frame to an [`Outlet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// The socket has accepted it.
    Sent,
    /// It waits for the socket.
    Queued,
    /// The queue is full; the frame is dropped.
    Full,
    /// The connection is gone; the frame is dropped.
    Closed,
}

/// The sending half of a connection.
///
/// Calls never block. Frames are received in the order in which they were handed over.
pub trait Outlet: Send + Sync + Debug {
    /// Sends an event or an acknowledgement. Events are never dropped: if it cannot be queued, the
    /// connection is closed and the outcome is [`Delivery::Full`].
    fn notice(&self, frame: &Frame) -> Delivery;

    /// Sends a chunk and a frame that must come right before it: both, or neither.
    fn chunk(&self, before: Option<&Frame>, chunk: &Frame) -> Delivery;
}

/// Sends an event or an acknowledgement, and counts the outcome.
pub(crate) fn notify(outlet: &dyn Outlet, counters: &Counters, frame: &Frame) {
    match outlet.notice(frame) {
        Delivery::Sent | Delivery::Queued => counters.events_sent.add_one(),
        Delivery::Full => counters.connections_closed_slow.add_one(),
        Delivery::Closed => counters.events_closed.add_one(),
    }
}
