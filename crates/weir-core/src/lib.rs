//! The rules as state machines without IO, clock or randomness: time and inputs are arguments.

mod arrivals;
mod beginning;
mod connections;
mod demand;
mod flow;
mod ingest;
mod quota;
mod throttle;

pub use arrivals::{Arrivals, Arrived};
pub use beginning::Beginning;
pub use connections::{ConnectionLimits, Connections, Refused};
pub use demand::Demand;
pub use flow::{Flow, Offer, Start};
pub use ingest::{Ingest, KeyRule};
pub use quota::{Exceeded, IngestQuota, Quota};
pub use throttle::{Throttle, Throttled};
