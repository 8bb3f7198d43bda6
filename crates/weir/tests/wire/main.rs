//! Clients that use the wire in unusual ways, on one node.

#[path = "../common/mod.rs"]
mod common;
mod first_events;
mod pieces;
mod polling;
