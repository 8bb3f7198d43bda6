//! A node's runtime: its rooms, members and tracks, and the path of every chunk and event to the
//! members that are connected to it.
//!
//! The engine knows neither sockets nor transports. A connection is an [`Outlet`], and its client's
//! requests arrive through a [`Session`]. The state of rooms comes from a
//! [`weir_cluster::Directory`]; chunks and signals of other nodes come over a [`weir_cluster::Bus`].

mod counters;
mod engine;
mod id;
mod outlet;
mod registry;
mod relay;
mod room;
mod session;
mod track;

pub use counters::{ByCode, ByKind, Counter, Counters};
pub use engine::{Engine, EngineOptions, Ports};
pub use outlet::{Delivery, Outlet};
pub use session::{Session, SessionIdentity};
