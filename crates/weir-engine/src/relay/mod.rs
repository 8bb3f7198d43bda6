//! The way from the bus to rooms and tracks.

mod address;
mod inflow;
mod sinks;

pub(crate) use address::{RoomAddress, TrackAddress};
pub(crate) use inflow::{AbortOnDrop, Inflow};
pub(crate) use sinks::{RoomMessage, RoomSink};
