//! The two ports that connect the nodes of a cluster, and a backend that keeps both in memory.
//!
//! The [`Directory`] holds the state of rooms; the [`Bus`] carries chunks and signals between nodes.
//! Both are small and object-safe, so neither the engine nor the gateway depends on a backend. A
//! backend reports events to the node's [`Inbox`] and messages to the sink of their subscription,
//! by plain synchronous calls: no queue between backend and node can fill up unnoticed.

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
    Bus, BusError, ChunkPublisher, ChunkSink, EarlierChunks, Interest, Relayed, Signal,
    SignalSender, SignalSink, TrackKey,
};
pub use directory::{Directory, Inbox, Joined, NewMember, NewRoom};
pub use error::DirectoryError;
pub use futures_util::future::BoxFuture;
pub use guard::{Subscription, Watch};
pub use hop::{DURATION_BOUNDS, Hop};
pub use log_throttle::LogThrottle;
pub use memory::{MemoryBus, MemoryDirectory, MemoryHub, MemoryOptions};
pub use sample::Sample;
