//! What a node says of itself to those who run it.

pub mod catalogue;
pub(crate) mod metrics;
pub(crate) mod observed;
pub(crate) mod process;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

/// What all telemetry of this process is of. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say
/// more, or otherwise.
pub(crate) fn resource() -> Resource {
    let said = Resource::builder().build();
    let name = opentelemetry::Key::from_static_str("service.name");
    let named = said
        .get(&name)
        .is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let mut resource = Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if !named {
        resource = resource.with_service_name("weir");
    }
    resource.build()
}
