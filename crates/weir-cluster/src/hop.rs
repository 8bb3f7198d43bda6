//! Latency of chunks on each hop through the cluster, measured on a sample.

use std::{sync::LazyLock, time::Duration};

use opentelemetry::{KeyValue, global, metrics::Histogram, trace::SpanContext};

use crate::trace;

/// One in this many chunks of a track is measured.
const EVERY: u64 = 64;

/// Bucket bounds of histograms of durations, in seconds.
pub const DURATION_BOUNDS: [f64; 15] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5,
];

/// Hop of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// From its arrival at the publisher's node to all subscribers there.
    Own,
    /// From the outbox to the reply of Redis.
    Bus,
    /// From the bus to all subscribers on another node.
    Remote,
}

impl Hop {
    /// Returns whether the latency of chunk `seq` is measured.
    #[must_use]
    pub fn is_measured(seq: u64) -> bool {
        seq % EVERY == 1
    }

    /// Returns the name in metrics and spans.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Bus => "bus",
            Self::Remote => "remote",
        }
    }

    /// Records a span that has just ended, below the span of the chunk.
    pub fn trace(self, chunk: &SpanContext, took: Duration) {
        let attributes = vec![KeyValue::new("weir.hop", self.name())];
        trace::record("chunk hop", chunk, took, attributes);
    }

    /// Records the latency of a chunk.
    pub fn record(self, took: Duration) {
        static HISTOGRAM: LazyLock<Histogram<f64>> = LazyLock::new(|| {
            global::meter(trace::SCOPE)
                .f64_histogram("weir.chunk.hop.duration")
                .with_unit("s")
                .with_description("Latency of each hop of a chunk, sampled from one chunk in 64")
                .with_boundaries(DURATION_BOUNDS.to_vec())
                .build()
        });
        HISTOGRAM.record(took.as_secs_f64(), &[KeyValue::new("hop", self.name())]);
    }
}
