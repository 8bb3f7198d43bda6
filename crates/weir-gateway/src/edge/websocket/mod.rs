//! WebSockets: opening handshake, upgrade from long-polling, frames in and out.

pub(crate) mod ack_id;
pub(crate) mod admission;
pub(crate) mod budget;
pub(crate) mod fast_path;
mod frames;
pub(crate) mod handshake;
pub(crate) mod probe;
pub(crate) mod reader;
pub(crate) mod upgrade;
pub(crate) mod writer;
