//! The directory on Redis.

mod counts;
mod event;
mod lease;
mod mirror;
mod reconcile;
mod record;
mod redis_directory;
mod store;
mod watched;

pub use redis_directory::{DirectoryOptions, RedisDirectory};
