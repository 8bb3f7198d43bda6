//! HTTP requests of the public listener.

pub(crate) mod cors;
pub(super) mod query;
pub(crate) mod service;
pub(crate) mod timeouts;
