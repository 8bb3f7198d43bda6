//! Packets of Engine.IO and Socket.IO.

mod decoder;
mod encode;
mod packet;

pub(crate) use decoder::PacketDecoder;
pub(crate) use encode::{event_text, put_packet};
pub(crate) use packet::ServerPacket;
pub use packet::{Acknowledgement, Arrival, Incoming, MediaHeader, PacketError, placeholder};
