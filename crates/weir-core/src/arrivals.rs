//! A track of another node: what arrives of it, in order and once.

use std::collections::BTreeMap;

/// How many chunks wait for the track's position at most.
const WAITING_CHUNKS: usize = 1_024;

/// How many bytes of chunks wait for it at most.
const WAITING_BYTES: usize = 2 * 1024 * 1024;

/// What to do with a chunk that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrived<C> {
    /// It is the next one; so many before it were lost on the way.
    Next {
        /// The chunk.
        chunk: C,
        /// How many numbers are missing before it.
        lost: u64,
    },
    /// It is kept until the position is known. If the caller is told that no more can be kept, it
    /// goes on without it.
    Kept {
        /// Whether this was the last one that can be kept.
        full: bool,
    },
    /// It is not newer than what was there before.
    Repeated,
}

/// The chunks of a track that another node publishes.
///
/// From the subscription on the bus until the publisher's node has said from which number on it puts
/// all chunks there, the [position](Self::begin), chunks are kept: earlier ones may still come.
#[derive(Debug, Clone)]
pub struct Arrivals<C> {
    /// The number of the last chunk, or of the one before the first that is expected.
    last: Option<u64>,
    /// The chunks that are kept, by number; `None` once they come in order.
    kept: Option<BTreeMap<u64, C>>,
    bytes: usize,
}

impl<C> Arrivals<C> {
    /// A track whose chunks are wanted from number 1 on, or from where it is.
    #[must_use]
    pub fn new(from_beginning: bool) -> Self {
        Self {
            last: from_beginning.then_some(0),
            kept: Some(BTreeMap::new()),
            bytes: 0,
        }
    }

    /// The number of the last chunk; 0 if the first is yet to come; `None` if that is not known.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    /// Whether chunks come in order already.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.kept.is_none()
    }

    /// Takes a chunk of so many bytes.
    pub fn arrive(&mut self, seq: u64, bytes: usize, chunk: C) -> Arrived<C> {
        if self.last.is_some_and(|last| seq <= last) {
            return Arrived::Repeated;
        }
        if let Some(kept) = &mut self.kept {
            if kept.insert(seq, chunk).is_some() {
                return Arrived::Repeated;
            }
            self.bytes += bytes;
            let full = kept.len() >= WAITING_CHUNKS || self.bytes >= WAITING_BYTES;
            return Arrived::Kept { full };
        }
        let lost = self.last.map_or(0, |last| seq - last - 1);
        self.last = Some(seq);
        Arrived::Next { chunk, lost }
    }

    /// Ends the waiting: the publisher's node says that it puts all chunks after `position` on the
    /// bus, or does not say anything. Answers with the chunks that were kept, in order; they are to
    /// [arrive](Self::arrive) once more.
    pub fn begin(&mut self, position: Option<u64>) -> impl Iterator<Item = (u64, C)> + use<C> {
        let kept = self.kept.take().unwrap_or_default();
        self.bytes = 0;
        self.last = self.last.or(position);
        kept.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lets everything that was kept arrive; answers with the numbers, each with what was lost.
    fn begin(arrivals: &mut Arrivals<u64>, position: Option<u64>) -> Vec<(u64, u64)> {
        let kept: Vec<_> = arrivals.begin(position).collect();
        let again = kept
            .into_iter()
            .filter_map(|(seq, chunk)| next(arrivals, seq, chunk));
        again.collect()
    }

    fn next(arrivals: &mut Arrivals<u64>, seq: u64, chunk: u64) -> Option<(u64, u64)> {
        match arrivals.arrive(seq, 10, chunk) {
            Arrived::Next { chunk, lost } => Some((chunk, lost)),
            Arrived::Kept { .. } | Arrived::Repeated => None,
        }
    }

    #[test]
    fn live_chunks_wait_for_the_beginning() {
        let mut arrivals = Arrivals::new(true);
        for seq in [3, 4, 1, 2, 3] {
            assert_eq!(next(&mut arrivals, seq, seq), None);
        }
        assert!(!arrivals.has_begun());
        let begun = begin(&mut arrivals, Some(2));
        assert_eq!(begun, [(1, 0), (2, 0), (3, 0), (4, 0)]);
        assert_eq!(next(&mut arrivals, 4, 4), None);
        assert_eq!(next(&mut arrivals, 5, 5), Some((5, 0)));
        assert_eq!(next(&mut arrivals, 8, 8), Some((8, 2)));
        assert_eq!(arrivals.last(), Some(8));
    }

    #[test]
    fn a_beginning_that_does_not_come_is_lost() {
        let mut arrivals = Arrivals::new(true);
        assert_eq!(next(&mut arrivals, 3, 3), None);
        assert_eq!(begin(&mut arrivals, Some(2)), [(3, 2)]);
    }

    #[test]
    fn in_mid_stream_the_position_is_where_it_begins() {
        let mut arrivals = Arrivals::new(false);
        assert_eq!(arrivals.last(), None);
        for seq in [7, 9, 10] {
            assert_eq!(next(&mut arrivals, seq, seq), None);
        }
        // 7 was sent before the position was said, so 8 may never have been put on the bus.
        assert_eq!(begin(&mut arrivals, Some(8)), [(9, 0), (10, 0)]);
        let mut silent = Arrivals::new(false);
        assert_eq!(begin(&mut silent, None), []);
        assert_eq!(next(&mut silent, 9, 9), Some((9, 0)));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut arrivals = Arrivals::new(true);
        for seq in 1..WAITING_CHUNKS as u64 {
            let kept = Arrived::Kept { full: false };
            assert_eq!(arrivals.arrive(seq, 10, seq), kept);
        }
        let full = Arrived::Kept { full: true };
        assert_eq!(arrivals.arrive(5_000, 10, 5_000), full);
        let mut arrivals = Arrivals::new(false);
        assert_eq!(arrivals.arrive(1, WAITING_BYTES, 1), full);
    }

    proptest! {
        #[test]
        fn whatever_comes_it_goes_on_in_order_and_once(
            before in prop::collection::vec(1..40_u64, 0..40),
            after in prop::collection::vec(1..80_u64, 0..80),
            position in prop::option::of(0..40_u64),
            from_beginning: bool,
        ) {
            let mut arrivals = Arrivals::new(from_beginning);
            for seq in before {
                prop_assert_eq!(next(&mut arrivals, seq, seq), None);
            }
            let start = arrivals.last().or(position);
            let mut told = begin(&mut arrivals, position);
            told.extend(after.into_iter().filter_map(|seq| next(&mut arrivals, seq, seq)));
            let mut last = start;
            for (seq, lost) in told {
                prop_assert_eq!(lost, last.map_or(0, |last| seq - last - 1));
                last = Some(seq);
            }
            prop_assert_eq!(arrivals.last(), last);
        }
    }
}
