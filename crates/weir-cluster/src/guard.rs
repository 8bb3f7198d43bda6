//! Guards of watches and subscriptions.

use std::fmt;

/// Calls a function when it is dropped.
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

/// Guard of a watch: the events of a room reach the node's inbox until this is dropped.
///
/// Dropping it never blocks, and is allowed within a call of the inbox. An event that is being
/// delivered at that moment may still arrive.
#[must_use = "dropping it ends the watch"]
pub struct Watch(#[allow(dead_code)] OnDrop);

impl Watch {
    /// Creates a watch that `end` ends; `end` must neither block nor call an inbox.
    pub fn new(end: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(OnDrop::new(end))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// Guard of a subscription: messages of a channel reach its sink until this is dropped.
///
/// Dropping it never blocks, and is allowed within a call of the sink. A message that is being
/// delivered at that moment may still arrive.
#[must_use = "dropping it ends the subscription"]
pub struct Subscription(#[allow(dead_code)] OnDrop);

impl Subscription {
    /// Creates a subscription that `end` ends; `end` must neither block nor call a sink.
    pub fn new(end: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(OnDrop::new(end))
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}
