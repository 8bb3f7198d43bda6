//! A node: its start, its cluster and its end.

pub(crate) mod cluster;
pub(crate) mod drain;
pub(crate) mod run;

pub use self::run::{BuildError, Node, Shutdown};
