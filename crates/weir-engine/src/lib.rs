//! A node's runtime: its rooms, members and tracks, and the way of every chunk and event to the
//! members that are connected to it.
//!
//! The engine knows neither sockets nor transports: a connection is an [`Outlet`] to it, and what
//! the connection's client asks for comes in through a [`Session`]. What is true about rooms comes
//! from a [`weir_cluster::Directory`]; what happens on other nodes comes over a
//! [`weir_cluster::Bus`].

mod backlog;
mod counters;
mod early;
mod engine;
mod follow;
mod id;
mod inflow;
mod keyframe;
mod link;
mod member;
mod outlet;
mod queue;
mod registry;
mod reply;
mod request;
mod room;
mod session;
mod state;
mod track;

pub use counters::{ByCode, ByKind, Counter, Counters};
pub use engine::{Backend, Engine, Options};
pub use outlet::{Delivery, Outlet};
pub use session::{Origin, Session};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; a thread that panicked with the lock has left nothing half done that others would trip
/// over.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
