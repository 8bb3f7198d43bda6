//! Backend in the memory of one process.

mod audience;
mod bus;
mod channel;
mod directory;
mod expiry;
mod hub;
mod room;

pub use bus::MemoryBus;
pub use directory::MemoryDirectory;
pub use hub::{MemoryHub, MemoryOptions};
