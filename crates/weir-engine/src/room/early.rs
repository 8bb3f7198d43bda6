//! Messages that have overtaken events.

use std::{collections::VecDeque, sync::Arc};

use weir_cluster::Signal;

/// Maximum number of messages. The oldest is sent early if there are more.
const ENTRIES: usize = 1_024;

/// Maximum number of their bytes.
const BYTES: usize = 4 * 1024 * 1024;

/// Messages in the order of arrival. Each is sent once the room has the version that its sender's
/// node knew, since events and messages take different paths.
#[derive(Debug, Default)]
pub(super) struct Early {
    messages: VecDeque<Arc<Signal>>,
    bytes: usize,
}

impl Early {
    pub(super) fn push(&mut self, message: &Arc<Signal>) {
        self.bytes += message.length();
        self.messages.push_back(Arc::clone(message));
    }

    /// Removes the next message that is due at version `known`.
    pub(super) fn pop(&mut self, known: Option<u64>) -> Option<Arc<Signal>> {
        let due = version(self.messages.front()?) <= known?;
        if !due && self.messages.len() <= ENTRIES && self.bytes <= BYTES {
            return None;
        }
        let message = self.messages.pop_front()?;
        self.bytes -= message.length();
        Some(message)
    }
}

fn version(signal: &Signal) -> u64 {
    match signal {
        Signal::Message { version, .. } => *version,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use weir_protocol::{Json, MemberId};

    use super::*;

    fn message(version: u64) -> Arc<Signal> {
        Arc::new(Signal::Message {
            version,
            from: MemberId::new("a"),
            to: None,
            topic: None,
            data: Json::empty_object(),
            attachments: vec![vec![0; 1_000].into()],
        })
    }

    #[test]
    fn messages_wait_for_their_version_in_order() {
        let mut early = Early::default();
        [5, 3, 6]
            .iter()
            .for_each(|version| early.push(&message(*version)));
        assert_eq!(early.pop(None), None);
        assert_eq!(early.pop(Some(4)), None);
        assert_eq!(early.pop(Some(5)), Some(message(5)));
        assert_eq!(early.pop(Some(5)), Some(message(3)));
        assert_eq!(early.pop(Some(5)), None);
        assert_eq!(early.pop(Some(7)), Some(message(6)));
        assert_eq!(early.pop(Some(7)), None);
    }

    #[test]
    fn waiting_messages_are_bounded() {
        let mut early = Early::default();
        (0..=ENTRIES).for_each(|_| early.push(&message(9)));
        assert_eq!(early.pop(Some(1)), Some(message(9)));
        assert_eq!(early.pop(Some(1)), None);
    }
}
