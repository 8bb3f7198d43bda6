//! Where one connection's frames go.

use std::fmt::Debug;

use weir_protocol::Frame;

/// What became of a frame that was handed to an [`Outlet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// The socket has taken it.
    Sent,
    /// It waits for the socket.
    Queued,
    /// What may wait already does; the frame is dropped.
    Full,
    /// The connection is gone; the frame is dropped.
    Closed,
}

/// A connection, seen by those who have something for it.
///
/// No call blocks. What is handed over first is received first, whatever it is.
pub trait Outlet: Send + Sync + Debug {
    /// Takes an event or an acknowledgement. One that cannot even be queued closes the connection,
    /// since events are never dropped, and the answer is [`Delivery::Full`].
    fn notice(&self, frame: &Frame) -> Delivery;

    /// Takes a chunk with what must come right before it: both, or neither.
    fn chunk(&self, before: Option<&Frame>, chunk: &Frame) -> Delivery;
}
