//! A member of a room that is connected to this node.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use weir_protocol::{Limits, MemberId};

use super::publishing::Publishing;
use crate::Outlet;

/// A member and its connection.
#[derive(Debug)]
pub(crate) struct ConnectedMember {
    pub(crate) id: MemberId,
    pub(crate) outlet: Arc<dyn Outlet>,
    /// Whether it subscribes to every track of the others.
    pub(crate) auto_subscribe: bool,
    /// Whether it was removed without having left.
    removed: AtomicBool,
    pub(super) publishing: Arc<Publishing>,
}

impl ConnectedMember {
    /// Creates a member that publishes no track yet.
    pub(crate) fn new(
        id: MemberId,
        outlet: Arc<dyn Outlet>,
        auto_subscribe: bool,
        publishing: Arc<Publishing>,
        limits: &Limits,
    ) -> Self {
        publishing.open(limits);
        Self {
            id,
            outlet,
            auto_subscribe,
            removed: AtomicBool::new(false),
            publishing,
        }
    }

    /// Marks the member as removed: its room was closed, or its seat was removed.
    pub(super) fn set_removed(&self) {
        self.removed.store(true, Ordering::Release);
        self.publishing.close();
    }

    /// Returns whether the member was removed without having left.
    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }
}
