//! Long-polling.

pub(crate) mod queue;
pub(crate) mod sessions;
