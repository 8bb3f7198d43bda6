//! The server of a node: configuration, listeners, transports and telemetry.

pub mod config;
pub mod edge;
pub mod node;
pub mod ops;
pub mod readiness;
pub mod telemetry;
pub mod web;
