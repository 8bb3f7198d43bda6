//! The edge of a node: configuration, listeners, and what clients and operators see of it.

mod accept;
mod ack_id;
mod budget;
mod client;
mod clients;
mod cluster;
pub mod config;
mod direct;
mod drain;
mod edge;
mod follow;
mod inbound;
mod lane;
mod link;
pub mod logs;
mod media;
pub mod node;
pub mod ops;
pub mod pace;
mod pipe;
mod polled;
mod polling;
pub mod telemetry;
mod upgrade;
pub mod web;
