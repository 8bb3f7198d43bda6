//! Weir: protocol.

mod limits;

pub use limits::Limits;
