//! What a part of a node says of itself in numbers.

use std::time::Duration;

/// A metric's value now, for one set of attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric's name, such as `weir.egress.chunks`.
    pub metric: &'static str,
    /// Names and values, none of which a client can choose.
    pub attributes: Vec<(&'static str, &'static str)>,
    /// In the metric's unit.
    pub value: f64,
}

impl Sample {
    /// A value.
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

    /// A value in seconds.
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
