//! HTTP requests of the public listener.

mod answers;
pub(crate) mod cors;
mod polling;
pub(super) mod query;
pub(crate) mod service;
pub(crate) mod timeouts;
mod websocket;
