//! Connections to Redis: opening them, checking their health, and subscribing to channels.

pub(crate) mod connect;
pub(crate) mod failure;
pub(crate) mod health;
pub(crate) mod role;
pub(crate) mod subscriber;
