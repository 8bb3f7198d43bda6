//! The Redis backend: rooms in Redis, chunks and signals over its pub/sub.

mod bus;
mod commands;
mod connection;
mod counts;
mod directory;
mod event;
mod keys;
mod lease;
mod mirror;
mod nodes;
mod record;
mod repair;
mod script;
mod store;
mod target;
mod watched;

pub use bus::{BusOptions, RedisBus};
pub use connection::health::Health;
pub use directory::{DirectoryOptions, RedisDirectory};
pub use target::{Target, TargetError};
