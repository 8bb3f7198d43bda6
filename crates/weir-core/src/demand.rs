//! Whether a track's chunks are put on the bus.

use std::time::Duration;

/// For how long somebody counts as interested without the bus having said so: until its answers
/// must know.
const GRACE: Duration = Duration::from_secs(2);

/// How often a chunk is put on the bus that nobody wants, in case somebody does.
const PROBE: Duration = Duration::from_secs(1);

/// What the publisher's node knows of other nodes' interest in a track.
///
/// Times are since any fixed moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    phase: Phase,
    /// When the next chunk is put on the bus that nobody wants.
    probe: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Somebody may want it, and no chunk was put on the bus since.
    Expected { announced: bool },
    /// Somebody may want it; the bus's answers may be from before.
    Certain { announced: bool, until: Duration },
    /// The bus's last answer says it.
    Known,
}

impl Demand {
    /// A new track: the others have just been told of it.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            phase: Phase::Expected { announced: false },
            probe: Duration::ZERO,
        }
    }

    /// Another node says that it wants the track.
    pub const fn announce(&mut self) {
        self.phase = Phase::Expected { announced: true };
    }

    /// Whether a chunk is to be put on the bus, of a room that has members on other nodes or not;
    /// `nodes` is how many of these got the last one, if that is known.
    ///
    /// Who has announced its interest gets chunks even before its member is heard of.
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
    fn a_room_on_one_node_puts_nothing_on_the_bus() {
        let mut demand = Demand::new();
        for millis in (0..10_000).step_by(100) {
            assert!(!demand.admit(at(millis), false, || None));
        }
        // Somebody has come on another node: it is as with a new track.
        assert!(demand.admit(at(10_000), true, NOBODY));
        assert!(demand.admit(at(11_999), true, NOBODY));
    }

    #[test]
    fn a_track_that_nobody_wants_is_probed_once_a_second() {
        let mut demand = Demand::new();
        assert!(demand.admit(at(0), true, NOBODY));
        let sent = (2_000..12_000).step_by(10);
        let sent = sent.filter(|millis| demand.admit(at(*millis), true, NOBODY));
        assert_eq!(sent.count(), 10);
        assert!(demand.admit(at(12_005), true, SOMEBODY));
        assert!(demand.admit(at(12_006), true, || None));
    }

    #[test]
    fn an_announcement_counts_from_the_next_chunk_until_the_answers_must_know() {
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
    fn who_announces_is_believed_before_its_member_is_heard_of() {
        let mut demand = Demand::new();
        assert!(!demand.admit(at(0), false, NOBODY));
        demand.announce();
        assert!(demand.admit(at(1), false, NOBODY));
        assert!(demand.admit(at(2_000), false, SOMEBODY));
        assert!(!demand.admit(at(2_001), false, SOMEBODY));
    }
}
