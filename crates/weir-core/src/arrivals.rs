//! Chunks that arrive from another node: put in order, without duplicates.

use std::collections::BTreeMap;

/// Maximum number of chunks that are kept until the position is known.
const WAITING_CHUNKS: usize = 1_024;

/// Maximum number of bytes of these chunks.
const WAITING_BYTES: usize = 2 * 1024 * 1024;

/// Outcome of an arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrived<C> {
    /// The next chunk in order.
    Next {
        /// The chunk.
        chunk: C,
        /// Number of chunks lost before it.
        lost: u64,
    },
    /// Kept until the position is known. If `full`, the caller starts without it.
    Kept {
        /// Whether no more chunks can be kept.
        full: bool,
    },
    /// A duplicate, or late.
    Repeated,
}

/// Chunks of a track that another node publishes.
///
/// The publisher's node announces its [position](Self::start): it publishes all chunks after that
/// number on the bus. Until then chunks are kept, since earlier ones may still arrive.
#[derive(Debug, Clone)]
pub struct Arrivals<C> {
    /// Number of the last chunk, or of the one before the first that is expected.
    last: Option<u64>,
    /// Kept chunks by number; `None` after the start.
    kept: Option<BTreeMap<u64, C>>,
    bytes: usize,
}

impl<C> Arrivals<C> {
    /// Creates the state of a track that is expected from chunk 1, or from its current chunk.
    #[must_use]
    pub fn new(from_beginning: bool) -> Self {
        Self {
            last: from_beginning.then_some(0),
            kept: Some(BTreeMap::new()),
            bytes: 0,
        }
    }

    /// Returns the number of the last chunk: 0 before the first, `None` if it is unknown.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    /// Returns whether chunks are passed on rather than kept.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.kept.is_none()
    }

    /// Returns whether chunks up to the publisher's position are missing that the track is expected
    /// from. A track that is expected from its current chunk misses none.
    #[must_use]
    pub fn misses(&self, position: u64) -> bool {
        let Some(last) = self.last else { return false };
        let kept = self.kept.as_ref();
        let kept = kept.map_or(0, |kept| kept.range(..=position).count() as u64);
        last + kept < position
    }

    /// Handles the arrival of a chunk of `bytes` bytes.
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

    /// Stops keeping chunks, with the position of the publisher's node if it is known. Returns the
    /// kept chunks in order, which must [arrive](Self::arrive) again.
    pub fn start(&mut self, position: Option<u64>) -> impl Iterator<Item = (u64, C)> + use<C> {
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

    /// Lets the kept chunks arrive. Returns their numbers, each with the number of lost ones.
    fn start(arrivals: &mut Arrivals<u64>, position: Option<u64>) -> Vec<(u64, u64)> {
        let kept: Vec<_> = arrivals.start(position).collect();
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
        for seq in [3, 4, 1] {
            assert_eq!(next(&mut arrivals, seq, seq), None);
        }
        assert!(arrivals.misses(2) && arrivals.misses(4), "2 is missing");
        assert!(!arrivals.misses(1));
        for seq in [2, 3] {
            assert_eq!(next(&mut arrivals, seq, seq), None);
        }
        assert!(!arrivals.misses(4) && arrivals.misses(5));
        assert!(!arrivals.has_started());
        let begun = start(&mut arrivals, Some(2));
        assert_eq!(begun, [(1, 0), (2, 0), (3, 0), (4, 0)]);
        assert_eq!(next(&mut arrivals, 4, 4), None);
        assert_eq!(next(&mut arrivals, 5, 5), Some((5, 0)));
        assert_eq!(next(&mut arrivals, 8, 8), Some((8, 2)));
        assert_eq!(arrivals.last(), Some(8));
    }

    #[test]
    fn a_missing_beginning_counts_as_lost() {
        let mut arrivals = Arrivals::new(true);
        assert_eq!(next(&mut arrivals, 3, 3), None);
        assert_eq!(start(&mut arrivals, Some(2)), [(3, 2)]);
    }

    #[test]
    fn late_subscriber_starts_at_the_position() {
        let mut arrivals = Arrivals::new(false);
        assert_eq!(arrivals.last(), None);
        for seq in [7, 9, 10] {
            assert_eq!(next(&mut arrivals, seq, seq), None);
        }
        assert!(!arrivals.misses(8), "its part starts at the position");
        // 7 was published before the position, so 8 may never have been.
        assert_eq!(start(&mut arrivals, Some(8)), [(9, 0), (10, 0)]);
        let mut silent = Arrivals::new(false);
        assert_eq!(start(&mut silent, None), []);
        assert_eq!(next(&mut silent, 9, 9), Some((9, 0)));
    }

    #[test]
    fn kept_chunks_are_bounded() {
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
        fn chunks_are_passed_on_in_order_and_once(
            before in prop::collection::vec(1..40_u64, 0..40),
            after in prop::collection::vec(1..80_u64, 0..80),
            position in prop::option::of(0..40_u64),
            from_beginning: bool,
        ) {
            let mut arrivals = Arrivals::new(from_beginning);
            for seq in before {
                prop_assert_eq!(next(&mut arrivals, seq, seq), None);
            }
            let first = arrivals.last().or(position);
            let mut told = start(&mut arrivals, position);
            told.extend(after.into_iter().filter_map(|seq| next(&mut arrivals, seq, seq)));
            let mut last = first;
            for (seq, lost) in told {
                prop_assert_eq!(lost, last.map_or(0, |last| seq - last - 1));
                last = Some(seq);
            }
            prop_assert_eq!(arrivals.last(), last);
        }
    }
}
