//! Socket.IO clients over WebSocket.

mod errors;
mod handshake;
mod packets;
mod raw;
mod reader;
mod test_client;

pub use errors::{ConnectError, Disconnect, RequestError};
pub use handshake::{ConnectOptions, Handshake};
pub use raw::{RawClient, ReadBuffer};
pub use test_client::TestClient;

use std::time::Duration;

/// Deadline of a handshake or an answer.
const DEADLINE: Duration = Duration::from_secs(30);
