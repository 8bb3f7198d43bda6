//! What a node counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows, from 0 at the start of the node.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds 1.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// Adds `amount`.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// The number now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What a node counts.
        ///
        /// Each chunk that a client sends is `received` or `refused`; a received one that other
        /// nodes want is `relayed` or `unrelayed`. Each copy of a received or arrived one for a
        /// subscriber is `sent`, `queued`, `dropped` or `closed`.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: Counter,)+
        }

        impl Counters {
            /// Each counter's name and its value now.
            pub fn values(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.value())),+]
            }
        }
    };
}

counters! {
    /// Connections that were accepted.
    connections_accepted,
    /// Connections that were refused because there were as many as the limits allow.
    connections_refused,
    /// Connections that were closed because they did not take even their events.
    connections_closed_slow,
    /// Connections that were closed because what they sent was over a limit of the transport.
    connections_closed_oversize,
    /// Connections that were closed because a long message took too long.
    connections_closed_late,
    /// Requests that were answered with success.
    requests_done,
    /// Requests that were answered with an error.
    requests_failed,
    /// Chunks that were taken from publishers.
    chunks_received,
    /// Bytes of payload in the chunks that were taken from publishers.
    chunk_bytes_received,
    /// Chunks that publishers sent and that were answered with an error.
    chunks_refused,
    /// Copies of chunks that a subscriber's socket took at once.
    chunks_sent,
    /// Copies of chunks that waited for a subscriber's socket.
    chunks_queued,
    /// Copies of chunks that were dropped because a subscriber did not keep up, or because it
    /// waits for a key chunk after chunks that it did not get.
    chunks_dropped,
    /// Copies of chunks for subscribers whose connection had just ended.
    chunks_closed,
    /// Chunks that were put on the bus for other nodes.
    chunks_relayed,
    /// Chunks that other nodes wanted and that the bus did not take.
    chunks_unrelayed,
    /// Chunks that came from other nodes.
    chunks_arrived,
    /// Chunks that came from other nodes and had come before.
    chunks_repeated,
    /// Chunks that were lost between nodes, by their missing numbers.
    chunks_lost,
    /// Chunks of other nodes that were dropped, since the handling of those before took too long.
    chunks_overrun,
    /// Signals of other nodes that were dropped for the same reason.
    signals_overrun,
    /// Gaps that were announced to subscribers.
    gaps_announced,
    /// Events and acknowledgements that were sent or queued.
    events_sent,
    /// Events and acknowledgements for connections that had just ended.
    events_closed,
}
