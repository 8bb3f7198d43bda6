//! The directory on Redis.

mod counts;
mod directory_core;
mod events;
mod node;
mod operations;
mod reconcile;
mod redis_directory;
mod room;
mod store;

pub use redis_directory::{DirectoryOptions, RedisDirectory};
