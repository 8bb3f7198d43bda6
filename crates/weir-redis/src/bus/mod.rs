//! The bus: chunks and signals over pub/sub.

mod envelope;
mod exchange;
mod outbox;
mod publisher;
mod redis_bus;
mod signals;

pub use redis_bus::RedisBus;
