//! What must not be logged as often as it happens.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long after a line the next one of its kind may follow.
const PAUSE: Duration = Duration::from_secs(1);

/// Lets one of many through, so that nobody can fill a log.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Passed>);

#[derive(Debug, Default)]
struct Passed {
    last: Option<Instant>,
    held_back: u64,
}

impl Seldom {
    /// One that has let nothing through yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Passed {
            last: None,
            held_back: 0,
        }))
    }

    /// Whether this one may be logged; says how many were held back since the last one. One a second
    /// may.
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Option<u64> {
        let mut passed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if passed.last.is_some_and(|last| now < last + PAUSE) {
            passed.held_back += 1;
            return None;
        }
        passed.last = Some(now);
        Some(std::mem::take(&mut passed.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_second_passes_and_says_how_many_did_not() {
        let (seldom, begun) = (Seldom::new(), Instant::now());
        assert_eq!(seldom.pass_at(begun), Some(0));
        for millis in [0, 500, 999] {
            assert_eq!(seldom.pass_at(begun + Duration::from_millis(millis)), None);
        }
        assert_eq!(seldom.pass_at(begun + PAUSE), Some(3));
        assert_eq!(seldom.pass_at(begun + 2 * PAUSE), Some(0));
    }
}
