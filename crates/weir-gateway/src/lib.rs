//! Weir: gateway.

pub mod config;
