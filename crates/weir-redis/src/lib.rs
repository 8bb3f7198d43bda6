//! The Redis backend: rooms in Redis, chunks and signals over its pub/sub.

mod connect;
mod directory;
mod event;
mod keys;
mod lease;
mod mirror;
mod record;
mod script;
mod store;
mod subscriber;
mod target;
mod watched;

pub use directory::{DirectoryOptions, RedisDirectory};
pub use target::{Target, TargetError};
