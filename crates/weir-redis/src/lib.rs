//! The Redis backend: rooms in Redis, chunks and signals over its pub/sub.

mod bus;
mod connect;
mod counts;
mod directory;
mod envelope;
mod event;
mod health;
mod keys;
mod lease;
mod mirror;
mod outbox;
mod record;
mod repair;
mod script;
mod store;
mod subscriber;
mod target;
mod watched;

pub use bus::{BusOptions, RedisBus};
pub use directory::{DirectoryOptions, RedisDirectory};
pub use health::Health;
pub use target::{Target, TargetError};
