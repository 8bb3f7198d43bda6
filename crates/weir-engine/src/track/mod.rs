//! Tracks of the rooms in use on this node, and the fan-out of their chunks.

mod active_track;
mod ingest;
mod relayed;
mod sink;
mod subscribers;
mod subscription;

pub(crate) use active_track::ActiveTrack;
pub(crate) use ingest::IngestTrack;
pub(crate) use subscription::Claim;
