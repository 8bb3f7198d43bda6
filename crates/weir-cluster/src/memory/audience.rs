//! Nodes that watch rooms.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use parking_lot::Mutex;

/// Node that watches a key.
#[derive(Debug)]
pub(super) struct Listener<I: ?Sized> {
    /// Number of the node.
    pub(super) node: u64,
    /// Inbox of the node.
    pub(super) inbox: Arc<I>,
    /// Number of its guards.
    guards: usize,
}

impl<I: ?Sized> Clone for Listener<I> {
    fn clone(&self) -> Self {
        Self {
            node: self.node,
            inbox: Arc::clone(&self.inbox),
            guards: self.guards,
        }
    }
}

/// Watching nodes by key.
///
/// The lock guards the table only, and is not held while inboxes are called: a list is replaced as
/// a whole.
#[derive(Debug)]
pub(super) struct Audience<K, I: ?Sized>(Mutex<HashMap<K, Arc<[Listener<I>]>>>);

impl<K, I: ?Sized> Default for Audience<K, I> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq + Clone, I: ?Sized> Audience<K, I> {
    /// Returns the nodes that watch `key`.
    pub(super) fn of(&self, key: &K) -> Option<Arc<[Listener<I>]>> {
        self.0.lock().get(key).cloned()
    }

    /// Adds a guard of `node`, which is called once however many it holds.
    pub(super) fn enter(&self, key: &K, node: u64, inbox: &Arc<I>) {
        self.change(key, |listeners| {
            if let Some(listener) = listeners.iter_mut().find(|one| one.node == node) {
                listener.guards += 1;
            } else {
                listeners.push(Listener {
                    node,
                    inbox: Arc::clone(inbox),
                    guards: 1,
                });
            }
        });
    }

    /// Removes a guard of `node`.
    pub(super) fn exit(&self, key: &K, node: u64) {
        self.change(key, |listeners| {
            listeners.retain_mut(|listener| {
                listener.guards -= usize::from(listener.node == node);
                listener.guards > 0
            });
        });
    }

    fn change(&self, key: &K, change: impl FnOnce(&mut Vec<Listener<I>>)) {
        let mut table = self.0.lock();
        let mut listeners = table.get(key).map(|list| list.to_vec()).unwrap_or_default();
        change(&mut listeners);
        if listeners.is_empty() {
            table.remove(key);
        } else {
            table.insert(key.clone(), listeners.into());
        }
    }
}
