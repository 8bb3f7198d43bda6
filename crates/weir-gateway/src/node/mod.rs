//! Life of a node: build, run, drain, stop.

mod cluster;
mod drain;
mod edge;
mod run;

pub use self::run::{BuildError, Node, Shutdown};
