//! Redis as the directory uses it: one call per operation, without state of its own.

mod client;
mod commands;
mod members;
mod nodes;
mod room_store;
mod rooms;
mod script;
mod tracks;

pub(crate) use self::{
    members::Reclaimed,
    nodes::{Beat, LEASE},
    room_store::{LIVE_TTL, RoomStore, StoreLimits},
};
