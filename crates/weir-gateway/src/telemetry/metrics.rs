//! A node's metrics, for Prometheus to scrape and for a collector.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry::{KeyValue, global, metrics::Meter, metrics::MeterProvider};
use opentelemetry_sdk::{
    Resource, error::OTelSdkError, metrics::MeterProviderBuilder, metrics::SdkMeterProvider,
};
use prometheus::{Registry, TextEncoder};
use weir_cluster::{Sample, trace};

use super::catalogue::{Instrument, METRICS};

/// How old a reading may be that is used once more: all metrics of one collection have the same.
const FRESH: Duration = Duration::from_millis(200);

/// A node's metrics.
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

/// Where samples come from.
type Source = Box<dyn Fn() -> Vec<Sample> + Send + Sync>;

/// What the metrics are read from.
#[derive(Default)]
struct Readings {
    /// Called without a lock.
    sources: Mutex<Vec<Arc<Source>>>,
    last: Mutex<Option<(Instant, Arc<Vec<Sample>>)>>,
}

impl Readings {
    fn read(&self) -> Arc<Vec<Sample>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, samples)) = &*last
            && at.elapsed() < FRESH
        {
            return Arc::clone(samples);
        }
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let sources = sources.clone();
        let samples: Vec<_> = sources.iter().flat_map(|source| source()).collect();
        let samples = Arc::new(samples);
        *last = Some((Instant::now(), Arc::clone(&samples)));
        samples
    }

    fn forget(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Metrics {
    /// Metrics that can be scraped, and that `readers` add further readers to. They become the
    /// process's, which is where histograms are recorded.
    ///
    /// # Errors
    /// If the names clash, which a test excludes.
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
        observe(&provider.meter(trace::SCOPE), &readings);
        global::set_meter_provider(provider.clone());
        Ok(Self {
            provider,
            registry,
            readings,
        })
    }

    /// Reads samples from `source`, too.
    pub(crate) fn read(&self, source: impl Fn() -> Vec<Sample> + Send + Sync + 'static) {
        let mut sources = self
            .readings
            .sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        sources.push(Arc::new(Box::new(source)));
    }

    /// All metrics now, in Prometheus' text format.
    pub(crate) fn text(&self) -> Result<String, prometheus::Error> {
        self.readings.forget();
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Sends what is left, and nothing more.
    pub(crate) fn shutdown(&self) {
        // Reads fresh values for the last interval, instead of those cached by a recent scrape.
        self.readings.forget();
        // What cannot be sent now is lost, and was counted.
        let _ = self.provider.shutdown();
    }
}

/// Has each metric that is read, and not recorded where it happens, observed.
fn observe(meter: &Meter, readings: &Arc<Readings>) {
    for metric in METRICS {
        let readings = Arc::clone(readings);
        let name = metric.name;
        let each = move |told: &mut dyn FnMut(f64, &[KeyValue])| {
            for sample in readings
                .read()
                .iter()
                .filter(|sample| sample.metric == name)
            {
                let attributes = sample.attributes.iter();
                let attributes: Vec<_> = attributes
                    .map(|(key, value)| KeyValue::new(*key, *value))
                    .collect();
                told(sample.value, &attributes);
            }
        };
        match metric.instrument {
            Instrument::Counter => {
                meter
                    .f64_observable_counter(name)
                    .with_unit(metric.unit)
                    .with_description(metric.description)
                    .with_callback(move |observer| {
                        each(&mut |value, at| observer.observe(value, at))
                    })
                    .build();
            }
            Instrument::Gauge => {
                meter
                    .f64_observable_gauge(name)
                    .with_unit(metric.unit)
                    .with_description(metric.description)
                    .with_callback(move |observer| {
                        each(&mut |value, at| observer.observe(value, at))
                    })
                    .build();
            }
            Instrument::Histogram => {}
        }
    }
}
