//! Accepts connections to the public listener, and refuses those over a limit.

pub(crate) mod acceptor;
pub(crate) mod connection;
pub(crate) mod gate;
pub(crate) mod listener;
mod refusals;
pub mod responder;
