//! Real Redis for tests: servers of their own, without data of earlier ones.

mod certificate;
mod cluster;
mod ports;
mod process;
mod replicas;
mod server;

pub use process::RedisProcess;
pub use server::RedisServer;
