//! Guards: what a node asked to be told lasts as long as one of these.

use std::fmt;

/// Runs something when it is dropped.
struct OnDrop(Option<Box<dyn FnOnce() + Send + Sync>>);

impl OnDrop {
    fn new(end: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(end)))
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

/// The events of a room reach the node's inbox until this is dropped.
///
/// Dropping it neither blocks nor waits, and an inbox may do it while it is told of an event. One
/// that is being delivered at that moment may still arrive.
#[must_use = "dropping it ends the watch"]
pub struct Watch(#[allow(dead_code)] OnDrop);

impl Watch {
    /// A watch that `end` ends; `end` must neither block nor call an inbox.
    pub fn new(end: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(OnDrop::new(end))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// What a node has subscribed to on the bus reaches its inbox until this is dropped.
///
/// Dropping it neither blocks nor waits, and an inbox may do it while it is told something. What is
/// being delivered at that moment may still arrive.
#[must_use = "dropping it ends the subscription"]
pub struct Subscription(#[allow(dead_code)] OnDrop);

impl Subscription {
    /// A subscription that `end` ends; `end` must neither block nor call an inbox.
    pub fn new(end: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(OnDrop::new(end))
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}
