//! A track's first chunks, for nodes that hear of the track a moment later.

use std::time::Duration;

/// For how long the first chunks are kept.
const TIME: Duration = Duration::from_secs(2);

/// How many bytes of them are kept.
const BYTES: usize = 1024 * 1024;

/// The first chunks of a track: all of them, or none.
///
/// Another node that was told of the track needs a moment to subscribe to it; what was sent in
/// that moment is sent to it again. Times are since any fixed moment.
#[derive(Debug, Clone)]
pub struct Beginning<C> {
    chunks: Vec<C>,
    bytes: usize,
    /// When no more are kept; `None` before the first.
    until: Option<Duration>,
}

impl<C> Beginning<C> {
    /// A track without chunks.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            bytes: 0,
            until: None,
        }
    }

    /// Whether the next chunk would be kept.
    pub fn is_open(&mut self, now: Duration) -> bool {
        let until = *self.until.get_or_insert(now + TIME);
        let open = now < until;
        if !open && !self.chunks.is_empty() {
            self.chunks = Vec::new();
        }
        open
    }

    /// Keeps the next chunk, of so many bytes; [`is_open`](Self::is_open) has just said so.
    pub fn keep(&mut self, bytes: usize, chunk: C) {
        self.bytes += bytes;
        if self.bytes > BYTES {
            self.close();
        } else {
            self.chunks.push(chunk);
        }
    }

    /// Keeps nothing any more.
    pub fn close(&mut self) {
        self.until = Some(Duration::ZERO);
        self.chunks = Vec::new();
    }

    /// All chunks of the track so far, or none.
    #[must_use]
    pub fn chunks(&self) -> &[C] {
        &self.chunks
    }
}

impl<C> Default for Beginning<C> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_chunks_are_kept_for_a_while() {
        let mut beginning = Beginning::new();
        let start = Duration::from_secs(100);
        for n in 0..20 {
            let now = start + n * Duration::from_millis(100);
            assert!(beginning.is_open(now));
            beginning.keep(10, n);
        }
        assert_eq!(beginning.chunks().len(), 20);
        assert!(!beginning.is_open(start + TIME));
        assert_eq!(beginning.chunks(), [0; 0]);
        assert!(!beginning.is_open(start + 2 * TIME));
    }

    #[test]
    fn all_are_kept_or_none() {
        let mut beginning = Beginning::new();
        assert!(beginning.is_open(TIME));
        beginning.keep(BYTES, 1);
        assert_eq!(beginning.chunks(), [1]);
        assert!(beginning.is_open(TIME));
        beginning.keep(1, 2);
        assert_eq!(beginning.chunks(), [0; 0]);
        assert!(!beginning.is_open(TIME));
    }
}
