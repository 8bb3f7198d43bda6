//! Numbers and key chunks of a publisher.

use weir_protocol::TrackKind;

/// Rule for which chunks of a track count as key chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyRule {
    /// Each: a chunk of audio can be decoded alone.
    Each,
    /// Each, until the publisher marks one: it may not mark key chunks at all.
    EachSoFar,
    /// Those that the publisher marks.
    Marked,
}

impl KeyRule {
    /// Returns the initial rule for a track of this kind.
    #[must_use]
    pub const fn new(kind: TrackKind) -> Self {
        match kind {
            TrackKind::Audio => Self::Each,
            TrackKind::Video | TrackKind::Data => Self::EachSoFar,
        }
    }

    /// Returns whether a chunk with or without mark counts as a key chunk.
    pub fn admit(&mut self, marked: bool) -> bool {
        if marked && *self == Self::EachSoFar {
            *self = Self::Marked;
        }
        marked || *self != Self::Marked
    }
}

/// Numbering of a publisher's chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingest {
    rule: KeyRule,
    last: u64,
}

impl Ingest {
    /// Creates the state of a track without chunks.
    #[must_use]
    pub const fn new(kind: TrackKind) -> Self {
        Self {
            rule: KeyRule::new(kind),
            last: 0,
        }
    }

    /// Numbers a chunk that the publisher marks as key or not. Returns its `seq`, and whether it
    /// counts as a key chunk.
    pub fn admit(&mut self, key: bool) -> (u64, bool) {
        self.last += 1;
        (self.last, self.rule.admit(key))
    }

    /// Returns the `seq` of the last chunk; 0 before the first.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(kind: TrackKind, marks: &[bool]) -> Vec<(u64, bool)> {
        let mut ingest = Ingest::new(kind);
        marks.iter().map(|mark| ingest.admit(*mark)).collect()
    }

    #[test]
    fn numbers_start_at_one() {
        let mut ingest = Ingest::new(TrackKind::Data);
        assert_eq!(ingest.last(), 0);
        for seq in 1..=5 {
            assert_eq!(ingest.admit(false).0, seq);
            assert_eq!(ingest.last(), seq);
        }
    }

    #[test]
    fn every_chunk_is_key_until_one_is_marked() {
        for kind in [TrackKind::Video, TrackKind::Data] {
            assert_eq!(
                admitted(kind, &[false, false, true, false, true, false]),
                [
                    (1, true),
                    (2, true),
                    (3, true),
                    (4, false),
                    (5, true),
                    (6, false)
                ]
            );
        }
    }

    #[test]
    fn audio_is_always_key() {
        assert_eq!(
            admitted(TrackKind::Audio, &[false, true, false]),
            [(1, true), (2, true), (3, true)]
        );
    }
}
