//! Sinks of a connection's channels.

use std::{collections::HashMap, fmt::Debug, sync::Arc};

use foldhash::fast::RandomState;

/// Receiver of a channel's messages. Calls must not block: they hold up the whole connection.
pub(crate) trait MessageSink: Send + Sync + Debug {
    /// Receives a message. `more` says that further bytes were received behind it.
    fn message(&self, payload: &[u8], more: bool);

    /// Reports that the subscription was lost for a while and holds again.
    fn interrupted(&self) {}
}

/// Sinks of one channel.
pub(crate) type Sinks = Vec<Arc<dyn MessageSink>>;

/// Sinks by channel. They belong to the connection that receives the channels, so dispatching takes
/// no lock.
#[derive(Debug, Default)]
pub(crate) struct Routes(HashMap<Arc<[u8]>, Sinks, RandomState>);

impl Routes {
    /// Sets the sinks of a channel.
    pub(crate) fn set(&mut self, channel: Arc<str>, sinks: Sinks) {
        self.0.insert(channel.into(), sinks);
    }

    /// Removes the sinks of a channel.
    pub(crate) fn remove(&mut self, channel: &str) {
        self.0.remove(channel.as_bytes());
    }

    /// Returns the sinks of a channel. A channel without sinks is about to be unsubscribed; its
    /// messages are dropped.
    pub(crate) fn sinks(&self, channel: &[u8]) -> &[Arc<dyn MessageSink>] {
        self.0.get(channel).map_or(&[], Vec::as_slice)
    }

    /// Reports an interruption to all sinks.
    pub(crate) fn interrupted(&self) {
        for sink in self.0.values().flatten() {
            sink.interrupted();
        }
    }
}
