//! Probes: messages that a node publishes to itself.

mod plane_probe;
mod rounds;

pub(crate) use plane_probe::PlaneProbe;
pub(crate) use rounds::{POLL, ProbedServer};
