//! What a node sends to a collector: spans, metrics and logs, over OTLP.

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
    delivery::{Counted, Delivery},
    resource,
};
use crate::config::{self, OtlpProtocol};

/// How long the last spans and logs may take to the collector when the node ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// The ways to a collector; none if there is nobody to send to.
#[derive(Default)]
pub struct Collector {
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
    metrics: Option<PeriodicReader<Counted<MetricExporter>>>,
    deliveries: Vec<Arc<Delivery>>,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector")
            .field("traces", &self.traces.is_some())
            .field("logs", &self.logs.is_some())
            .finish_non_exhaustive()
    }
}

/// Makes an exporter as the configuration says, or, if that says nothing, as the standard variables
/// do.
macro_rules! exporter {
    ($type:ident, $config:expr, $signal:literal, $path:literal) => {{
        let config: &config::Telemetry = $config;
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
    /// Connects to the collector that `otlp_endpoint` or the standard `OTEL_EXPORTER_OTLP_…`
    /// variables name; the latter are stronger. The collector need not be there.
    ///
    /// # Errors
    /// If the endpoint cannot be used at all.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn connect(config: &config::Telemetry) -> Result<Self, ExporterBuildError> {
        let mut collector = Self::default();
        if is_wanted(config, "TRACES") {
            let delivery = collector.delivery("traces");
            let exporter = Counted {
                inner: exporter!(SpanExporter, config, "TRACES", "/v1/traces"),
                delivery: Arc::clone(&delivery),
            };
            let inner = BatchSpanProcessor::builder(exporter).build();
            let provider = SdkTracerProvider::builder()
                .with_resource(resource())
                .with_span_processor(Counted { inner, delivery })
                .build();
            global::set_tracer_provider(provider.clone());
            global::set_text_map_propagator(TraceContextPropagator::new());
            collector.traces = Some(provider);
        }
        if is_wanted(config, "LOGS") {
            let delivery = collector.delivery("logs");
            let exporter = Counted {
                inner: exporter!(LogExporter, config, "LOGS", "/v1/logs"),
                delivery: Arc::clone(&delivery),
            };
            let inner = BatchLogProcessor::builder(exporter).build();
            let provider = SdkLoggerProvider::builder()
                .with_resource(resource())
                .with_log_processor(Counted { inner, delivery })
                .build();
            collector.logs = Some(provider);
        }
        if is_wanted(config, "METRICS") {
            let delivery = collector.delivery("metrics");
            let exporter = Counted {
                inner: exporter!(MetricExporter, config, "METRICS", "/v1/metrics"),
                delivery,
            };
            collector.metrics = Some(PeriodicReader::builder(exporter).build());
        }
        Ok(collector)
    }

    fn delivery(&mut self, signal: &'static str) -> Arc<Delivery> {
        let delivery = Delivery::new(signal);
        self.deliveries.push(Arc::clone(&delivery));
        delivery
    }

    /// Where logs go.
    pub(crate) fn logs(&self) -> Option<&SdkLoggerProvider> {
        self.logs.as_ref()
    }

    /// Has metrics sent, too.
    pub(crate) fn read(&mut self, builder: MeterProviderBuilder) -> MeterProviderBuilder {
        match self.metrics.take() {
            Some(reader) => builder.with_reader(reader),
            None => builder,
        }
    }

    /// What became of what was sent, as metrics.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.deliveries
            .iter()
            .flat_map(|delivery| delivery.samples())
            .collect()
    }

    /// Sends what waits, and nothing more. Blocks for a few seconds at most.
    pub(crate) fn shutdown(&self) {
        // What cannot be sent now is lost; the process ends.
        if let Some(traces) = &self.traces {
            let _ = traces.shutdown_with_timeout(FAREWELL);
        }
        if let Some(logs) = &self.logs {
            let _ = logs.shutdown_with_timeout(FAREWELL);
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

/// Whether a signal is to be sent anywhere.
fn is_wanted(config: &config::Telemetry, signal: &str) -> bool {
    let says = |name: &str, wanted: &str| {
        std::env::var(name).is_ok_and(|value| value.trim().eq_ignore_ascii_case(wanted))
    };
    let off = says("OTEL_SDK_DISABLED", "true") || says(&format!("OTEL_{signal}_EXPORTER"), "none");
    !off && (is_set("ENDPOINT", signal) || !config.otlp_endpoint.is_empty())
}
