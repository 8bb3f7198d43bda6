//! Wanted channels, and the pending work of each server's connection.

use std::{collections::HashSet, ptr::addr_eq, sync::Arc};

use tokio::sync::{Notify, oneshot};

use crate::connection::{
    server::ServerId,
    wire::{MessageSink, Sinks},
};

/// Identifier of a subscription among those of a subscriber.
pub(super) type SinkId = u64;

/// State of a wanted channel.
#[derive(Debug, Default)]
pub(super) struct WantedChannel {
    /// Sinks of the subscriptions, one or more.
    pub(super) sinks: Vec<(SinkId, Arc<dyn MessageSink>)>,
    /// Owner of the channel, if known.
    pub(super) server: Option<ServerId>,
    /// True from the owner's confirmation of the subscription until the subscription ends.
    pub(super) subscribed: bool,
    /// True if messages may have been missed.
    pub(super) lost: bool,
    /// Subscriptions to confirm once their messages are delivered.
    pub(super) waiting: Vec<oneshot::Sender<()>>,
}

impl WantedChannel {
    /// Returns the sinks, each once.
    pub(super) fn sinks(&self) -> Sinks {
        let mut sinks = Sinks::with_capacity(self.sinks.len());
        for (_, sink) in &self.sinks {
            if !sinks
                .iter()
                .any(|known| addr_eq(Arc::as_ptr(known), Arc::as_ptr(sink)))
            {
                sinks.push(Arc::clone(sink));
            }
        }
        sinks
    }
}

/// Pending work of a server's connection, and its state.
#[derive(Debug)]
pub(super) struct ServerWork {
    pub(super) begin: HashSet<Arc<str>>,
    pub(super) end: HashSet<Arc<str>>,
    /// Channels whose sinks have changed.
    pub(super) routes: HashSet<Arc<str>>,
    pub(super) wake: Arc<Notify>,
    /// Reason why the server does not serve.
    pub(super) trouble: Option<Arc<str>>,
    /// True if the last connection attempt failed.
    pub(super) unreachable: bool,
    /// True if the connection is considered dead.
    pub(super) deaf: bool,
}

/// Consequences of a confirmed subscription.
#[derive(Debug)]
pub(super) struct Confirmation {
    /// Sinks to set. Messages received before belong to an earlier subscription.
    pub(super) sinks: Sinks,
    /// Subscriptions to confirm once the sinks are set.
    pub(super) waiting: Vec<oneshot::Sender<()>>,
    /// True if messages may have been missed before.
    pub(super) recovered: bool,
}

/// Next commands of a connection.
#[derive(Debug, Default)]
pub(super) struct SubscriptionBatch {
    /// Changed sinks of subscribed channels.
    pub(super) routes: Vec<(Arc<str>, Sinks)>,
    /// Subscriptions to confirm once the sinks are set.
    pub(super) routed: Vec<oneshot::Sender<()>>,
    /// Channels to unsubscribe from.
    pub(super) end: Vec<Arc<str>>,
    /// Channels to subscribe to.
    pub(super) begin: Vec<Arc<str>>,
}

impl SubscriptionBatch {
    /// Returns whether there is no command to send.
    pub(super) fn has_no_commands(&self) -> bool {
        self.end.is_empty() && self.begin.is_empty()
    }
}

impl ServerWork {
    pub(super) fn new() -> Self {
        Self {
            begin: HashSet::new(),
            end: HashSet::new(),
            routes: HashSet::new(),
            wake: Arc::default(),
            trouble: Some("there is no connection yet".into()),
            unreachable: false,
            deaf: false,
        }
    }
}
