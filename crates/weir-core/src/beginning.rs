//! First chunks of a track, for nodes that subscribe a moment later.

use std::time::Duration;

/// Time for which the first chunks are kept.
const TIME: Duration = Duration::from_secs(2);

/// Maximum number of bytes that are kept.
const BYTES: usize = 1024 * 1024;

/// First chunks of a track: all of them, or none.
///
/// Another node needs a moment to subscribe to a new track; the chunks of that moment are published
/// again for it. Times are since any fixed moment.
#[derive(Debug, Clone)]
pub struct Beginning<C> {
    chunks: Vec<C>,
    bytes: usize,
    /// End of the time for which chunks are kept; `None` before the first.
    until: Option<Duration>,
}

impl<C> Beginning<C> {
    /// Creates the state of a track without chunks.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            bytes: 0,
            until: None,
        }
    }

    /// Returns whether the next chunk is kept.
    pub fn is_open(&mut self, now: Duration) -> bool {
        let until = *self.until.get_or_insert(now + TIME);
        let open = now < until;
        if !open && !self.chunks.is_empty() {
            self.chunks = Vec::new();
        }
        open
    }

    /// Keeps the next chunk, of `bytes` bytes, after [`is_open`](Self::is_open) has returned true.
    pub fn keep(&mut self, bytes: usize, chunk: C) {
        self.bytes += bytes;
        if self.bytes > BYTES {
            self.close();
        } else {
            self.chunks.push(chunk);
        }
    }

    /// Drops the kept chunks, and keeps no more.
    pub fn close(&mut self) {
        self.until = Some(Duration::ZERO);
        self.chunks = Vec::new();
    }

    /// Returns all chunks of the track so far, or none.
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
    fn too_many_bytes_drop_all_chunks() {
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
