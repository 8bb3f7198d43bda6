//! Reliable exchange of signals between the nodes of a room.

mod core;
mod room;
mod rooms;
mod sender;

pub(crate) use rooms::{Exchange, run};
pub(crate) use sender::RoomSender;
