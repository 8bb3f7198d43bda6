//! Backoff between connection attempts, and the logging of failed ones.

use std::{fmt, time::Duration};

use rand::Rng;
use tracing::{debug, warn};

use crate::Target;

/// Initial and maximum backoff, in milliseconds.
const BACKOFF: (u64, u64) = (50, 500);

/// Number of failed attempts, about one second, after which an outage counts as lasting.
const LASTING: u32 = 5;

/// Waits with exponential backoff and jitter before the next connection attempt.
pub(crate) async fn back_off(attempt: &mut u32) {
    // No event signals that Redis is available again.
    #[allow(clippy::disallowed_methods)]
    tokio::time::sleep(backoff_time(attempt)).await;
}

/// Returns the backoff before the next connection attempt, and counts the attempt.
pub(crate) fn backoff_time(attempt: &mut u32) -> Duration {
    let delay = (BACKOFF.0 << (*attempt).min(10)).min(BACKOFF.1);
    *attempt += 1;
    Duration::from_millis(rand::rng().random_range(delay / 2..=delay))
}

/// Logs a failed attempt: the first and the lasting one as a warning, others at debug.
pub(crate) fn log_failure(
    attempt: u32,
    what: &'static str,
    target: &Target,
    error: &dyn fmt::Display,
) {
    if attempt == 0 || attempt == LASTING {
        warn!(%error, redis = %target, "{what}");
    } else {
        debug!(%error, redis = %target, "{what}");
    }
}
