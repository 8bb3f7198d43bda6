//! Events and messages of a room while a member joins.

use std::sync::Arc;

use weir_protocol::{Code, Fault, Frame, RoomEvent};

/// Maximum number of events and messages.
const ENTRIES: usize = 16_384;

/// Maximum number of bytes of messages.
const BYTES: usize = 4 * 1024 * 1024;

/// Entry of a backlog.
#[derive(Debug)]
pub(super) enum Kept {
    Event(Arc<RoomEvent>),
    /// Message, and the version at which it was sent.
    Message {
        version: u64,
        message: Frame,
    },
}

/// Events and messages since a seat was reserved, in order; bounded.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    entries: Vec<Kept>,
    bytes: usize,
    /// Whether a limit was exceeded.
    over: bool,
}

impl Backlog {
    pub(super) fn event(&mut self, event: &Arc<RoomEvent>) {
        self.keep(0, || Kept::Event(Arc::clone(event)));
    }

    pub(super) fn message(&mut self, version: u64, message: &Frame) {
        self.keep(message.bytes().len(), || Kept::Message {
            version,
            message: message.clone(),
        });
    }

    fn keep(&mut self, bytes: usize, entry: impl FnOnce() -> Kept) {
        self.bytes += bytes;
        if self.over || self.entries.len() >= ENTRIES || self.bytes > BYTES {
            self.over = true;
            self.entries = Vec::new();
        } else {
            self.entries.push(entry());
        }
    }

    /// Returns the events, unless a limit was exceeded.
    pub(super) fn events(&self) -> Option<Vec<Arc<RoomEvent>>> {
        let events = self.entries.iter().filter_map(|entry| match entry {
            Kept::Event(event) => Some(Arc::clone(event)),
            Kept::Message { .. } => None,
        });
        (!self.over).then(|| events.collect())
    }

    /// Removes all entries.
    ///
    /// # Errors
    /// `unavailable` if a limit was exceeded.
    pub(super) fn take(&mut self) -> Result<Vec<Kept>, Fault> {
        if self.over {
            let message = format!(
                "more than {ENTRIES} changes or {BYTES} bytes of messages came while this \
                 connection was joining"
            );
            return Err(Fault::new(Code::Unavailable, message));
        }
        Ok(std::mem::take(&mut self.entries))
    }
}

#[cfg(test)]
mod tests {
    use weir_protocol::{Change, LeaveReason, MemberId};

    use super::*;

    fn event() -> Arc<RoomEvent> {
        let (id, reason) = (MemberId::new("a"), LeaveReason::Left);
        let change = Change::MemberLeft { id, reason };
        Arc::new(RoomEvent { version: 1, change })
    }

    #[test]
    fn too_many_events_or_bytes_drop_all_entries() {
        let mut backlog = Backlog::default();
        for _ in 0..ENTRIES {
            backlog.event(&event());
        }
        assert_eq!(backlog.take().expect("all of them").len(), ENTRIES);
        let mut backlog = Backlog::default();
        (0..=ENTRIES).for_each(|_| backlog.event(&event()));
        let fault = backlog.take().expect_err("one too many");
        assert_eq!(fault.code, Code::Unavailable);
        let mut backlog = Backlog::default();
        let message = Frame::new(None, &"x".repeat(BYTES), &[]);
        backlog.message(1, &message);
        backlog.take().expect_err("too long");
    }
}
