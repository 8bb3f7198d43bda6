//! Bounded queue between the bus and the task that handles its messages.

use std::{collections::VecDeque, fmt, mem};

use parking_lot::Mutex;
use tokio::{sync::Notify, task::AbortHandle};

/// Messages of one channel that wait to be handled. The sink of the channel only enqueues them.
pub(crate) struct Inflow<T> {
    /// Locked to enqueue one message, or to take all of them.
    waiting: Mutex<Waiting<T>>,
    filled: Notify,
    /// Capacity in bytes, without the batch that is being handled. A message that is alone may be
    /// longer.
    limit: usize,
}

struct Waiting<T> {
    items: VecDeque<T>,
    bytes: usize,
    /// True if the consumer has found the queue empty since the last message.
    idle: bool,
}

impl<T> fmt::Debug for Inflow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inflow")
    }
}

impl<T> Inflow<T> {
    /// Creates a queue of `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                items: VecDeque::new(),
                bytes: 0,
                idle: true,
            }),
            filled: Notify::new(),
            limit,
        }
    }

    /// Enqueues a message of `bytes` bytes. Returns false if the queue is full.
    #[must_use]
    pub(crate) fn push(&self, bytes: usize, item: T) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.bytes + bytes > self.limit && !waiting.items.is_empty() {
            return false;
        }
        waiting.bytes += bytes;
        waiting.items.push_back(item);
        let wake = mem::take(&mut waiting.idle);
        drop(waiting);
        if wake {
            self.filled.notify_one();
        }
        true
    }

    /// Returns whether no message waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.lock().items.is_empty()
    }

    /// Swaps all waiting messages with `batch`, which must be empty.
    pub(crate) fn take(&self, batch: &mut VecDeque<T>) {
        let mut waiting = self.waiting.lock();
        waiting.bytes = 0;
        waiting.idle = waiting.items.is_empty();
        mem::swap(&mut waiting.items, batch);
    }

    /// Waits until a message is enqueued after [`take`](Self::take) has found none.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Handles messages in order, for ever.
    pub(crate) async fn drain(&self, handle: impl Fn(T)) {
        let mut batch = VecDeque::new();
        loop {
            self.take(&mut batch);
            if batch.is_empty() {
                self.filled().await;
            }
            for item in batch.drain(..) {
                handle(item);
                tokio::task::coop::consume_budget().await;
            }
        }
    }
}

/// Aborts a task when it is dropped.
#[derive(Debug)]
pub(crate) struct AbortOnDrop(pub(crate) AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn messages_are_handled_in_order_and_bounded_in_bytes() {
        let inflow = Arc::new(Inflow::new(10));
        let (handled, mut received) = mpsc::channel(100);
        let drained = Arc::clone(&inflow);
        let task = tokio::spawn(async move {
            let handle = |item: u32| handled.try_send(item).expect("room for it");
            drained.drain(handle).await;
        });
        let task = AbortOnDrop(task.abort_handle());
        assert!(inflow.push(100, 1), "a single message may be longer");
        assert!(!inflow.push(1, 2));
        assert_eq!(received.recv().await, Some(1));
        for item in 3..6 {
            assert!(inflow.push(3, item));
        }
        assert!(!inflow.push(3, 6));
        for item in 3..6 {
            assert_eq!(received.recv().await, Some(item));
        }
        drop(task);
        assert_eq!(received.recv().await, None);
    }
    #[tokio::test]
    async fn only_an_idle_consumer_is_woken() {
        let (inflow, mut batch) = (Inflow::new(10), VecDeque::new());
        assert!(inflow.push(1, 1));
        assert!(inflow.push(1, 2));
        inflow.filled().await;
        inflow.take(&mut batch);
        assert_eq!(batch, [1, 2]);
        assert!(inflow.push(1, 3), "the consumer is handling a batch");
        assert_eq!(inflow.filled().now_or_never(), None);
        batch.clear();
        inflow.take(&mut batch);
        batch.clear();
        inflow.take(&mut batch);
        assert!(inflow.push(1, 4), "the consumer has found nothing");
        assert_eq!(inflow.filled().now_or_never(), Some(()));
    }
}
