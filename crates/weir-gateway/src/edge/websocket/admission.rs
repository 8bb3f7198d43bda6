//! What clients may make a node hold while their messages are on the way.
//!
//! The library reads a WebSocket message, or a polling request's body, as a whole, up to its limit
//! of some MiB. So that many clients with long messages cannot fill the node's memory together,
//! those over [`FREE_BYTES`] take turns: each waits, unread, until the node has room for it.

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

use super::frames::{Follower, Kind};

/// A message up to this length is read as it comes. Most key chunks of video are shorter.
pub(crate) const FREE_BYTES: u64 = 256 * 1024;

/// What the node holds of longer messages together.
const ROOM_BYTES: u64 = 16 * 1024 * 1024;

/// How long a longer message, and the body of any polling request, may take from when there is room
/// for it. A connection that takes longer is closed, or it could keep the others waiting.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What the node takes in of long messages at a time, counted in KiB. Clones are the same.
#[derive(Clone)]
pub(crate) struct Intake {
    kibibytes: Arc<Semaphore>,
    /// The longest message.
    limit: u64,
    engine: Engine,
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Intake").field(&self.kibibytes).finish()
    }
}

impl Intake {
    /// An intake of messages of up to `limit` bytes.
    pub(crate) fn new(limit: u64, engine: Engine) -> Self {
        let bytes = ROOM_BYTES.max(limit);
        Self {
            kibibytes: Arc::new(Semaphore::new(kibibytes(bytes) as usize)),
            limit,
            engine,
        }
    }

    /// Waits for a share for a message; `length` is `None` if its end is not known. What needs none
    /// gets none.
    pub(crate) async fn take(&self, length: Option<u64>) -> Option<Share> {
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

fn kibibytes(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX >> 4)
}

/// What one message has taken of the intake, until this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    _permit: OwnedSemaphorePermit,
    /// When the message must be complete.
    pub(crate) deadline: Instant,
}

/// One connection's messages, as they come in.
#[derive(Debug)]
pub(crate) struct Inbound {
    intake: Intake,
    frames: Follower,
    /// The bytes of the message that has begun, up to the end of the frame that has.
    message: u64,
    /// Whether that frame is the message's last.
    last: bool,
    /// Whether that frame is none of the message's.
    control: bool,
    long: Option<Box<Long>>,
}

/// A long message.
enum Long {
    Waits(BoxFuture<'static, Option<Share>>),
    Comes {
        _share: Share,
        deadline: Pin<Box<Sleep>>,
    },
}

impl fmt::Debug for Long {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waits(_) => "Waits",
            Self::Comes { .. } => "Comes",
        })
    }
}

impl Inbound {
    pub(crate) fn new(intake: Intake) -> Self {
        Self {
            intake,
            frames: Follower::default(),
            message: 0,
            last: false,
            control: false,
            long: None,
        }
    }

    /// Waits while a long message has no room.
    ///
    /// # Errors
    /// If the message takes too long.
    pub(crate) fn poll_share(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(long) = &mut self.long else {
            return Poll::Ready(Ok(()));
        };
        if let Long::Waits(share) = &mut **long {
            let Some(share) = ready!(share.as_mut().poll(context)) else {
                self.long = None;
                return Poll::Ready(Ok(()));
            };
            let deadline = Box::pin(sleep_until(share.deadline));
            **long = Long::Comes {
                _share: share,
                deadline,
            };
        }
        if let Long::Comes { deadline, .. } = &mut **long
            && deadline.as_mut().poll(context).is_ready()
        {
            self.intake
                .engine
                .counters()
                .connections_closed_late
                .add_one();
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Ready(Ok(()))
    }

    /// Follows bytes that are about to be passed on, as far as there is room for them; says how
    /// many these are.
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while passed < bytes.len() && !self.waits() {
            let (followed, header) = self.frames.step(&bytes[passed..]);
            passed += followed;
            if let Some(header) = header {
                self.control = header.kind == Kind::Control;
                if !self.control {
                    if header.kind == Kind::First {
                        self.message = 0;
                    }
                    self.message = self.message.saturating_add(header.length);
                    self.last = header.last;
                    self.look();
                }
            }
            if self.last && !self.control && self.frames.at_boundary() {
                self.message = 0;
                self.last = false;
                self.long = None;
            }
        }
        passed
    }

    /// Whether the message exceeds the limit, so that the library closes the connection.
    pub(crate) const fn is_oversize(&self) -> bool {
        self.message > self.intake.limit
    }

    /// Whether what was passed on ends with a whole message.
    pub(crate) fn at_boundary(&self) -> bool {
        self.message == 0 && self.frames.at_boundary()
    }

    fn waits(&self) -> bool {
        matches!(self.long.as_deref(), Some(Long::Waits(_)))
    }

    /// Has a message wait for room if it needs any and has none.
    fn look(&mut self) {
        if self.is_oversize() {
            // The library refuses it without reading it.
            self.intake
                .engine
                .counters()
                .connections_closed_oversize
                .add_one();
        } else if self.message > FREE_BYTES && self.long.is_none() {
            let length = self.last.then_some(self.message);
            let intake = self.intake.clone();
            let share = Box::pin(async move { intake.take(length).await });
            self.long = Some(Box::new(Long::Waits(share)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Waker};

    use weir_cluster::{MemoryHub, MemoryOptions};
    use weir_engine::EngineOptions;

    use super::super::frames::tests::frame;
    use super::*;

    const TEXT: u8 = 0x81;
    const BEGINNING: u8 = 0x01;
    const GOING_ON: u8 = 0x00;
    const ENDING: u8 = 0x80;
    const PING: u8 = 0x89;

    /// An intake that one message without a known end fills.
    fn intake() -> Intake {
        let hub = MemoryHub::new(MemoryOptions::default());
        let engine = Engine::in_memory(EngineOptions::default(), &hub);
        Intake::new(ROOM_BYTES, engine)
    }

    fn waits(inbound: &mut Inbound) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        inbound.poll_share(&mut context).is_pending()
    }

    /// Passes all of `bytes` on, as often as it takes.
    fn pass_all(inbound: &mut Inbound, bytes: &[u8]) {
        let mut passed = 0;
        while passed < bytes.len() {
            assert!(!waits(inbound), "it waits after {passed} bytes");
            passed += inbound.pass(&bytes[passed..]);
        }
    }

    #[tokio::test]
    async fn short_messages_pass_whatever_others_do() {
        let intake = intake();
        let all = intake.take(None).await.expect("a share");
        let mut inbound = Inbound::new(intake);
        for length in [0, 5, 70_000, 256 * 1024] {
            pass_all(&mut inbound, &frame(TEXT, length, true));
            assert!(!waits(&mut inbound));
        }
        drop(all);
    }

    #[tokio::test]
    async fn long_messages_wait_for_each_other_however_they_are_cut() {
        let intake = intake();
        let (mut first, mut second) = (Inbound::new(intake.clone()), Inbound::new(intake.clone()));
        // Two frames of 200 KiB, with a ping in between: too much only together.
        pass_all(&mut first, &frame(BEGINNING, 200 * 1024, true));
        pass_all(&mut first, &frame(PING, 100, true));
        let more = frame(GOING_ON, 200 * 1024, true);
        let header = first.pass(&more);
        assert!(header < 20, "{header} bytes came without room");
        assert!(!waits(&mut first));

        let whole = frame(TEXT, 300 * 1024, true);
        let passed = second.pass(&whole);
        assert!(passed < 20, "{passed} bytes came without room");
        assert!(waits(&mut second));
        pass_all(&mut first, &more[header..]);
        assert!(waits(&mut second), "the first is not at its end");
        pass_all(&mut first, &frame(ENDING, 10, true));
        assert!(!waits(&mut second));
        pass_all(&mut second, &whole[passed..]);
        assert_eq!(
            intake.kibibytes.available_permits() as u64 * 1024,
            ROOM_BYTES
        );
    }

    #[tokio::test]
    async fn a_connection_that_goes_while_it_waits_or_sends_takes_nothing_with_it() {
        let intake = intake();
        let (mut first, mut second) = (Inbound::new(intake.clone()), Inbound::new(intake.clone()));
        first.pass(&frame(BEGINNING, 300 * 1024, true));
        second.pass(&frame(BEGINNING, 300 * 1024, true));
        assert!(!waits(&mut first));
        assert!(waits(&mut second));
        drop(second);
        drop(first);
        assert_eq!(
            intake.kibibytes.available_permits() as u64 * 1024,
            ROOM_BYTES
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_message_that_takes_too_long_ends_its_connection() {
        let intake = intake();
        let mut inbound = Inbound::new(intake.clone());
        let passed = inbound.pass(&frame(TEXT, 300 * 1024, true));
        assert!(passed < 20);
        assert!(!waits(&mut inbound));
        let start = Instant::now();
        let error = poll_fn(|context| match inbound.poll_share(context) {
            Poll::Ready(Err(error)) => Poll::Ready(error),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        })
        .await;
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() >= PATIENCE);
        assert_eq!(intake.engine.counters().connections_closed_late.value(), 1);
    }
}
