//! The bus: chunks and signals over pub/sub.

mod chunks;
mod counters;
mod envelope;
mod exchange;
mod outbox;
mod publisher;
mod redis_bus;
mod signals;
mod topic;

pub use redis_bus::RedisBus;
