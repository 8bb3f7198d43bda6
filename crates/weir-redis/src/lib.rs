//! The Redis backend: rooms in Redis, chunks and signals over its pub/sub.

mod bus;
mod commands;
mod connect;
mod counts;
mod directory;
mod envelope;
mod event;
mod exchange;
mod failure;
mod health;
mod keys;
mod lease;
mod mirror;
mod nodes;
mod outbox;
mod publisher;
mod record;
mod repair;
mod role;
mod script;
mod signals;
mod store;
mod subscriber;
mod target;
mod watched;

pub use bus::{BusOptions, RedisBus};
pub use directory::{DirectoryOptions, RedisDirectory};
pub use health::Health;
pub use target::{Target, TargetError};
