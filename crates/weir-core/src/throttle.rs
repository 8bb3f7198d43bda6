//! Rate limit of one request per period, with coalescing.

use std::time::Duration;

/// Throttle that serves the first request at once. It coalesces the requests that follow within a
/// period, and serves them together at its end.
///
/// Times are since any fixed moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Throttle {
    period: Duration,
    /// Earliest time of the next served request.
    next: Duration,
    /// True if coalesced requests wait for that time.
    waiting: bool,
}

/// Outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Throttled {
    /// Served now.
    Now,
    /// Served after this delay, by the caller, which then calls [`Throttle::release`].
    After(Duration),
    /// Served together with a waiting request.
    Coalesced,
}

impl Throttle {
    /// Creates a throttle that has served no request yet.
    #[must_use]
    pub const fn new(period: Duration) -> Self {
        Self {
            period,
            next: Duration::ZERO,
            waiting: false,
        }
    }

    /// Registers a request, and returns when it is served.
    pub fn ask(&mut self, now: Duration) -> Throttled {
        if self.waiting {
            return Throttled::Coalesced;
        }
        if now >= self.next {
            self.next = now + self.period;
            return Throttled::Now;
        }
        self.waiting = true;
        Throttled::After(self.next - now)
    }

    /// Records that the waiting requests are served.
    pub fn release(&mut self, now: Duration) {
        self.waiting = false;
        self.next = now + self.period;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn first_request_is_served_at_once_and_others_after_a_period() {
        let mut throttle = Throttle::new(millis(1_000));
        assert_eq!(throttle.ask(millis(5_000)), Throttled::Now);
        assert_eq!(throttle.ask(millis(5_400)), Throttled::After(millis(600)));
        assert_eq!(throttle.ask(millis(5_401)), Throttled::Coalesced);
        throttle.release(millis(6_000));
        assert_eq!(throttle.ask(millis(6_999)), Throttled::After(millis(1)));
        throttle.release(millis(7_000));
        assert_eq!(throttle.ask(millis(8_000)), Throttled::Now);
    }

    #[test]
    fn requests_are_served_once_a_period_and_none_is_lost() {
        for step in [1, 7, 100, 499, 500, 999, 1_000, 1_001] {
            let mut throttle = Throttle::new(millis(1_000));
            let (mut served, mut due) = (Vec::new(), None);
            for now in (0..20_000).step_by(step).map(millis) {
                if due.is_some_and(|due| due <= now) {
                    let due = due.take().expect("it was there");
                    throttle.release(due);
                    served.push(due);
                }
                match throttle.ask(now) {
                    Throttled::Now => served.push(now),
                    Throttled::After(wait) => due = Some(now + wait),
                    Throttled::Coalesced => assert!(due.is_some(), "it waits for nobody"),
                }
            }
            for two in served.windows(2) {
                let gap = two[1] - two[0];
                assert!(gap >= millis(1_000), "{gap:?} at a step of {step} ms");
                assert!(gap <= millis(1_000 + step as u64), "{gap:?} at {step} ms");
            }
        }
    }
}
