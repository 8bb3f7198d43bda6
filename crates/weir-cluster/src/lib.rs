//! What joins the nodes of a cluster: two ports, and a backend that keeps both in memory.
//!
//! The [`Directory`] is what is true about rooms, the [`Bus`] what is happening in them now. Both
//! are small and object-safe, so neither the engine nor the gateway knows which backend they have.
//! Both report to an inbox of the node's, by plain synchronous calls: there is no queue of ours
//! between a backend and a node that could fill up unnoticed.

mod bus;
#[cfg(feature = "contract")]
pub mod contract;
mod directory;
mod error;
mod guard;
mod hop;
mod log_throttle;
mod memory;
mod sample;
pub mod trace;

pub use bus::{
    Bus, BusError, ChunkPublisher, ChunkSink, Interest, Relayed, Signal, SignalSender, SignalSink,
    TrackKey,
};
pub use directory::{Directory, Inbox, Joined, NewMember, NewRoom};
pub use error::DirectoryError;
pub use futures_util::future::BoxFuture;
pub use guard::{Subscription, Watch};
pub use hop::{DURATION_BOUNDS, Hop};
pub use log_throttle::LogThrottle;
pub use memory::{MemoryBus, MemoryDirectory, MemoryHub, MemoryOptions};
pub use sample::Sample;
