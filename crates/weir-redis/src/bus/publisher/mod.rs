//! Connections that publish the messages of the outbox.

mod cluster;
mod in_flight;
mod single;
mod task;

pub(super) use task::run;
