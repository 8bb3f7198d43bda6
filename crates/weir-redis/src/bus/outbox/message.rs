//! Messages to publish, each with a deadline.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use opentelemetry::trace::SpanContext;
use tokio::{sync::oneshot, time::Instant};
use weir_cluster::{BusError, Hop, Relayed};

use crate::{
    bus::{envelope::MessageHead, topic::Topic},
    connection::server::ServerId,
};

/// Maximum age of a chunk at publication.
pub(super) const FRESH: Duration = Duration::from_secs(1);

/// Publication deadline of a signal, retries included.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

/// Maximum number of times that a message is sent on at once to the server that another one names.
/// Servers may disagree for a while.
pub(super) const REDIRECTS: u8 = 4;

/// Reply of Redis to a message.
#[derive(Debug, Clone)]
pub(crate) enum PublishReply {
    /// Number of nodes that received it.
    Nodes(u32),
    /// Error text.
    Refused(Arc<str>),
    /// Owner of the slot, which is another server, and the error text.
    Moved(ServerId, Arc<str>),
    /// No reply: the connection was lost.
    Lost,
}

/// Message to publish. Its content is the head followed by the payload, which is not copied.
#[derive(Debug)]
pub(crate) struct OutboxMessage {
    pub(crate) topic: Arc<Topic>,
    head: MessageHead,
    payload: Bytes,
    pub(super) kind: MessageKind,
    pub(super) at: Instant,
    redirects: u8,
}

/// Treatment of a message that cannot be published.
#[derive(Debug)]
pub(super) enum MessageKind {
    /// Chunk: dropped.
    Chunk {
        /// True if its latency is measured.
        measured: bool,
        /// Parent span of its trace.
        trace: Option<SpanContext>,
    },
    /// Signal: retried until its deadline.
    Signal {
        /// Channel that reports the outcome, if anybody waits for it.
        waiting: Option<oneshot::Sender<Result<(), BusError>>>,
        /// Last error reply of Redis, if any.
        why: Option<Arc<str>>,
    },
}

impl OutboxMessage {
    /// Creates the message of a chunk.
    pub(crate) fn chunk(topic: Arc<Topic>, head: MessageHead, relayed: &Relayed) -> Self {
        let kind = MessageKind::Chunk {
            measured: Hop::is_measured(relayed.chunk.seq),
            trace: relayed.trace.clone(),
        };
        Self::new(topic, head, relayed.chunk.payload.clone(), kind)
    }

    /// Creates the message of a signal.
    pub(crate) fn signal(topic: Arc<Topic>, payload: Bytes) -> Self {
        let (waiting, why) = (None, None);
        let kind = MessageKind::Signal { waiting, why };
        Self::new(topic, MessageHead::default(), payload, kind)
    }

    /// Creates the message of a signal, and the receiver of its outcome.
    pub(crate) fn awaited(
        topic: Arc<Topic>,
        payload: Bytes,
    ) -> (Self, oneshot::Receiver<Result<(), BusError>>) {
        let (waiting, outcome) = oneshot::channel();
        let (waiting, why) = (Some(waiting), None);
        let kind = MessageKind::Signal { waiting, why };
        let message = Self::new(topic, MessageHead::default(), payload, kind);
        (message, outcome)
    }

    fn new(topic: Arc<Topic>, head: MessageHead, payload: Bytes, kind: MessageKind) -> Self {
        Self {
            topic,
            head,
            payload,
            kind,
            at: Instant::now(),
            redirects: 0,
        }
    }

    /// Returns the length of the content, in bytes.
    pub(super) fn len(&self) -> usize {
        self.head.as_slice().len() + self.payload.len()
    }

    pub(super) fn is_signal(&self) -> bool {
        matches!(self.kind, MessageKind::Signal { .. })
    }

    /// Returns whether the deadline has passed.
    pub(super) fn is_old(&self, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.at);
        age > if self.is_signal() { DEADLINE } else { FRESH }
    }

    /// Counts a redirection. Returns whether the message may be sent on at once.
    pub(super) fn may_follow(&mut self) -> bool {
        let may = self.redirects < REDIRECTS;
        self.redirects += u8::from(may);
        may
    }

    /// Appends the publishing command, which is the only copy of the payload.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let head = self.head.as_slice();
        out.extend_from_slice(&self.topic.command);
        out.extend_from_slice(itoa::Buffer::new().format(self.len()).as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(head);
        out.extend_from_slice(&self.payload);
        out.extend_from_slice(b"\r\n");
    }

    /// Reports the outcome to the waiting task, if any.
    pub(super) fn settle(self, outcome: Result<(), BusError>) {
        if let MessageKind::Signal {
            waiting: Some(waiting),
            ..
        } = self.kind
        {
            // The waiting task may have timed out.
            let _ = waiting.send(outcome);
        }
    }

    /// Reports to the waiting task, if any, that the message was given up.
    pub(super) fn expire(self) {
        let why = match &self.kind {
            MessageKind::Signal { why: Some(why), .. } => why.to_string(),
            _ => "Redis did not answer in time".to_owned(),
        };
        self.settle(Err(BusError::Unavailable(why)));
    }
}

#[cfg(test)]
mod tests {
    use redis::cmd;

    use super::*;
    use crate::bus::topic::ChannelKind;

    #[test]
    fn encoded_command_equals_that_of_the_library() {
        for (kind, command) in [
            (ChannelKind::Plain, "PUBLISH"),
            (ChannelKind::Sharded, "SPUBLISH"),
        ] {
            let topic = Topic::new("weir:0:{room}:signals".to_owned(), kind);
            let payload = vec![7; 1_234];
            let message = OutboxMessage::signal(topic, Bytes::from(payload.clone()));
            let mut written = Vec::new();
            message.write(&mut written);
            let name = &*message.topic.name;
            let expected = cmd(command).arg(name).arg(payload).get_packed_command();
            assert_eq!(written, expected);
        }
    }
}
