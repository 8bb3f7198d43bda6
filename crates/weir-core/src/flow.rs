//! Delivery of one track to one subscriber.

use weir_protocol::GapReason;

/// First chunk of a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Start {
    /// Chunk 1: it subscribed before the track's first chunk.
    FromBeginning,
    /// The next key chunk: it subscribed in mid-stream.
    NextKey,
}

/// Decision on a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Offer {
    /// Send it.
    Send,
    /// Announce that chunks `from` to `to` are missing, then send it.
    SendAfterGap {
        /// The first missing `seq`.
        from: u64,
        /// The last missing `seq`.
        to: u64,
        /// [`Slow`](GapReason::Slow) if the subscriber's queue refused any of them.
        reason: GapReason,
    },
    /// Skip it without a gap: the subscriber waits for its first key chunk, or the chunk is a
    /// duplicate or late.
    Skip,
    /// Drop it and count it: the subscriber is in a gap, and this is no key chunk.
    Drop,
}

/// Flow of one track to one subscriber: strictly increasing numbers, a gap announced before the
/// chunk that follows missing ones, and a key chunk after each gap.
///
/// The caller offers each chunk in order. If the subscriber's queue refuses one, it calls
/// [`Flow::refused`] before it offers the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow(State);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum State {
    WaitingForKey,
    Live {
        /// Start of the gap if the last chunk is refused: the chunk itself, or the first of the gap
        /// that was announced with it.
        since: u64,
        /// Next number.
        next: u64,
    },
    Dropping {
        /// First missing number.
        from: u64,
        /// Last missing number so far.
        to: u64,
        /// Reason of the gap.
        reason: GapReason,
    },
}

impl Flow {
    /// Creates the flow of a subscriber that has received no chunk.
    #[must_use]
    pub fn new(start: Start) -> Self {
        Self(match start {
            Start::FromBeginning => State::Live { since: 1, next: 1 },
            Start::NextKey => State::WaitingForKey,
        })
    }

    /// Decides on chunk `seq`. `key` says whether it counts as a key chunk.
    ///
    /// Numbers that were never offered count as missing.
    pub fn offer(&mut self, seq: u64, key: bool) -> Offer {
        let (missing, reason) = match self.0 {
            State::WaitingForKey if key => (seq, GapReason::Lost),
            State::WaitingForKey => return Offer::Skip,
            State::Live { next, .. } if seq < next => return Offer::Skip,
            State::Live { next, .. } => (next, GapReason::Lost),
            State::Dropping { to, .. } if seq <= to => return Offer::Skip,
            State::Dropping { from, reason, .. } => (from, reason),
        };
        if seq > missing && !key {
            self.0 = State::Dropping {
                from: missing,
                to: seq,
                reason,
            };
            return Offer::Drop;
        }
        self.0 = State::Live {
            since: missing,
            next: seq.saturating_add(1),
        };
        if seq > missing {
            let (from, to) = (missing, seq - 1);
            Offer::SendAfterGap { from, to, reason }
        } else {
            Offer::Send
        }
    }

    /// Records that the subscriber's queue refused chunk `seq`, together with the announcement of
    /// a gap before it.
    pub fn refused(&mut self, seq: u64) {
        let (from, to) = match self.0 {
            State::WaitingForKey => (seq, seq),
            State::Live { since, next } => {
                let last = next.saturating_sub(1).max(seq);
                (if seq == last { since.min(seq) } else { seq }, last)
            }
            State::Dropping { from, to, .. } => (from.min(seq), to.max(seq)),
        };
        let reason = GapReason::Slow;
        self.0 = State::Dropping { from, to, reason };
    }

    /// Returns whether chunks are being dropped.
    #[must_use]
    pub fn in_gap(&self) -> bool {
        matches!(self.0, State::Dropping { .. })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gap(from: u64, to: u64, reason: GapReason) -> Offer {
        Offer::SendAfterGap { from, to, reason }
    }

    #[test]
    fn late_joiner_starts_at_key_chunk_without_a_gap() {
        let mut flow = Flow::new(Start::NextKey);
        assert_eq!(flow.offer(7, false), Offer::Skip);
        assert_eq!(flow.offer(8, false), Offer::Skip);
        assert_eq!(flow.offer(9, true), Offer::Send);
        assert_eq!(flow.offer(10, false), Offer::Send);
    }

    #[test]
    fn early_subscriber_receives_any_first_chunk() {
        let mut flow = Flow::new(Start::FromBeginning);
        assert_eq!(flow.offer(1, false), Offer::Send);
        assert_eq!(flow.offer(2, false), Offer::Send);
    }

    #[test]
    fn early_subscriber_learns_of_a_lost_first_chunk() {
        let mut flow = Flow::new(Start::FromBeginning);
        assert_eq!(flow.offer(2, false), Offer::Drop);
        assert_eq!(flow.offer(3, true), gap(1, 2, GapReason::Lost));
    }

    #[test]
    fn a_refused_chunk_opens_a_gap_up_to_the_next_key_chunk() {
        let mut flow = Flow::new(Start::FromBeginning);
        assert_eq!(flow.offer(1, true), Offer::Send);
        assert_eq!(flow.offer(2, false), Offer::Send);
        flow.refused(2);
        assert!(flow.in_gap());
        assert_eq!(flow.offer(3, false), Offer::Drop);
        assert_eq!(flow.offer(4, true), gap(2, 3, GapReason::Slow));
        assert!(!flow.in_gap());
        assert_eq!(flow.offer(5, false), Offer::Send);
    }

    #[test]
    fn a_refused_end_of_a_gap_keeps_its_start() {
        let mut flow = Flow::new(Start::FromBeginning);
        assert_eq!(flow.offer(1, true), Offer::Send);
        flow.refused(1);
        assert_eq!(flow.offer(2, true), gap(1, 1, GapReason::Slow));
        flow.refused(2);
        assert_eq!(flow.offer(3, true), gap(1, 2, GapReason::Slow));
    }

    #[test]
    fn a_gap_can_start_before_the_last_chunk() {
        let mut flow = Flow::new(Start::FromBeginning);
        for seq in 1..=4 {
            assert_eq!(flow.offer(seq, true), Offer::Send);
        }
        flow.refused(3);
        flow.refused(4);
        assert_eq!(flow.offer(5, true), gap(3, 4, GapReason::Slow));
    }

    #[test]
    fn upstream_loss_is_a_gap() {
        let mut flow = Flow::new(Start::NextKey);
        assert_eq!(flow.offer(5, true), Offer::Send);
        assert_eq!(flow.offer(8, false), Offer::Drop);
        assert_eq!(flow.offer(9, true), gap(6, 8, GapReason::Lost));
        assert_eq!(flow.offer(11, true), gap(10, 10, GapReason::Lost));
    }

    #[test]
    fn a_gap_of_both_reasons_counts_as_slow() {
        let mut flow = Flow::new(Start::FromBeginning);
        assert_eq!(flow.offer(2, false), Offer::Drop);
        assert_eq!(flow.offer(3, true), gap(1, 2, GapReason::Lost));
        assert_eq!(flow.offer(5, true), gap(4, 4, GapReason::Lost));
        flow.refused(5);
        assert_eq!(flow.offer(9, true), gap(4, 8, GapReason::Slow));
        assert_eq!(flow.offer(11, true), gap(10, 10, GapReason::Lost));
    }

    #[test]
    fn duplicate_and_late_chunks_are_skipped() {
        let mut flow = Flow::new(Start::NextKey);
        assert_eq!(flow.offer(5, true), Offer::Send);
        assert_eq!(flow.offer(5, true), Offer::Skip);
        assert_eq!(flow.offer(4, true), Offer::Skip);
        assert_eq!(flow.offer(7, false), Offer::Drop);
        assert_eq!(flow.offer(6, true), Offer::Skip);
    }

    /// Fate of one chunk.
    #[derive(Debug, Clone, Copy)]
    struct Step {
        key: bool,
        lost: bool,
        twice: bool,
        /// Whether the queue accepts it.
        taken: bool,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = (
            prop::bool::weighted(0.3),
            prop::bool::weighted(0.1),
            prop::bool::weighted(0.1),
            prop::bool::weighted(0.8),
        )
            .prop_map(|(key, lost, twice, taken)| Step {
                key,
                lost,
                twice,
                taken,
            });
        prop::collection::vec(step, 0..200)
    }

    /// Frame that the subscriber receives.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Seen {
        Gap { from: u64, to: u64 },
        Chunk { seq: u64, key: bool },
    }

    /// Runs the steps from number `first`. Returns the received frames and the number of drops.
    fn run(flow: &mut Flow, first: u64, steps: &[Step]) -> (Vec<Seen>, u64) {
        let (mut seen, mut dropped) = (Vec::new(), 0);
        for (seq, step) in (first..).zip(steps) {
            for _ in 0..usize::from(!step.lost) + usize::from(!step.lost && step.twice) {
                let gap = match flow.offer(seq, step.key) {
                    Offer::Skip => continue,
                    Offer::Drop => {
                        dropped += 1;
                        continue;
                    }
                    Offer::Send => None,
                    Offer::SendAfterGap { from, to, .. } => Some(Seen::Gap { from, to }),
                };
                if step.taken {
                    seen.extend(gap);
                    seen.push(Seen::Chunk { seq, key: step.key });
                } else {
                    flow.refused(seq);
                    dropped += 1;
                }
            }
        }
        (seen, dropped)
    }

    /// Asserts the contract for a subscriber whose next number is `next`; `None` if any is valid.
    fn check(seen: &[Seen], mut next: Option<u64>) {
        let mut after_gap = next.is_none();
        for one in seen {
            match *one {
                Seen::Gap { from, to } => {
                    assert_eq!(Some(from), next, "a gap begins at the first missing number");
                    assert!(from <= to, "a gap is of at least one number");
                    assert!(!after_gap, "two gaps in a row");
                    next = Some(to + 1);
                    after_gap = true;
                }
                Seen::Chunk { seq, key } => {
                    assert!(
                        next.is_none_or(|next| next == seq),
                        "a number is missing and not announced"
                    );
                    assert!(
                        key || !after_gap,
                        "no key chunk at the start or after a gap"
                    );
                    next = Some(seq + 1);
                    after_gap = false;
                }
            }
        }
    }

    proptest! {
        #[test]
        fn late_joiners_receive_the_contract(first in 1..1_000_u64, steps in steps()) {
            let mut flow = Flow::new(Start::NextKey);
            let (mut seen, _) = run(&mut flow, first, &steps);
            // If its first chunk was refused, a gap comes first.
            if let Some(Seen::Gap { from, to }) = seen.first().copied() {
                let head = &steps[..usize::try_from(from - first).expect("small")];
                prop_assert!(head.iter().all(|step| step.lost || !step.key));
                prop_assert!(steps[head.len()].key);
                seen.remove(0);
                prop_assert_eq!(seen[0], Seen::Chunk { seq: to + 1, key: true });
            }
            check(&seen, None);
        }

        #[test]
        fn early_subscribers_receive_the_contract(steps in steps()) {
            let mut flow = Flow::new(Start::FromBeginning);
            let (seen, _) = run(&mut flow, 1, &steps);
            check(&seen, Some(1));
        }

        #[test]
        fn every_number_is_sent_dropped_or_lost(steps in steps()) {
            let mut flow = Flow::new(Start::FromBeginning);
            let (seen, dropped) = run(&mut flow, 1, &steps);
            let sent = seen.iter().filter(|one| matches!(one, Seen::Chunk { .. })).count();
            let lost = steps.iter().filter(|step| step.lost).count();
            prop_assert_eq!(sent + lost + usize::try_from(dropped).expect("small"), steps.len());
        }

        #[test]
        fn without_losses_everything_is_sent(count in 1..100_u64) {
            let mut flow = Flow::new(Start::FromBeginning);
            for seq in 1..=count {
                prop_assert_eq!(flow.offer(seq, false), Offer::Send);
            }
        }
    }
}
