//! The rules, as state machines without IO, clock or randomness: what time it is, and what has
//! happened, are arguments.

mod connections;
mod flow;
mod ingest;
mod quota;

pub use connections::{ConnectionLimits, Connections, Refused};
pub use flow::{Flow, Offer, Start};
pub use ingest::{Ingest, KeyRule};
pub use quota::{Exceeded, IngestQuota, Quota};
