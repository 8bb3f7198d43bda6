//! What Weir's tests are made of: a Socket.IO client that knows nothing of the server's code, a
//! server as a child process, Redis of every kind, and [`eventually`] for what crosses processes.
//!
//! The client is written by hand on a bare TCP stream, so that a fault in the libraries that the
//! node stands on cannot hide behind the same fault in the test.

mod client;
mod eventually;
mod frame;
mod packet;
mod process;
mod redis;
mod wire;

pub use client::{Client, RequestError};
pub use eventually::eventually;
pub use frame::{FrameError, FrameHeader, Opcode, put_frame};
pub use packet::{Ack, Arrival, Incoming, MediaHeader, PacketError, placeholder};
pub use process::{Process, StartError};
pub use redis::{RedisProcess, RedisServer};
pub use wire::{ConnectError, Disconnect, Options, Session, Wire};
