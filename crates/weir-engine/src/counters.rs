//! What a node counts.

use std::sync::atomic::{AtomicU64, Ordering};

use weir_cluster::Sample;
use weir_protocol::{Code, TrackKind};

/// A number that only grows.
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

/// A counter for each kind of track.
#[derive(Debug, Default)]
pub struct ByKind([Counter; 3]);

impl ByKind {
    const KINDS: [(TrackKind, &str); 3] = [
        (TrackKind::Audio, "audio"),
        (TrackKind::Video, "video"),
        (TrackKind::Data, "data"),
    ];

    /// That of a kind.
    pub fn of(&self, kind: TrackKind) -> &Counter {
        &self.0[kind as usize]
    }

    /// The number of all kinds now.
    pub fn value(&self) -> u64 {
        self.0.iter().map(Counter::value).sum()
    }
}

/// A counter for each code of a refusal.
#[derive(Debug)]
pub struct ByCode([Counter; Code::ALL.len()]);

impl Default for ByCode {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl ByCode {
    /// That of a code.
    pub fn of(&self, code: Code) -> &Counter {
        let at = Code::ALL.iter().position(|one| *one == code);
        // Every code is among all codes.
        &self.0[at.unwrap_or_default()]
    }

    /// The number of all codes now.
    pub fn value(&self) -> u64 {
        self.0.iter().map(Counter::value).sum()
    }
}

type Attribute = (&'static str, &'static str);

/// A counter as one or more samples.
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
        /// What a node counts.
        ///
        /// Each chunk that a client sends is `received` or `refused`; a received one that other
        /// nodes want is `relayed` or `unrelayed`. Each copy of a received or arrived one for a
        /// subscriber is `sent`, `queued`, `dropped` or `closed`.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        impl Counters {
            /// All of it, as metrics.
            pub fn samples(&self) -> Vec<Sample> {
                let mut samples = Vec::new();
                $(self.$name.sample($metric, &[$(($key, $value)),*], &mut samples);)+
                samples
            }
        }
    };
}

counters! {
    /// Connections that were accepted.
    connections_accepted: Counter = "weir.connection.accepted";
    /// Connections refused because the node was at its limit.
    connections_refused_total: Counter = "weir.connection.refused", "reason" = "total";
    /// Connections refused because their address was at its limit.
    connections_refused_per_address: Counter = "weir.connection.refused", "reason" = "per-address";
    /// Connections of trusted proxies that were closed because they did not start with a valid
    /// PROXY protocol header.
    connections_refused_proxy_header: Counter = "weir.connection.refused", "reason" = "proxy-header";
    /// Sessions that were refused because the node was about to end.
    connections_draining: Counter = "weir.connection.refused", "reason" = "draining";
    /// Connections that were closed because they did not take even their events.
    connections_closed_slow: Counter = "weir.connection.closed", "reason" = "slow";
    /// Connections that were closed because what they sent was over a limit of the transport.
    connections_closed_oversize: Counter = "weir.connection.closed", "reason" = "oversize";
    /// Connections that were closed because a long message took too long.
    connections_closed_late: Counter = "weir.connection.closed", "reason" = "late";
    /// Connections that were closed because they had not gone when the node had told them to.
    connections_closed_draining: Counter = "weir.connection.closed", "reason" = "draining";
    /// Requests that were answered with success.
    requests_done: Counter = "weir.request.done";
    /// Requests that were answered with an error.
    requests_failed: ByCode = "weir.request.failed";
    /// Chunks that were taken from publishers.
    chunks_received: ByKind = "weir.ingest.chunks";
    /// Bytes of payload in the chunks that were taken from publishers.
    chunk_bytes_received: ByKind = "weir.ingest.payload";
    /// Chunks that publishers sent and that were answered with an error.
    chunks_refused: ByCode = "weir.ingest.refused";
    /// Copies of chunks that a subscriber's socket took at once.
    chunks_sent: ByKind = "weir.egress.chunks", "way" = "direct";
    /// Copies of chunks that waited for a subscriber's socket.
    chunks_queued: ByKind = "weir.egress.chunks", "way" = "queued";
    /// Bytes of payload in the copies that were sent or queued.
    chunk_bytes_sent: ByKind = "weir.egress.payload";
    /// Copies of chunks that were dropped because a subscriber did not keep up, or because it
    /// waits for a key chunk after chunks that it did not get.
    chunks_dropped: ByKind = "weir.egress.dropped", "reason" = "slow";
    /// Copies of chunks for subscribers whose connection had just ended.
    chunks_closed: ByKind = "weir.egress.dropped", "reason" = "closed";
    /// Gaps that were announced to subscribers.
    gaps_announced: ByKind = "weir.egress.gaps";
    /// Chunks that were put on the bus for other nodes.
    chunks_relayed: ByKind = "weir.relay.chunks", "direction" = "out";
    /// Chunks that came from other nodes.
    chunks_arrived: ByKind = "weir.relay.chunks", "direction" = "in";
    /// Chunks that other nodes wanted and that the bus did not take.
    chunks_unrelayed: ByKind = "weir.relay.dropped", "reason" = "refused";
    /// Chunks that were lost between nodes, by their missing numbers.
    chunks_lost: ByKind = "weir.relay.dropped", "reason" = "lost";
    /// Chunks that came from other nodes and had come before.
    chunks_repeated: ByKind = "weir.relay.dropped", "reason" = "repeated";
    /// Chunks of other nodes that were dropped, since the handling of those before took too long.
    chunks_overrun: Counter = "weir.relay.overrun", "what" = "chunk";
    /// Signals of other nodes that were dropped for the same reason.
    signals_overrun: Counter = "weir.relay.overrun", "what" = "signal";
    /// Events and acknowledgements that were sent or queued.
    events_sent: Counter = "weir.event.sent";
    /// Events and acknowledgements for connections that had just ended.
    events_closed: Counter = "weir.event.dropped", "reason" = "closed";
}
