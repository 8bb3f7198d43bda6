//! What all connections of one load count together.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use anyhow::bail;

/// How much one read may take, in bytes.
const SCRATCH: usize = 256 << 10;

/// The counts, the clock and the read buffer of one load; one thread has it all.
#[derive(Debug)]
pub(crate) struct Tally {
    /// The clock that chunks are stamped with.
    epoch: Instant,
    /// The size of every chunk of the load in bytes.
    pub(crate) chunk_size: usize,
    /// Chunks sent by all publishers.
    pub(crate) published: Cell<u64>,
    /// Chunks received by all subscribers, each verified.
    pub(crate) delivered: Cell<u64>,
    /// Whether subscribers may begin in mid-stream, and chunks before that are not due.
    pub(crate) late: Cell<bool>,
    /// Subscribers that have received a chunk.
    pub(crate) begun: Cell<usize>,
    /// Deliveries that are not due because their subscriber began later.
    pub(crate) skipped: Cell<u64>,
    /// Engine.IO pings answered.
    pub(crate) heartbeats: Cell<u64>,
    /// Whether publishers have to stop.
    pub(crate) stopped: Cell<bool>,
    /// Whether latencies are kept.
    pub(crate) recording: Cell<bool>,
    /// From a publisher's clock to a subscriber's read, in microseconds.
    pub(crate) latencies: RefCell<Vec<u32>>,
    /// What went wrong first.
    failure: RefCell<Option<String>>,
    /// What every connection reads into, one after another.
    pub(crate) scratch: RefCell<Box<[u8]>>,
}

impl Tally {
    pub(crate) fn new(chunk_size: usize) -> Self {
        Self {
            epoch: Instant::now(),
            chunk_size,
            published: Cell::default(),
            delivered: Cell::default(),
            late: Cell::default(),
            begun: Cell::default(),
            skipped: Cell::default(),
            heartbeats: Cell::default(),
            stopped: Cell::default(),
            recording: Cell::default(),
            latencies: RefCell::default(),
            failure: RefCell::default(),
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
        }
    }

    /// Nanoseconds since the load began.
    pub(crate) fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// Counts a subscriber whose first chunk is this one; false if it had to be another.
    pub(crate) fn begin(&self, seq: u64) -> bool {
        self.begun.set(self.begun.get() + 1);
        self.skipped.set(self.skipped.get() + seq.saturating_sub(1));
        seq == 1 || (seq > 1 && self.late.get())
    }

    /// Counts one delivery.
    pub(crate) fn deliver(&self, sent_at: u64, received_at: u64) {
        self.delivered.set(self.delivered.get() + 1);
        if self.recording.get() {
            let micros = received_at.saturating_sub(sent_at) / 1_000;
            self.latencies.borrow_mut().push(micros as u32);
        }
    }

    /// Notes what went wrong; the first of it counts.
    pub(crate) fn fail(&self, what: String) {
        self.failure.borrow_mut().get_or_insert(what);
    }

    /// Fails if anything went wrong so far.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        match &*self.failure.borrow() {
            Some(what) => bail!("{what}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_may_begin_in_mid_stream_only_while_that_is_allowed() {
        let tally = Tally::new(1_200);
        assert!(tally.begin(1) && !tally.begin(2) && !tally.begin(0));
        tally.late.set(true);
        tally.skipped.set(0);
        assert!(tally.begin(1) && tally.begin(31) && !tally.begin(0));
        assert_eq!(tally.skipped.get(), 30);
    }
}
