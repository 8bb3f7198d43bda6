//! MemoryChannels of the bus in memory.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use crate::Subscription;

/// MemoryChannels in use, by key.
#[derive(Debug)]
pub(super) struct MemoryChannels<K: Hash + Eq, S: ?Sized> {
    /// Locked to look a channel up, to insert one or to remove one.
    open: Mutex<HashMap<K, Weak<MemoryChannel<K, S>>>>,
    /// Source of subscription ids.
    ids: AtomicU64,
}

/// Subscriptions to one channel.
#[derive(Debug)]
pub(super) struct MemoryChannel<K: Hash + Eq, S: ?Sized> {
    channels: Weak<MemoryChannels<K, S>>,
    key: K,
    /// Replaced as a whole, so that no lock is held while sinks are called.
    receivers: Mutex<Arc<[Receiver<S>]>>,
}

/// One subscription of a node.
#[derive(Debug)]
pub(super) struct Receiver<S: ?Sized> {
    id: u64,
    node: u64,
    sink: Arc<S>,
}

impl<S: ?Sized> Clone for Receiver<S> {
    fn clone(&self) -> Self {
        Self {
            sink: Arc::clone(&self.sink),
            ..*self
        }
    }
}

impl<K: Hash + Eq, S: ?Sized> Default for MemoryChannels<K, S> {
    fn default() -> Self {
        Self {
            open: Mutex::default(),
            ids: AtomicU64::default(),
        }
    }
}

impl<K, S> MemoryChannels<K, S>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    S: ?Sized + Send + Sync + 'static,
{
    /// Returns the channel of `key`, which exists while somebody holds it.
    pub(super) fn open(self: &Arc<Self>, key: &K) -> Arc<MemoryChannel<K, S>> {
        let mut open = self.open.lock();
        if let Some(channel) = open.get(key).and_then(Weak::upgrade) {
            return channel;
        }
        let channel = Arc::new(MemoryChannel {
            channels: Arc::downgrade(self),
            key: key.clone(),
            receivers: Mutex::new(Arc::new([])),
        });
        open.insert(key.clone(), Arc::downgrade(&channel));
        channel
    }

    /// Subscribes `sink` of `node` to the channel of `key`.
    pub(super) fn subscribe(self: &Arc<Self>, key: &K, node: u64, sink: Arc<S>) -> Subscription {
        let channel = self.open(key);
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        channel.change(|receivers| receivers.push(Receiver { id, node, sink }));
        Subscription::new(move || channel.change(|receivers| receivers.retain(|one| one.id != id)))
    }
}

impl<K: Hash + Eq, S: ?Sized> MemoryChannel<K, S> {
    /// Calls `deliver` with the sink of each subscription of another node than `node`.
    pub(super) fn to_others(&self, node: u64, deliver: impl FnMut(&S)) {
        let receivers = Arc::clone(&self.receivers.lock());
        let others = receivers.iter().filter(|one| one.node != node);
        others.map(|one| &*one.sink).for_each(deliver);
    }

    /// Returns the number of nodes other than `node` with a subscription.
    pub(super) fn others(&self, node: u64) -> usize {
        let receivers = Arc::clone(&self.receivers.lock());
        let mut nodes: Vec<_> = receivers.iter().map(|one| one.node).collect();
        nodes.retain(|one| *one != node);
        nodes.sort_unstable();
        nodes.dedup();
        nodes.len()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Receiver<S>>)) {
        let mut receivers = self.receivers.lock();
        let mut changed = receivers.to_vec();
        change(&mut changed);
        let before = std::mem::replace(&mut *receivers, changed.into());
        drop(receivers);
        // Runs the destructors of sinks, which may use the channel.
        drop(before);
    }
}

impl<K: Hash + Eq, S: ?Sized> Drop for MemoryChannel<K, S> {
    fn drop(&mut self) {
        let Some(channels) = self.channels.upgrade() else {
            return;
        };
        let mut open = channels.open.lock();
        // Another channel may have the key by now.
        if open
            .get(&self.key)
            .is_some_and(|one| one.strong_count() == 0)
        {
            open.remove(&self.key);
        }
    }
}
