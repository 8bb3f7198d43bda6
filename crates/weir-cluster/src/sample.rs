//! Values of polled metrics.

use std::time::Duration;

/// Current value of a metric, for one set of attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name of the metric, such as `weir.egress.chunks`.
    pub metric: &'static str,
    /// Names and values. Clients can choose neither.
    pub attributes: Vec<(&'static str, &'static str)>,
    /// Value in the metric's unit.
    pub value: f64,
}

impl Sample {
    /// Creates a sample of a count.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    pub fn new(
        metric: &'static str,
        attributes: &[(&'static str, &'static str)],
        value: u64,
    ) -> Self {
        Self {
            metric,
            attributes: attributes.to_vec(),
            value: value as f64,
        }
    }

    /// Creates a sample of a duration, in seconds.
    #[must_use]
    pub fn seconds(
        metric: &'static str,
        attributes: &[(&'static str, &'static str)],
        value: Duration,
    ) -> Self {
        Self {
            metric,
            attributes: attributes.to_vec(),
            value: value.as_secs_f64(),
        }
    }
}
