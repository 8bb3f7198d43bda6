//! WebSockets: opening handshake, upgrade from long-polling, frames in and out.

pub(crate) mod ack_id;
pub(crate) mod admission;
mod fast_path;
mod forwarder;
pub(super) mod frames;
pub(crate) mod handshake;
pub(crate) mod probe;
pub(crate) mod reader;
pub(crate) mod upgrade;
pub(crate) mod writer;
