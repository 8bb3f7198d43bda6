//! What became of telemetry on its way to the collector.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::{LogBatch, LogExporter, LogProcessor, SdkLogRecord},
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};
use tracing::{info, warn};
use weir_cluster::Sample;

/// What of one signal was made, was taken by the collector, and was not. What was made, and neither
/// of the others later, was dropped since too much waited.
#[derive(Debug)]
pub(crate) struct Delivery {
    signal: &'static str,
    made: AtomicU64,
    sent: AtomicU64,
    failed: AtomicU64,
    /// Whether the last attempt failed.
    failing: AtomicBool,
}

impl Delivery {
    pub(crate) fn new(signal: &'static str) -> Arc<Self> {
        Arc::new(Self {
            signal,
            made: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        })
    }

    fn made(&self) {
        self.made.fetch_add(1, Ordering::Relaxed);
    }

    fn ended(&self, count: usize, result: &OTelSdkResult) {
        let counter = if result.is_ok() {
            &self.sent
        } else {
            &self.failed
        };
        counter.fetch_add(count as u64, Ordering::Relaxed);
        let signal = self.signal;
        let was_failing = self.failing.swap(result.is_err(), Ordering::Relaxed);
        match result {
            // Told once: it may go on for long.
            Err(error) if !was_failing => warn!(%error, signal, "telemetry cannot be delivered"),
            Ok(()) if was_failing => info!(signal, "telemetry is delivered again"),
            _ => {}
        }
    }

    pub(crate) fn samples(&self) -> [Sample; 3] {
        let sample = |outcome, counter: &AtomicU64| {
            let attributes = [("signal", self.signal), ("outcome", outcome)];
            let value = counter.load(Ordering::Relaxed);
            Sample::new("weir.telemetry.records", &attributes, value)
        };
        [
            sample("made", &self.made),
            sample("sent", &self.sent),
            sample("failed", &self.failed),
        ]
    }
}

/// An exporter, or a processor in front of one, whose outcomes are counted.
#[derive(Debug)]
pub(crate) struct Counted<E> {
    pub(crate) inner: E,
    pub(crate) delivery: Arc<Delivery>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let result = self.inner.export(batch).await;
        self.delivery.ended(count, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<P: SpanProcessor> SpanProcessor for Counted<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.delivery.made();
        self.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E: LogExporter> LogExporter for Counted<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let count = batch.iter().count();
        let result = self.inner.export(batch).await;
        self.delivery.ended(count, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<P: LogProcessor> LogProcessor for Counted<P> {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        self.delivery.made();
        self.inner.emit(record, scope);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Counted<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.delivery.made();
        let result = self.inner.export(metrics).await;
        self.delivery.ended(1, &result);
        result
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}
