//! The public listener and the clients that connect to it.

pub(crate) mod adapter;
pub(crate) mod client;
pub(crate) mod client_address;
pub(crate) mod clients;
pub(crate) mod cors;
pub(crate) mod gate;
pub(crate) mod http;
pub(crate) mod idle;
pub(crate) mod polling;
mod query;
pub mod refusals;
pub(crate) mod transport;
pub(crate) mod websocket;
