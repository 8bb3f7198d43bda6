//! The backend that keeps both planes in the memory of one process.

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

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks what a panicking inbox may have left locked: every change is complete before an inbox is
/// told of it, so one node's fault must not take the room from the others.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
