//! MessageAdmission control for large incoming messages.
//!
//! The library buffers a WebSocket message, or a polling request's body, as a whole, up to its limit
//! of some MiB. So that many clients with long messages cannot exhaust the node's memory together,
//! messages over [`FREE_BYTES`] take turns: each waits, unread, until the node has capacity for it.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep_until},
};
use weir_cluster::BoxFuture;
use weir_engine::Engine;

use super::frames::{FrameKind, WebSocketHeader};

/// Maximum length of a message that is admitted at once. Most key chunks of video are shorter.
pub(crate) const FREE_BYTES: u64 = 256 * 1024;

/// Capacity of the node for all longer messages together, in bytes.
pub(super) const CAPACITY_BYTES: u64 = 16 * 1024 * 1024;

/// Time limit of an admitted long message, and of the body of any polling request. A connection
/// that takes longer is closed, or it could starve the others.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Admits long messages to the node, by KiB. Clones share the same capacity.
#[derive(Clone)]
pub(crate) struct Intake {
    kibibytes: Arc<Semaphore>,
    /// Maximum length of a message.
    limit: u64,
    engine: Engine,
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Intake").field(&self.kibibytes).finish()
    }
}

impl Intake {
    /// Creates an intake for messages of up to `limit` bytes.
    pub(crate) fn new(limit: u64, engine: Engine) -> Self {
        let bytes = CAPACITY_BYTES.max(limit);
        Self {
            kibibytes: Arc::new(Semaphore::new(kibibytes(bytes) as usize)),
            limit,
            engine,
        }
    }

    /// Waits for a share of the capacity. `length` is `None` for a message of unknown length.
    /// Returns `None` for a message that needs no share.
    pub(crate) async fn admit(&self, length: Option<u64>) -> Option<Share> {
        let length = length.unwrap_or(self.limit).min(self.limit);
        if length <= FREE_BYTES {
            return None;
        }
        let wanted = kibibytes(length);
        let permit = Arc::clone(&self.kibibytes).acquire_many_owned(wanted);
        let permit = permit.await.expect("the semaphore is never closed");
        Some(Share {
            _permit: permit,
            deadline: Instant::now() + PATIENCE,
        })
    }
}

#[cfg(test)]
impl Intake {
    /// Returns the free capacity in bytes.
    pub(super) fn available(&self) -> u64 {
        self.kibibytes.available_permits() as u64 * 1024
    }
}

fn kibibytes(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX >> 4)
}

/// Share of the capacity that one message holds until this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    _permit: OwnedSemaphorePermit,
    /// Deadline of the complete message.
    pub(crate) deadline: Instant,
}

/// MessageAdmission of one connection's messages.
#[derive(Debug)]
pub(crate) struct MessageAdmission {
    intake: Intake,
    /// Bytes of the current message, up to the end of its current frame.
    message: u64,
    /// Whether that frame is the message's last.
    last: bool,
    /// Whether the message is incomplete.
    open: bool,
    /// State of a long message.
    long: Option<Box<LongMessage>>,
}

/// State of a long message.
enum LongMessage {
    Waiting(BoxFuture<'static, Option<Share>>),
    Admitted {
        _share: Share,
        deadline: Pin<Box<Sleep>>,
    },
}

impl fmt::Debug for LongMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting(_) => "Waiting",
            Self::Admitted { .. } => "Admitted",
        })
    }
}

impl MessageAdmission {
    pub(crate) fn new(intake: Intake) -> Self {
        Self {
            intake,
            message: 0,
            last: false,
            open: false,
            long: None,
        }
    }

    /// Waits until the current message is admitted.
    ///
    /// # Errors
    /// If the message exceeds its time limit.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(long) = &mut self.long else {
            return Poll::Ready(Ok(()));
        };
        if let LongMessage::Waiting(share) = &mut **long {
            let Some(share) = ready!(share.as_mut().poll(context)) else {
                self.long = None;
                return Poll::Ready(Ok(()));
            };
            let deadline = Box::pin(sleep_until(share.deadline));
            **long = LongMessage::Admitted {
                _share: share,
                deadline,
            };
        }
        if let LongMessage::Admitted { deadline, .. } = &mut **long
            && deadline.as_mut().poll(context).is_ready()
        {
            let counters = self.intake.engine.counters();
            counters.connections_closed_late.add_one();
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the header of the connection's next frame into account.
    pub(crate) fn frame(&mut self, header: &WebSocketHeader) {
        match header.kind() {
            FrameKind::Control => return,
            FrameKind::First => self.message = 0,
            FrameKind::Continuation => {}
        }
        self.open = true;
        self.message = self.message.saturating_add(header.payload);
        self.last = header.is_last();
        if self.is_oversize() {
            // The library refuses the message without reading it.
            let counters = self.intake.engine.counters();
            counters.connections_closed_oversize.add_one();
        } else if self.message > FREE_BYTES && self.long.is_none() {
            let length = self.last.then_some(self.message);
            let intake = self.intake.clone();
            let share = Box::pin(async move { intake.admit(length).await });
            self.long = Some(Box::new(LongMessage::Waiting(share)));
        }
    }

    /// Ends the message's current frame, and releases the share of a complete message.
    pub(crate) fn frame_ends(&mut self) {
        if self.last {
            self.message = 0;
            self.last = false;
            self.open = false;
            self.long = None;
        }
    }

    /// Whether the message exceeds the limit, so that the library closes the connection.
    pub(crate) const fn is_oversize(&self) -> bool {
        self.message > self.intake.limit
    }

    /// Whether no message is incomplete.
    pub(crate) const fn is_between_messages(&self) -> bool {
        !self.open
    }

    /// Whether the current message waits for its admission.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.long.as_deref(), Some(LongMessage::Waiting(_)))
    }
}
