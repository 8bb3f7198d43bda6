//! The moments at which the nodes of a cluster do together what need not be done at once.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time cut into pieces of equal length, the same ones on every node whose clock is right.
///
/// What nodes send at the same moment, Redis handles at once and each of them gets at once: the cost
/// of waking a process is shared by all that it is woken for. Nodes whose clocks differ lose nothing
/// but that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window(Duration);

impl Window {
    /// Windows of that length; `None` if it is 0.
    #[must_use]
    pub fn new(length: Duration) -> Option<Self> {
        (!length.is_zero()).then_some(Self(length))
    }

    /// How long a window is.
    #[must_use]
    pub fn length(self) -> Duration {
        self.0
    }

    /// How long it is from `now`, since the Unix epoch, to the first moment after it that is `into` a
    /// window; never longer than a window.
    #[must_use]
    pub fn until(self, now: Duration, into: Duration) -> Duration {
        let length = self.0.as_nanos();
        let past = (now.as_nanos() + length - into.as_nanos() % length) % length;
        let left = u64::try_from(length - past).unwrap_or(u64::MAX);
        Duration::from_nanos(left)
    }

    /// Now, since the Unix epoch.
    #[must_use]
    pub fn now() -> Duration {
        // A clock that is set before the epoch makes windows of its own.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_moment_is_within_a_window_and_the_same_for_everybody() {
        assert_eq!(Window::new(Duration::ZERO), None);
        let window = Window::new(millis(15)).expect("it is not 0");
        for (now, into, until) in [
            (0, 0, 15),
            (1, 0, 14),
            (14, 0, 1),
            (15, 0, 15),
            (30, 3, 3),
            (33, 3, 15),
            (34, 3, 14),
            (47, 33, 1),
        ] {
            let left = window.until(millis(now), millis(into));
            assert_eq!(left, millis(until), "at {now}, {into} into a window");
        }
    }
}
