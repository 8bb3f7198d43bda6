//! Queue bound of one client, in bytes.

/// Class of a frame, which decides its share of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameClass {
    /// Event or acknowledgement, which is never dropped.
    Event,
    /// Chunk, which is dropped if the queue is full.
    Chunk,
    /// Frame for which there is space, as was checked before.
    Admitted,
}

/// Bound on the bytes queued for a client, and their count.
///
/// Chunks may use up to `queue_bytes`, and events the same amount again. A frame longer than
/// `queue_bytes` alone, such as the answer to a join of a large room, is queued anyway, one at a
/// time. Its unsent bytes raise the bound for events.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    queue_bytes: usize,
    /// Queued bytes.
    queued: usize,
    /// Length of the queued long frame in bytes, without what was written at once; 0 if none is
    /// queued.
    long: usize,
    /// Queued bytes up to the end of that frame.
    until_long: usize,
}

impl Budget {
    pub(crate) fn new(queue_bytes: usize) -> Self {
        Self {
            queue_bytes,
            ..Self::default()
        }
    }

    /// Returns the number of queued bytes.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// Whether a frame of this class and length may be queued. The length of a chunk includes a frame
    /// that must directly precede it.
    pub(crate) fn takes(&self, class: FrameClass, bytes: usize) -> bool {
        match class {
            FrameClass::Event => self.takes_event(bytes),
            FrameClass::Chunk => self.takes_chunk(bytes),
            FrameClass::Admitted => true,
        }
    }

    fn takes_event(&self, bytes: usize) -> bool {
        let counted = if self.raises(bytes) { 0 } else { bytes };
        let long = self.long.min(self.until_long);
        self.queued - long + counted <= 2 * self.queue_bytes
    }

    fn takes_chunk(&self, bytes: usize) -> bool {
        self.queued == 0 || self.queued + bytes <= self.queue_bytes
    }

    /// Adds a frame of this length, of which `written` bytes are already sent.
    pub(crate) fn add(&mut self, bytes: usize, written: usize) {
        let raises = self.raises(bytes);
        self.queued += bytes - written;
        if raises {
            self.long = bytes - written;
            self.until_long = self.queued;
        }
    }

    /// Removes this many bytes from the front of the queue.
    pub(crate) fn remove(&mut self, bytes: usize) {
        self.queued -= bytes;
        self.until_long = self.until_long.saturating_sub(bytes);
        if self.until_long == 0 {
            self.long = 0;
        }
    }

    /// Resets the count to an empty queue.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.queue_bytes);
    }

    /// Whether a frame of this length raises the bound.
    fn raises(&self, bytes: usize) -> bool {
        self.long == 0 && bytes > self.queue_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_frame_raises_the_bound_until_it_is_sent() {
        let mut budget = Budget::new(100);
        budget.add(90, 0);
        assert!(budget.takes_event(4_000), "whatever waits already");
        budget.add(4_000, 0);
        assert!(!budget.takes_chunk(1));
        budget.add(100, 0);
        assert!(budget.takes_event(10) && !budget.takes_event(11));
        assert!(
            !budget.takes_event(4_000),
            "there is one long frame at a time"
        );
        budget.remove(90 + 3_999);
        assert_eq!(budget.queued(), 101);
        assert!(budget.takes_event(100) && !budget.takes_event(101));
        budget.remove(1);
        assert!(budget.takes_event(100));
        assert!(budget.takes_event(4_000), "the next one");
        budget.remove(100);
        budget.add(4_000, 3_000);
        assert_eq!(budget.queued(), 1_000);
        assert!(budget.takes_event(200) && !budget.takes_event(201));
        budget.clear();
        assert_eq!(budget.queued(), 0);
    }

    #[test]
    fn chunks_have_half_the_space_of_events() {
        let mut budget = Budget::new(100);
        assert!(
            budget.takes_chunk(1_000),
            "a chunk alone may be of any length"
        );
        budget.add(80, 0);
        assert!(budget.takes_chunk(20) && !budget.takes_chunk(21));
        budget.add(100, 0);
        assert!(budget.takes_event(20) && !budget.takes_event(21));
    }
}
