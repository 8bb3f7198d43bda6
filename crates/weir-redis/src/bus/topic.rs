//! Channels of the bus, with what their publishers know of them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use weir_cluster::Interest;

use crate::{Target, connection::cluster::Slot, target::Topology};

/// Kind of the channels of a bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChannelKind {
    /// Channels of one server.
    Plain,
    /// Sharded channels of a Redis Cluster.
    Sharded,
}

impl ChannelKind {
    /// Returns the kind of the channels of a target.
    pub(super) fn of(target: &Target) -> Self {
        match target.topology {
            Topology::Cluster => Self::Sharded,
            Topology::Standalone | Topology::Sentinel { .. } => Self::Plain,
        }
    }

    /// Returns the slot of a channel, which is always the same outside of a Redis Cluster.
    fn slot(self, name: &str) -> Slot {
        match self {
            Self::Plain => Slot::default(),
            Self::Sharded => Slot::for_key(name),
        }
    }

    /// Returns the publishing command up to the message.
    fn command(self, name: &str) -> String {
        let command = match self {
            Self::Plain => "$7\r\nPUBLISH",
            Self::Sharded => "$8\r\nSPUBLISH",
        };
        format!("*3\r\n{command}\r\n${}\r\n{name}\r\n$", name.len())
    }
}

/// Channel of the bus. Its publishers, its subscriptions and its queued messages share it.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    /// Publishing command up to the message.
    pub(super) command: Box<[u8]>,
    /// Slot of the name.
    pub(super) slot: Slot,
    /// Number of this node's own subscriptions.
    subscriptions: AtomicUsize,
    /// Epoch of the publishing connection in the upper half. In the lower half, 0 if the interest
    /// is unknown, else 1 more than the number of nodes that received the last message.
    interest: AtomicU64,
    table: Weak<Table>,
}

type Table = Mutex<HashMap<Arc<str>, Weak<Topic>>>;

impl Topic {
    /// Creates a channel of its own, whose interest nobody else observes.
    pub(super) fn new(name: String, kind: ChannelKind) -> Arc<Self> {
        Arc::new(Self::of(name.into(), kind, Weak::new()))
    }

    fn of(name: Arc<str>, kind: ChannelKind, table: Weak<Table>) -> Self {
        Self {
            command: kind.command(&name).into_bytes().into(),
            slot: kind.slot(&name),
            name,
            subscriptions: AtomicUsize::new(0),
            interest: AtomicU64::new(0),
            table,
        }
    }

    /// Records how many nodes received a message, on a connection of this epoch.
    pub(super) fn set_interest(&self, epoch: u32, nodes: u32) {
        let interest = u64::from(epoch) << 32 | u64::from(nodes.saturating_add(1));
        self.interest.store(interest, Ordering::Relaxed);
    }

    /// Records that the interest is unknown.
    pub(super) fn forget_interest(&self) {
        self.interest.store(0, Ordering::Relaxed);
    }

    /// Returns the number of other nodes that received the last message, if the connection of this
    /// epoch has published one.
    pub(super) fn interest(&self, epoch: u32) -> Interest {
        let interest = self.interest.load(Ordering::Relaxed);
        let nodes = (interest & u64::from(u32::MAX)) as usize;
        if nodes == 0 || interest >> 32 != u64::from(epoch) {
            return Interest::Unknown;
        }
        let own = self.subscriptions.load(Ordering::Relaxed) > 0;
        Interest::Nodes((nodes - 1).saturating_sub(usize::from(own)))
    }

    /// Counts a subscription of this node, until the returned guard is dropped.
    pub(super) fn subscribed(self: &Arc<Self>) -> OwnSubscription {
        self.subscriptions.fetch_add(1, Ordering::Relaxed);
        OwnSubscription(Arc::clone(self))
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        if let Some(table) = self.table.upgrade() {
            let mut table = table.lock();
            let dead = table
                .get(&self.name)
                .is_some_and(|one| one.strong_count() == 0);
            if dead {
                table.remove(&self.name);
            }
        }
    }
}

/// Guard of a counted subscription.
#[derive(Debug)]
pub(super) struct OwnSubscription(Arc<Topic>);

impl Drop for OwnSubscription {
    fn drop(&mut self) {
        self.0.subscriptions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Channels that are in use, so that all handles of a channel share its interest. Locked when a
/// handle is made or the last one is dropped, never per message.
#[derive(Debug)]
pub(super) struct Topics {
    table: Arc<Table>,
    kind: ChannelKind,
}

impl Topics {
    pub(super) fn new(kind: ChannelKind) -> Self {
        let table = Arc::default();
        Self { table, kind }
    }

    /// Returns the channel of this name.
    pub(super) fn get(&self, name: String) -> Arc<Topic> {
        let mut table = self.table.lock();
        if let Some(topic) = table.get(&*name).and_then(Weak::upgrade) {
            return topic;
        }
        let topic = Arc::new(Topic::of(
            name.into(),
            self.kind,
            Arc::downgrade(&self.table),
        ));
        table.insert(Arc::clone(&topic.name), Arc::downgrade(&topic));
        topic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interest_excludes_own_subscriptions_and_ends_with_the_connection() {
        let topic = Topic::new("a".to_owned(), ChannelKind::Plain);
        assert_eq!(topic.interest(0), Interest::Unknown);
        topic.set_interest(3, 2);
        assert_eq!(topic.interest(3), Interest::Nodes(2));
        let own = [topic.subscribed(), topic.subscribed()];
        assert_eq!(topic.interest(3), Interest::Nodes(1));
        topic.set_interest(3, 0);
        assert_eq!(topic.interest(3), Interest::Nodes(0));
        drop(own);
        topic.set_interest(3, u32::MAX);
        assert_eq!(topic.interest(4), Interest::Unknown);
        topic.set_interest(4, 1);
        topic.forget_interest();
        assert_eq!(topic.interest(4), Interest::Unknown);
    }

    #[test]
    fn handles_of_a_channel_share_it_and_the_last_one_removes_it() {
        let topics = Topics::new(ChannelKind::Sharded);
        let first = topics.get("a".to_owned());
        assert!(Arc::ptr_eq(&first, &topics.get("a".to_owned())));
        assert!(!Arc::ptr_eq(&first, &topics.get("b".to_owned())));
        assert_eq!(topics.table.lock().len(), 1, "nobody holds b");
        drop(first);
        assert!(topics.table.lock().is_empty());
    }
}
