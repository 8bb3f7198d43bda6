//! Socket.IO clients over WebSocket.

mod errors;
mod handshake;
mod packets;
mod raw;
mod reader;
mod socket_client;

pub use errors::{ConnectError, Disconnect, RequestError};
pub use handshake::{ConnectOptions, SessionOpening};
pub use raw::{RawClient, ReadBuffer};
pub use socket_client::SocketClient;
