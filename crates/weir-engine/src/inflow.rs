//! What comes from the bus and is yet to be handled: the task that reads from the bus does nothing
//! but put it here.

use std::{
    collections::{HashMap, VecDeque},
    fmt::Debug,
    hash::Hash,
    sync::{Arc, Mutex},
};

use tokio::{sync::Notify, task::AbortHandle};

use crate::lock;

/// A bounded queue with one task that empties it.
#[derive(Debug)]
pub(crate) struct Inflow<T> {
    waiting: Mutex<Waiting<T>>,
    /// Held while something is taken out and handled, so that all is in order.
    turn: Mutex<()>,
    filled: Notify,
    /// How many bytes may wait. Something that is alone may be longer.
    limit: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    items: VecDeque<(usize, T)>,
    bytes: usize,
}

impl<T> Inflow<T> {
    fn new(limit: usize) -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                items: VecDeque::new(),
                bytes: 0,
            }),
            turn: Mutex::default(),
            filled: Notify::new(),
            limit,
        }
    }

    /// Puts something of so many bytes in; false if there is no place.
    #[must_use]
    pub(crate) fn push(&self, bytes: usize, item: T) -> bool {
        let mut waiting = lock(&self.waiting);
        let first = waiting.items.is_empty();
        if !first && waiting.bytes + bytes > self.limit {
            return false;
        }
        waiting.bytes += bytes;
        waiting.items.push_back((bytes, item));
        drop(waiting);
        if first {
            self.filled.notify_one();
        }
        true
    }

    fn pop(&self) -> Option<T> {
        let mut waiting = lock(&self.waiting);
        let (bytes, item) = waiting.items.pop_front()?;
        waiting.bytes -= bytes;
        Some(item)
    }

    /// Handles the next one; false if there is none.
    fn step(&self, handle: impl Fn(T)) -> bool {
        let _turn = lock(&self.turn);
        let item = self.pop();
        item.map(handle).is_some()
    }

    /// Handles what is there, in place of the task.
    pub(crate) fn empty(&self, handle: impl Fn(T)) {
        while self.step(&handle) {}
    }

    /// Handles what comes, in order, for ever.
    async fn drain(&self, handle: impl Fn(T)) {
        loop {
            while self.step(&handle) {
                tokio::task::coop::consume_budget().await;
            }
            self.filled.notified().await;
        }
    }
}

/// The queues by what they are for. Locked to look one up, to put one in or to take one out.
#[derive(Debug)]
pub(crate) struct Inflows<K, T>(Mutex<HashMap<K, Arc<Inflow<T>>>>);

impl<K, T> Default for Inflows<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq, T> Inflows<K, T> {
    pub(crate) fn get(&self, key: &K) -> Option<Arc<Inflow<T>>> {
        lock(&self.0).get(key).cloned()
    }
}

/// A queue that is there, and emptied by a task, until this is dropped.
#[derive(Debug)]
pub(crate) struct Open<K: Hash + Eq, T> {
    inflows: Arc<Inflows<K, T>>,
    key: K,
    inflow: Arc<Inflow<T>>,
    task: AbortHandle,
}

impl<K, T> Open<K, T>
where
    K: Hash + Eq + Clone,
    T: Send + 'static,
{
    /// Has a task `handle` what comes for `key`, of which so many bytes may wait.
    pub(crate) fn new(
        inflows: &Arc<Inflows<K, T>>,
        key: &K,
        limit: usize,
        handle: impl Fn(T) + Send + Sync + 'static,
    ) -> Self {
        let inflow = Arc::new(Inflow::new(limit));
        lock(&inflows.0).insert(key.clone(), Arc::clone(&inflow));
        let drained = Arc::clone(&inflow);
        let task = tokio::spawn(async move { drained.drain(handle).await });
        Self {
            inflows: Arc::clone(inflows),
            key: key.clone(),
            inflow,
            task: task.abort_handle(),
        }
    }
}

impl<K: Hash + Eq, T> Drop for Open<K, T> {
    fn drop(&mut self) {
        let mut inflows = lock(&self.inflows.0);
        // There may be a later one for the same key by now.
        if let Some(inflow) = inflows.get(&self.key)
            && Arc::ptr_eq(inflow, &self.inflow)
        {
            inflows.remove(&self.key);
        }
        drop(inflows);
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn what_is_put_in_is_handled_in_order_until_the_queue_is_closed() {
        let inflows = Arc::new(Inflows::default());
        let (handled, mut told) = mpsc::channel(100);
        let open = Open::new(&inflows, &"a", 10, move |item: u32| {
            handled.try_send(item).expect("a place");
        });
        let inflow = inflows.get(&"a").expect("it is open");
        assert!(inflow.push(100, 1), "alone it may be longer");
        assert!(!inflow.push(1, 2));
        assert_eq!(told.recv().await, Some(1));
        for item in 3..6 {
            assert!(inflow.push(3, item));
        }
        assert!(!inflow.push(3, 6));
        for item in 3..6 {
            assert_eq!(told.recv().await, Some(item));
        }
        let later = Open::new(&inflows, &"a", 10, drop);
        drop(open);
        assert!(inflows.get(&"a").is_some());
        drop(later);
        assert!(inflows.get(&"a").is_none());
        assert_eq!(told.recv().await, None);
    }
}
