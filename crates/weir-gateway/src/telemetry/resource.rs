//! Resource attributes of a node's telemetry.

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

/// Returns the resource of all telemetry of this process. `OTEL_SERVICE_NAME` and
/// `OTEL_RESOURCE_ATTRIBUTES` take precedence over its defaults.
pub(crate) fn resource() -> Resource {
    let environment = Resource::builder().build();
    let is_unset = |key: &'static str| {
        environment
            .get(&Key::from_static_str(key))
            .is_none_or(|value| value.as_str().starts_with("unknown_service"))
    };
    let mut resource = Resource::builder();
    for (key, value) in [
        ("service.name", "weir"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", INSTANCE.as_str()),
    ] {
        if is_unset(key) {
            resource = resource.with_attribute(KeyValue::new(key, value));
        }
    }
    resource.build()
}
