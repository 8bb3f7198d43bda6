//! Connections that publish the messages of the outbox, one per server.

mod connection;
mod in_flight;
mod task;

pub(super) use task::run;
