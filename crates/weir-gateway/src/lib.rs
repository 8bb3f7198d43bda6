//! The edge of a node: configuration, listeners, and what clients and operators see of it.

pub mod config;
pub mod edge;
pub mod node;
pub mod ops;
pub mod telemetry;
pub mod web;
