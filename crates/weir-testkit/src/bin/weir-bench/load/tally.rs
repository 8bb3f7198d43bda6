//! Counters that all clients of a load share.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use anyhow::bail;
use weir_testkit::ReadBuffer;

/// Most bytes of one read.
const READ_SIZE: usize = 256 << 10;

/// Counters, clock and read buffer of a load, all on one thread.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Start of the clock that stamps chunks.
    epoch: Instant,
    /// Size of every chunk in bytes.
    pub(crate) chunk_size: usize,
    /// Chunks that publishers have sent.
    pub(crate) published: Cell<u64>,
    /// Verified chunks that subscribers have received.
    pub(crate) delivered: Cell<u64>,
    /// Whether a subscriber's first chunk may have any number.
    pub(crate) late: Cell<bool>,
    /// Subscribers that have received a chunk.
    pub(crate) started: Cell<usize>,
    /// Deliveries that are not due, because their subscriber started later.
    pub(crate) skipped: Cell<u64>,
    /// Engine.IO pings of the servers.
    pub(crate) heartbeats: Cell<u64>,
    /// Whether publishers must stop.
    pub(crate) stopped: Cell<bool>,
    /// Whether latencies are recorded.
    pub(crate) recording: Cell<bool>,
    /// Times from a publisher's write to a subscriber's read, in microseconds.
    pub(crate) latencies: RefCell<Vec<u32>>,
    /// First failure.
    failure: RefCell<Option<String>>,
    /// Read buffer of all clients.
    pub(crate) buffer: ReadBuffer,
}

impl Tally {
    pub(crate) fn new(chunk_size: usize) -> Self {
        Self {
            epoch: Instant::now(),
            chunk_size,
            published: Cell::default(),
            delivered: Cell::default(),
            late: Cell::default(),
            started: Cell::default(),
            skipped: Cell::default(),
            heartbeats: Cell::default(),
            stopped: Cell::default(),
            recording: Cell::default(),
            latencies: RefCell::default(),
            failure: RefCell::default(),
            buffer: ReadBuffer::new(READ_SIZE),
        }
    }

    /// Returns the nanoseconds since the start of the load.
    pub(crate) fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// Counts a subscriber and its first chunk; returns false if another chunk is due.
    pub(crate) fn start(&self, seq: u64) -> bool {
        self.started.set(self.started.get() + 1);
        self.skipped.set(self.skipped.get() + seq.saturating_sub(1));
        seq == 1 || (seq > 1 && self.late.get())
    }

    /// Counts a delivery.
    pub(crate) fn deliver(&self, sent_at: u64, received_at: u64) {
        self.delivered.set(self.delivered.get() + 1);
        if self.recording.get() {
            let micros = received_at.saturating_sub(sent_at) / 1_000;
            self.latencies.borrow_mut().push(micros as u32);
        }
    }

    /// Records a failure, unless there was one before.
    pub(crate) fn fail(&self, failure: String) {
        self.failure.borrow_mut().get_or_insert(failure);
    }

    /// Returns the first failure as an error.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        match &*self.failure.borrow() {
            Some(failure) => bail!("{failure}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscribers_may_start_mid_stream_only_while_that_is_allowed() {
        let tally = Tally::new(1_200);
        assert!(tally.start(1) && !tally.start(2) && !tally.start(0));
        tally.late.set(true);
        tally.skipped.set(0);
        assert!(tally.start(1) && tally.start(31) && !tally.start(0));
        assert_eq!(tally.skipped.get(), 30);
    }
}
