//! Topology of a Redis Cluster as this node knows it.

use std::sync::Arc;

use super::slot_map::SlotMap;

/// Topology as last reported by a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClusterView {
    /// Owners of the slots. There are none before the first report, or outside of a Redis Cluster.
    pub(crate) slots: Arc<SlotMap>,
    /// Cause of the last failed query, if the topology is not known since.
    pub(crate) unknown: Option<Arc<str>>,
}
