//! Counters of a node.

use std::sync::atomic::{AtomicU64, Ordering};

use weir_cluster::Sample;
use weir_protocol::{Code, TrackKind};

/// Monotonic counter.
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

    /// Returns the current value.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters by kind of track.
#[derive(Debug, Default)]
pub struct ByKind([Counter; 3]);

impl ByKind {
    const KINDS: [(TrackKind, &str); 3] = [
        (TrackKind::Audio, "audio"),
        (TrackKind::Video, "video"),
        (TrackKind::Data, "data"),
    ];

    /// Returns the counter of a kind.
    pub fn of(&self, kind: TrackKind) -> &Counter {
        &self.0[kind as usize]
    }

    /// Returns the sum over all kinds.
    pub fn value(&self) -> u64 {
        self.0.iter().map(Counter::value).sum()
    }
}

/// Counters by error code.
#[derive(Debug)]
pub struct ByCode([Counter; Code::ALL.len()]);

impl Default for ByCode {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl ByCode {
    /// Returns the counter of a code.
    pub fn of(&self, code: Code) -> &Counter {
        let at = Code::ALL.iter().position(|one| *one == code);
        // `Code::ALL` contains every code.
        &self.0[at.unwrap_or_default()]
    }

    /// Returns the sum over all codes.
    pub fn value(&self) -> u64 {
        self.0.iter().map(Counter::value).sum()
    }
}

type Attribute = (&'static str, &'static str);

/// Counter that yields samples.
pub(crate) trait Samples {
    fn sample(&self, metric: &'static str, attributes: &[Attribute], samples: &mut Vec<Sample>);
}

impl Samples for Counter {
    fn sample(&self, metric: &'static str, attributes: &[Attribute], samples: &mut Vec<Sample>) {
        samples.push(Sample::new(metric, attributes, self.value()));
    }
}

impl Samples for ByKind {
    fn sample(&self, metric: &'static str, attributes: &[Attribute], samples: &mut Vec<Sample>) {
        for (kind, name) in Self::KINDS {
            let attributes = [attributes, &[("kind", name)]].concat();
            self.of(kind).sample(metric, &attributes, samples);
        }
    }
}

impl Samples for ByCode {
    fn sample(&self, metric: &'static str, attributes: &[Attribute], samples: &mut Vec<Sample>) {
        for code in Code::ALL {
            let attributes = [attributes, &[("error.type", code.as_str())]].concat();
            self.of(*code).sample(metric, &attributes, samples);
        }
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ident = $metric:literal $(, $key:literal = $value:literal)*;)+) => {
        /// Counters of a node.
        ///
        /// Each chunk of a client is `received` or `refused`. A received chunk that other nodes
        /// want is `relayed` or `unrelayed`. Each copy for a subscriber is `sent`, `queued`,
        /// `dropped` or `closed`.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        impl Counters {
            /// Returns all counters as samples.
            pub fn samples(&self) -> Vec<Sample> {
                let mut samples = Vec::new();
                $(self.$name.sample($metric, &[$(($key, $value)),*], &mut samples);)+
                samples
            }
        }
    };
}

counters! {
    /// Accepted connections.
    connections_accepted: Counter = "weir.connection.accepted";
    /// Connections refused at the node's limit.
    connections_refused_total: Counter = "weir.connection.refused", "reason" = "total";
    /// Connections refused at the limit of their address.
    connections_refused_per_address: Counter = "weir.connection.refused", "reason" = "per-address";
    /// Connections of trusted proxies closed without a valid PROXY protocol header.
    connections_refused_proxy_header: Counter = "weir.connection.refused", "reason" = "proxy-header";
    /// Sessions refused while the node drained.
    connections_draining: Counter = "weir.connection.refused", "reason" = "draining";
    /// Connections closed because their events could not be queued.
    connections_closed_slow: Counter = "weir.connection.closed", "reason" = "slow";
    /// Connections closed over a limit of the transport.
    connections_closed_oversize: Counter = "weir.connection.closed", "reason" = "oversize";
    /// Connections closed because a large message missed its deadline.
    connections_closed_late: Counter = "weir.connection.closed", "reason" = "late";
    /// Connections closed at the end of the drain window.
    connections_closed_draining: Counter = "weir.connection.closed", "reason" = "draining";
    /// Successful requests.
    requests_done: Counter = "weir.request.done";
    /// Failed requests.
    requests_failed: ByCode = "weir.request.failed";
    /// Chunks received from publishers.
    chunks_received: ByKind = "weir.ingest.chunks";
    /// Payload bytes received from publishers.
    chunk_bytes_received: ByKind = "weir.ingest.payload";
    /// Chunks of publishers answered with an error.
    chunks_refused: ByCode = "weir.ingest.refused";
    /// Copies of chunks that a subscriber's socket accepted at once.
    chunks_sent: ByKind = "weir.egress.chunks", "way" = "direct";
    /// Copies of chunks queued for a subscriber's socket.
    chunks_queued: ByKind = "weir.egress.chunks", "way" = "queued";
    /// Payload bytes in the copies that were sent or queued.
    chunk_bytes_sent: ByKind = "weir.egress.payload";
    /// Copies of chunks dropped because a subscriber did not keep up, or waited for a key chunk
    /// after a gap.
    chunks_dropped: ByKind = "weir.egress.dropped", "reason" = "slow";
    /// Copies of chunks for closed connections.
    chunks_closed: ByKind = "weir.egress.dropped", "reason" = "closed";
    /// Gaps announced to subscribers.
    gaps_announced: ByKind = "weir.egress.gaps";
    /// Chunks published on the bus.
    chunks_relayed: ByKind = "weir.relay.chunks", "direction" = "out";
    /// Chunks received from other nodes.
    chunks_arrived: ByKind = "weir.relay.chunks", "direction" = "in";
    /// Chunks that the bus refused.
    chunks_unrelayed: ByKind = "weir.relay.dropped", "reason" = "refused";
    /// Chunks lost between nodes, by missing numbers.
    chunks_lost: ByKind = "weir.relay.dropped", "reason" = "lost";
    /// Duplicate or late chunks from other nodes.
    chunks_repeated: ByKind = "weir.relay.dropped", "reason" = "repeated";
    /// Chunks of other nodes dropped because the queue was full.
    chunks_overrun: Counter = "weir.relay.overrun", "what" = "chunk";
    /// Signals of other nodes dropped because the queue was full.
    signals_overrun: Counter = "weir.relay.overrun", "what" = "signal";
    /// Events and acknowledgements sent or queued.
    events_sent: Counter = "weir.event.sent";
    /// Events and acknowledgements for closed connections.
    events_closed: Counter = "weir.event.dropped", "reason" = "closed";
}
