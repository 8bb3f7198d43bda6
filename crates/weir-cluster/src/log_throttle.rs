//! Throttle of log lines.

use std::{
    mem,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// Minimum interval between two lines.
const INTERVAL: Duration = Duration::from_secs(1);

/// Throttle of one kind of log line, so that repeated faults do not flood the log.
#[derive(Debug, Default)]
pub struct LogThrottle(Mutex<Passed>);

#[derive(Debug, Default)]
struct Passed {
    last: Option<Instant>,
    suppressed: u64,
}

impl LogThrottle {
    /// Creates a throttle that lets the first line pass.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Passed {
            last: None,
            suppressed: 0,
        }))
    }

    /// Returns the number of lines suppressed since the last one if a line may be logged now, at
    /// most once a second; otherwise counts it as suppressed.
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Option<u64> {
        let mut passed = self.0.lock();
        if passed.last.is_some_and(|last| now < last + INTERVAL) {
            passed.suppressed += 1;
            return None;
        }
        passed.last = Some(now);
        Some(mem::take(&mut passed.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_passes_with_the_number_of_suppressed_ones() {
        let (throttle, start) = (LogThrottle::new(), Instant::now());
        assert_eq!(throttle.pass_at(start), Some(0));
        for millis in [0, 500, 999] {
            let now = start + Duration::from_millis(millis);
            assert_eq!(throttle.pass_at(now), None);
        }
        assert_eq!(throttle.pass_at(start + INTERVAL), Some(3));
        assert_eq!(throttle.pass_at(start + 2 * INTERVAL), Some(0));
    }
}
