//! Export of spans, metrics and logs to an OpenTelemetry collector, over OTLP.

use std::{fmt, sync::Arc, time::Duration};

use opentelemetry::global;
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig,
};
use opentelemetry_sdk::{
    logs::{BatchLogProcessor, SdkLoggerProvider},
    metrics::{MeterProviderBuilder, PeriodicReader},
    propagation::TraceContextPropagator,
    trace::{BatchSpanProcessor, SdkTracerProvider},
};
use weir_cluster::Sample;

use super::{
    exports::{CountedExporter, ExportCounters},
    resource::resource,
};
use crate::config::{OtlpProtocol, TelemetryConfig};

/// Deadline of the last export of spans and logs.
const FLUSH_DEADLINE: Duration = Duration::from_secs(2);

/// Exporters of the signals that are configured; none without a collector.
#[derive(Default)]
pub struct Collector {
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
    metrics: Option<PeriodicReader<CountedExporter<MetricExporter>>>,
    counters: Vec<Arc<ExportCounters>>,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector")
            .field("traces", &self.traces.is_some())
            .field("logs", &self.logs.is_some())
            .finish_non_exhaustive()
    }
}

/// Builds an exporter from the standard variables if they name an endpoint, otherwise from the
/// configuration.
macro_rules! exporter {
    ($type:ident, $config:expr, $signal:literal, $path:literal) => {{
        let config: &TelemetryConfig = $config;
        if is_set("ENDPOINT", $signal) {
            $type::builder().build()?
        } else {
            match config.otlp_protocol {
                OtlpProtocol::Grpc => $type::builder()
                    .with_tonic()
                    .with_endpoint(&config.otlp_endpoint)
                    .build()?,
                OtlpProtocol::Http => $type::builder()
                    .with_http()
                    .with_protocol(Protocol::HttpBinary)
                    .with_endpoint(format!(
                        "{}{}",
                        config.otlp_endpoint.trim_end_matches('/'),
                        $path
                    ))
                    .build()?,
            }
        }
    }};
}

impl Collector {
    /// Creates the exporters to the collector that the standard `OTEL_EXPORTER_OTLP_…` variables or
    /// `otlp_endpoint` name; the variables take precedence. Connects lazily, and reconnects.
    ///
    /// # Errors
    /// If the endpoint is invalid.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn connect(config: &TelemetryConfig) -> Result<Self, ExporterBuildError> {
        let mut collector = Self::default();
        if is_exported(config, "TRACES") {
            let counters = collector.counters("traces");
            let exporter = CountedExporter {
                inner: exporter!(SpanExporter, config, "TRACES", "/v1/traces"),
                counters: Arc::clone(&counters),
            };
            let inner = BatchSpanProcessor::builder(exporter).build();
            let provider = SdkTracerProvider::builder()
                .with_resource(resource())
                .with_span_processor(CountedExporter { inner, counters })
                .build();
            global::set_tracer_provider(provider.clone());
            global::set_text_map_propagator(TraceContextPropagator::new());
            collector.traces = Some(provider);
        }
        if is_exported(config, "LOGS") {
            let counters = collector.counters("logs");
            let exporter = CountedExporter {
                inner: exporter!(LogExporter, config, "LOGS", "/v1/logs"),
                counters: Arc::clone(&counters),
            };
            let inner = BatchLogProcessor::builder(exporter).build();
            let provider = SdkLoggerProvider::builder()
                .with_resource(resource())
                .with_log_processor(CountedExporter { inner, counters })
                .build();
            collector.logs = Some(provider);
        }
        if is_exported(config, "METRICS") {
            let counters = collector.counters("metrics");
            let exporter = CountedExporter {
                inner: exporter!(MetricExporter, config, "METRICS", "/v1/metrics"),
                counters,
            };
            collector.metrics = Some(PeriodicReader::builder(exporter).build());
        }
        Ok(collector)
    }

    fn counters(&mut self, signal: &'static str) -> Arc<ExportCounters> {
        let counters = ExportCounters::new(signal);
        self.counters.push(Arc::clone(&counters));
        counters
    }

    /// Returns the provider for logs, if they are exported.
    pub(crate) fn logs(&self) -> Option<&SdkLoggerProvider> {
        self.logs.as_ref()
    }

    /// Adds the reader that exports metrics, if they are exported.
    pub(crate) fn add_reader(&mut self, builder: MeterProviderBuilder) -> MeterProviderBuilder {
        match self.metrics.take() {
            Some(reader) => builder.with_reader(reader),
            None => builder,
        }
    }

    /// Returns the export counters as metrics.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.counters
            .iter()
            .flat_map(|counters| counters.samples())
            .collect()
    }

    /// Exports queued spans and logs, and ends the export. Blocks for a few seconds at most.
    pub(crate) fn shutdown(&self) {
        // Unsent records are lost, since the process ends.
        if let Some(traces) = &self.traces {
            let _ = traces.shutdown_with_timeout(FLUSH_DEADLINE);
        }
        if let Some(logs) = &self.logs {
            let _ = logs.shutdown_with_timeout(FLUSH_DEADLINE);
        }
    }
}

/// Whether a standard variable is set for a signal, or for all.
fn is_set(what: &str, signal: &str) -> bool {
    let all = format!("OTEL_EXPORTER_OTLP_{what}");
    let one = format!("OTEL_EXPORTER_OTLP_{signal}_{what}");
    [all, one]
        .iter()
        .any(|name| std::env::var(name).is_ok_and(|value| !value.is_empty()))
}

/// Whether a signal is exported.
fn is_exported(config: &TelemetryConfig, signal: &str) -> bool {
    let is = |name: &str, expected: &str| {
        std::env::var(name).is_ok_and(|value| value.trim().eq_ignore_ascii_case(expected))
    };
    let off = is("OTEL_SDK_DISABLED", "true") || is(&format!("OTEL_{signal}_EXPORTER"), "none");
    !off && (is_set("ENDPOINT", signal) || !config.otlp_endpoint.is_empty())
}
