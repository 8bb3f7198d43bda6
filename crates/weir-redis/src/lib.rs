//! The Redis backend: rooms in Redis, chunks and signals over its pub/sub.

mod keys;
mod target;

pub use target::{Target, TargetError};
