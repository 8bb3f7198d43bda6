//! Decision whether a track's chunks are published on the bus.

use std::time::Duration;

/// Time for which interest is assumed before the replies of the bus are trusted.
const GRACE: Duration = Duration::from_secs(2);

/// Interval of probes: chunks that are published without known interest.
const PROBE: Duration = Duration::from_secs(1);

/// Interest of other nodes in a track, as the publisher's node knows it.
///
/// Times are since any fixed moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    phase: Phase,
    /// Time of the next probe.
    probe: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Interest is assumed, and no chunk was published since.
    Expected { announced: bool },
    /// Interest is assumed, since the replies of the bus may be outdated.
    Certain { announced: bool, until: Duration },
    /// The last reply of the bus counts.
    Known,
}

impl Demand {
    /// Creates the state of a new track, which other nodes may want.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            phase: Phase::Expected { announced: false },
            probe: Duration::ZERO,
        }
    }

    /// Records that another node wants the track.
    pub const fn announce(&mut self) {
        self.phase = Phase::Expected { announced: true };
    }

    /// Returns whether a chunk is published. `elsewhere` says whether the room has members on other
    /// nodes; `nodes` returns how many nodes received the last chunk, if it is known.
    ///
    /// A node that has announced its interest receives chunks even before its member is known.
    pub fn admit(
        &mut self,
        now: Duration,
        elsewhere: bool,
        nodes: impl FnOnce() -> Option<usize>,
    ) -> bool {
        let announced = match self.phase {
            Phase::Expected { announced } | Phase::Certain { announced, .. } => announced,
            Phase::Known => false,
        };
        if !elsewhere && !announced {
            return false;
        }
        match self.phase {
            Phase::Expected { announced } => {
                let until = now + GRACE;
                self.phase = Phase::Certain { announced, until };
                return true;
            }
            Phase::Certain { until, .. } if now < until => return true,
            Phase::Certain { .. } | Phase::Known => self.phase = Phase::Known,
        }
        if !elsewhere {
            return false;
        }
        if nodes() != Some(0) {
            return true;
        }
        let due = now >= self.probe;
        if due {
            self.probe = now + PROBE;
        }
        due
    }
}

impl Default for Demand {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    const NOBODY: fn() -> Option<usize> = || Some(0);
    const SOMEBODY: fn() -> Option<usize> = || Some(1);

    #[test]
    fn room_on_one_node_publishes_nothing() {
        let mut demand = Demand::new();
        for millis in (0..10_000).step_by(100) {
            assert!(!demand.admit(at(millis), false, || None));
        }
        // A member on another node has joined, as for a new track.
        assert!(demand.admit(at(10_000), true, NOBODY));
        assert!(demand.admit(at(11_999), true, NOBODY));
    }

    #[test]
    fn unwanted_track_is_probed_once_a_second() {
        let mut demand = Demand::new();
        assert!(demand.admit(at(0), true, NOBODY));
        let sent = (2_000..12_000).step_by(10);
        let sent = sent.filter(|millis| demand.admit(at(*millis), true, NOBODY));
        assert_eq!(sent.count(), 10);
        assert!(demand.admit(at(12_005), true, SOMEBODY));
        assert!(demand.admit(at(12_006), true, || None));
    }

    #[test]
    fn announcement_holds_until_replies_are_trusted() {
        let mut demand = Demand::new();
        assert!(demand.admit(at(0), true, NOBODY));
        assert!(demand.admit(at(5_000), true, NOBODY), "the first probe");
        assert!(!demand.admit(at(5_001), true, NOBODY));
        demand.announce();
        assert!(demand.admit(at(60_000), true, NOBODY));
        assert!(demand.admit(at(61_999), true, NOBODY));
        assert!(demand.admit(at(62_000), true, NOBODY), "a probe");
        assert!(!demand.admit(at(62_001), true, NOBODY));
    }

    #[test]
    fn announcement_holds_before_its_member_is_known() {
        let mut demand = Demand::new();
        assert!(!demand.admit(at(0), false, NOBODY));
        demand.announce();
        assert!(demand.admit(at(1), false, NOBODY));
        assert!(demand.admit(at(2_000), false, SOMEBODY));
        assert!(!demand.admit(at(2_001), false, SOMEBODY));
    }
}
