//! The public listener and the clients that connect to it.

pub mod accept;
pub(crate) mod adapter;
mod budget;
pub(crate) mod client;
pub(crate) mod client_address;
pub(crate) mod clients;
mod current_session;
pub(crate) mod http;
pub(crate) mod polling;
pub(crate) mod transport;
pub(crate) mod websocket;
