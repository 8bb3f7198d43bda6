//! Topology of a Redis Cluster: hash slots and their owners.

mod slot;
mod slot_map;
mod view;

pub(crate) use slot::Slot;
pub(crate) use slot_map::SlotMap;
pub(crate) use view::ClusterView;
