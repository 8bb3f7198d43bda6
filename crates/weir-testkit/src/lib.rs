//! Test toolkit: Socket.IO clients that share no code with the server, a server as a child
//! process, real Redis of every kind, and [`eventually`] for conditions in other processes.
//!
//! The clients are written by hand on a bare TCP stream. A bug in the libraries below the node
//! cannot hide behind the same bug in a test.

mod client;
mod eventually;
mod forwarder;
mod process;
mod redis;
mod socketio;
mod websocket;

pub use client::{
    ConnectError, ConnectOptions, Disconnect, RawClient, ReadBuffer, RequestError, SessionOpening,
    SocketClient,
};
pub use eventually::eventually;
pub use forwarder::Forwarder;
pub use process::{ServerProcess, StartError};
pub use redis::{RedisProcess, RedisServer};
pub use socketio::{Acknowledgement, Arrival, Incoming, MediaHeader, PacketError, placeholder};
pub use websocket::{FrameError, FrameHeader, Opcode, put_frame};
