//! Metrics of a node, for Prometheus and for the collector.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry::{KeyValue, global, metrics::Meter, metrics::MeterProvider};
use opentelemetry_sdk::{
    Resource, error::OTelSdkError, metrics::MeterProviderBuilder, metrics::SdkMeterProvider,
};
use parking_lot::Mutex;
use prometheus::{Registry, TextEncoder};
use weir_cluster::{Sample, trace};

use super::catalogue::{Instrument, METRICS};

/// Maximum age of a cached reading. All metrics of one collection use the same reading.
const MAX_AGE: Duration = Duration::from_millis(200);

/// Metrics of a node.
pub(crate) struct Metrics {
    provider: SdkMeterProvider,
    registry: Registry,
    readings: Arc<Readings>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// Source of samples.
type Source = Box<dyn Fn() -> Vec<Sample> + Send + Sync>;

/// Sources of the polled metrics, with the last reading.
#[derive(Default)]
struct Readings {
    /// Guards the list. No source is called under this lock.
    sources: Mutex<Vec<Arc<Source>>>,
    /// Guards the cached reading, and lets one caller at a time read the sources.
    last: Mutex<Option<(Instant, Arc<Vec<Sample>>)>>,
}

impl Readings {
    /// Returns the samples of all sources, at most [`MAX_AGE`] old.
    fn read(&self) -> Arc<Vec<Sample>> {
        let mut last = self.last.lock();
        if let Some((at, samples)) = &*last
            && at.elapsed() < MAX_AGE
        {
            return Arc::clone(samples);
        }
        let sources = self.sources.lock().clone();
        let samples: Vec<_> = sources.iter().flat_map(|source| source()).collect();
        let samples = Arc::new(samples);
        *last = Some((Instant::now(), Arc::clone(&samples)));
        samples
    }

    /// Discards the cached reading.
    fn invalidate(&self) {
        *self.last.lock() = None;
    }
}

impl Metrics {
    /// Creates the metrics with a Prometheus exporter and the readers that `readers` adds. Installs
    /// them as the process's meter provider, which histograms record to.
    ///
    /// # Errors
    /// If two metrics have one name in Prometheus. A test excludes that.
    pub(crate) fn new(
        resource: Resource,
        readers: impl FnOnce(MeterProviderBuilder) -> MeterProviderBuilder,
    ) -> Result<Self, OTelSdkError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()?;
        let builder = SdkMeterProvider::builder()
            .with_resource(resource)
            .with_reader(exporter);
        let provider = readers(builder).build();
        let readings = Arc::new(Readings::default());
        register(&provider.meter(trace::SCOPE), &readings);
        global::set_meter_provider(provider.clone());
        Ok(Self {
            provider,
            registry,
            readings,
        })
    }

    /// Adds a source of samples.
    pub(crate) fn add_source(&self, source: impl Fn() -> Vec<Sample> + Send + Sync + 'static) {
        self.readings
            .sources
            .lock()
            .push(Arc::new(Box::new(source)));
    }

    /// Returns the current metrics in Prometheus' text format.
    pub(crate) fn text(&self) -> Result<String, prometheus::Error> {
        self.readings.invalidate();
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Exports the last interval and ends the export.
    pub(crate) fn shutdown(&self) {
        // The last interval needs current values, not those of a recent scrape.
        self.readings.invalidate();
        // A failure is already counted and logged.
        let _ = self.provider.shutdown();
    }
}

/// Registers an observable instrument for each polled metric.
fn register(meter: &Meter, readings: &Arc<Readings>) {
    for metric in METRICS {
        let readings = Arc::clone(readings);
        let name = metric.name;
        let observe = move |report: &mut dyn FnMut(f64, &[KeyValue])| {
            for sample in readings
                .read()
                .iter()
                .filter(|sample| sample.metric == name)
            {
                let attributes = sample.attributes.iter();
                let attributes: Vec<_> = attributes
                    .map(|(key, value)| KeyValue::new(*key, *value))
                    .collect();
                report(sample.value, &attributes);
            }
        };
        match metric.instrument {
            Instrument::Counter => {
                meter
                    .f64_observable_counter(name)
                    .with_unit(metric.unit)
                    .with_description(metric.description)
                    .with_callback(move |observer| {
                        observe(&mut |value, attributes| observer.observe(value, attributes))
                    })
                    .build();
            }
            Instrument::Gauge => {
                meter
                    .f64_observable_gauge(name)
                    .with_unit(metric.unit)
                    .with_description(metric.description)
                    .with_callback(move |observer| {
                        observe(&mut |value, attributes| observer.observe(value, attributes))
                    })
                    .build();
            }
            Instrument::Histogram => {}
        }
    }
}
