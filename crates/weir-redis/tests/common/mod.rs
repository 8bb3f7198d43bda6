//! Helpers of the tests on a real Redis.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::{sync::Arc, time::Duration};

use weir_cluster::{Inbox, Signal, SignalSink};
use weir_protocol::{RoomEvent, RoomId};
use weir_redis::DirectoryOptions;

/// Returns options with a prefix and the defaults of a node.
pub(crate) fn options(prefix: &str) -> DirectoryOptions {
    DirectoryOptions {
        prefix: prefix.to_owned(),
        empty_ttl: Duration::from_secs(60),
        room_state_bytes: 4 * 1024 * 1024,
    }
}

/// Ignores all events and signals.
#[derive(Debug)]
pub(crate) struct Nobody;

impl SignalSink for Nobody {
    fn signal(&self, _: Arc<Signal>) {}

    fn interrupted(&self) {}
}

impl Inbox for Nobody {
    fn room_event(&self, _: &RoomId, _: &Arc<RoomEvent>) {}
}
