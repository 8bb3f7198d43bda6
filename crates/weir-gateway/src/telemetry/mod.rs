//! What a node says of itself to those who run it.

pub mod catalogue;
mod delivery;
pub mod logs;
pub(crate) mod metrics;
pub(crate) mod observed;
pub mod otlp;
pub(crate) mod process;

use std::sync::LazyLock;

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::{
    Resource,
    trace::{IdGenerator, RandomIdGenerator},
};

/// Unique id of this process.
static INSTANCE: LazyLock<String> =
    LazyLock::new(|| RandomIdGenerator::default().new_trace_id().to_string());

/// Returns the `service.instance.id` of this process, unless the environment sets another.
pub(crate) fn instance() -> String {
    INSTANCE.clone()
}

/// What all telemetry of this process is of. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say
/// more, or otherwise.
pub(crate) fn resource() -> Resource {
    let said = Resource::builder().build();
    let unknown = |key: &'static str| {
        said.get(&Key::from_static_str(key))
            .is_none_or(|value| value.as_str().starts_with("unknown_service"))
    };
    let mut resource = Resource::builder();
    for (key, value) in [
        ("service.name", "weir"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", INSTANCE.as_str()),
    ] {
        if unknown(key) {
            resource = resource.with_attribute(KeyValue::new(key, value));
        }
    }
    resource.build()
}
