//! Connections to Redis: opening them, checking their health, following the topology of a cluster,
//! and subscribing to channels.

pub(crate) mod backoff;
pub(crate) mod cluster;
pub(crate) mod connect;
pub(crate) mod failure;
pub(crate) mod health;
pub(crate) mod probe;
pub(crate) mod server;
pub(crate) mod stream;
pub(crate) mod subscriber;
pub(crate) mod wire;
