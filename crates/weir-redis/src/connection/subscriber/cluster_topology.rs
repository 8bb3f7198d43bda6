//! Topology of a Redis Cluster, which a plane's subscriber follows and its publisher shares.

use std::sync::Arc;

use tokio::sync::watch;

use super::state::SubscriberState;
use crate::connection::{
    cluster::{ClusterView, Slot},
    server::ServerId,
};

/// Handle on the topology that a subscriber follows. Outside of a Redis Cluster it has no slots,
/// and what is reported to it is ignored.
#[derive(Debug, Clone)]
pub(crate) struct ClusterTopology(Arc<SubscriberState>);

impl ClusterTopology {
    pub(super) fn of(state: &Arc<SubscriberState>) -> Self {
        Self(Arc::clone(state))
    }

    /// Returns a receiver of the topology.
    pub(crate) fn view(&self) -> watch::Receiver<ClusterView> {
        self.0.channels.lock().view()
    }

    /// Records the reply of `asked` that a slot has moved, and requests a query of the topology.
    pub(crate) fn moved(&self, slot: Slot, to: ServerId, asked: &ServerId) {
        let mut channels = self.0.channels.lock();
        channels.moved(slot, to);
        channels.ask(Some(asked.clone()));
    }

    /// Requests a query of the topology that starts with `first`.
    pub(crate) fn ask(&self, first: Option<ServerId>) {
        self.0.channels.lock().ask(first);
    }
}
