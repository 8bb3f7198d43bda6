//! Weir: cluster.
