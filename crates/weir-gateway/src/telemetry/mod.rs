//! Telemetry of a node: metrics, spans and logs.

pub mod catalogue;
mod exports;
pub mod logs;
pub(crate) mod metrics;
pub(crate) mod observed;
pub mod otlp;
pub(crate) mod process;
pub(crate) mod resource;
