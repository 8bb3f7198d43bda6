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

/// Channel of the bus. Its publishers, its subscriptions and its queued messages share it.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    /// `PUBLISH` command up to the message.
    pub(super) command: Box<[u8]>,
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
    pub(super) fn new(name: String) -> Arc<Self> {
        Arc::new(Self::of(name.into(), Weak::new()))
    }

    fn of(name: Arc<str>, table: Weak<Table>) -> Self {
        let command = format!("*3\r\n$7\r\nPUBLISH\r\n${}\r\n{name}\r\n$", name.len());
        Self {
            name,
            command: command.into_bytes().into(),
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
#[derive(Debug, Default)]
pub(super) struct Topics(Arc<Table>);

impl Topics {
    /// Returns the channel of this name.
    pub(super) fn get(&self, name: String) -> Arc<Topic> {
        let mut table = self.0.lock();
        if let Some(topic) = table.get(&*name).and_then(Weak::upgrade) {
            return topic;
        }
        let topic = Arc::new(Topic::of(name.into(), Arc::downgrade(&self.0)));
        table.insert(Arc::clone(&topic.name), Arc::downgrade(&topic));
        topic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interest_excludes_own_subscriptions_and_ends_with_the_connection() {
        let topic = Topic::new("a".to_owned());
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
        let topics = Topics::default();
        let first = topics.get("a".to_owned());
        assert!(Arc::ptr_eq(&first, &topics.get("a".to_owned())));
        assert!(!Arc::ptr_eq(&first, &topics.get("b".to_owned())));
        assert_eq!(topics.0.lock().len(), 1, "nobody holds b");
        drop(first);
        assert!(topics.0.lock().is_empty());
    }
}
