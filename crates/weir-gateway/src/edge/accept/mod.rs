//! Accepts connections, and refuses those over a limit.

pub(crate) mod gate;
pub mod refusals;
