//! Packets that nodes send, encoded as frames.

mod ack;
mod frame;
mod notice;
mod text;

pub use ack::Ack;
pub use frame::{Frame, MAX_ACK_ID};
pub use notice::Notice;
