//! The Redis backend: rooms in Redis, chunks and signals over its pub/sub.

mod bus;
mod connection;
mod directory;
mod keys;
mod target;

pub use bus::RedisBus;
pub use connection::health::Health;
pub use directory::{DirectoryOptions, RedisDirectory};
pub use target::{Target, TargetError};
