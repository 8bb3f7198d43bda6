//! The stream that the Socket.IO library reads from and writes to: a lane's socket.
//!
//! What a client sends is read here first. Its media events go to its session at once; all else is
//! the library's. The library asks for more only when it has handled every whole message that it was
//! given, so all is handled in the order in which it came.

use std::{
    cell::RefCell,
    io::{self, Read},
    mem,
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::{ack_id, admission::Inbound, fast_path::Next, writer::Lane};
use crate::edge::{accept::connection::AcceptedConnection, transport::Link};

/// What one read takes from a socket at the most.
const READ_BYTES: usize = 64 * 1024;

/// How many media events are handled before other tasks have their turn: each may go to hundreds of
/// subscribers.
const TURN: usize = 8;

thread_local! {
    /// Where sockets are read into. The library reads in small pieces, so that its buffer costs an
    /// idle connection little; one read of the socket serves many of them.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// Upgrade packets of the client, masked with zeros, and the library's answer. The gateway has
/// already exchanged them with the client before it hands the WebSocket over.
/// Source: Engine.IO protocol, revision 4, "Upgrade".
const UPGRADE: &[u8] = b"\x81\x86\0\0\0\x002probe\x81\x81\0\0\0\x005";
const UPGRADE_ANSWER: &[u8] = b"\x81\x063probe";

/// One connection's stream.
#[derive(Debug)]
pub(crate) struct Pipe {
    connection: Arc<AcceptedConnection>,
    lane: Arc<Lane>,
    link: Arc<Link>,
    inbound: Inbound,
    ids: ack_id::Frames,
    /// What was read from the socket and not yet by the library.
    ahead: BytesMut,
    ahead_is: Ahead,
    /// Bytes that the library will write, but the client already has.
    written: &'static [u8],
}

/// What the bytes are that were read ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ahead {
    /// The library's.
    Others,
    /// Media events may come first.
    Media,
    /// The beginning of a media event, which waits for its rest.
    Begun,
}

impl Pipe {
    /// A stream that begins with `ahead`, which was read from the socket before.
    pub(crate) fn new(
        connection: Arc<AcceptedConnection>,
        lane: Arc<Lane>,
        link: Arc<Link>,
        inbound: Inbound,
        ahead: Bytes,
    ) -> Self {
        Self {
            connection,
            lane,
            link,
            inbound,
            ids: ack_id::Frames::default(),
            ahead: ahead.into(),
            ahead_is: Ahead::Others,
            written: &[],
        }
    }

    /// Creates the stream of a client that has upgraded from polling, starting after its probe.
    pub(crate) fn upgraded(
        connection: Arc<AcceptedConnection>,
        lane: Arc<Lane>,
        link: Arc<Link>,
        inbound: Inbound,
        ahead: &[u8],
    ) -> Self {
        let ahead = [UPGRADE, ahead].concat().into();
        let mut pipe = Self::new(connection, lane, link, inbound, ahead);
        pipe.written = UPGRADE_ANSWER;
        pipe
    }

    /// Returns how many of the library's bytes the client already has.
    fn skip(&mut self, bytes: &[u8]) -> usize {
        let length = self.written.len().min(bytes.len());
        let (skipped, rest) = self.written.split_at(length);
        if skipped == &bytes[..length] {
            self.written = rest;
            return length;
        }
        self.written = &[];
        0
    }

    /// Takes the media events at the front of `bytes`, which are what the stream goes on with, but
    /// no more than are `left` of the turn; says how many bytes they are, and what the others are.
    fn take(&self, bytes: &mut [u8], left: &mut usize) -> (usize, Ahead) {
        let mut taken = 0;
        if !self.inbound.at_boundary() {
            return (taken, Ahead::Others);
        }
        while taken < bytes.len() {
            let rest = &mut bytes[taken..];
            let (next, session) = (Next::of(rest), self.link.session());
            let (Next::Media(_) | Next::Begun, Some(session)) = (&next, session) else {
                break;
            };
            let Next::Media(media) = next else {
                return (taken, Ahead::Begun);
            };
            if *left == 0 {
                return (taken, Ahead::Media);
            }
            let published = media.read(rest, |packet, payload| {
                session.receive_media(packet.array, Some(payload), packet.ack);
            });
            if !published {
                break;
            }
            taken += media.length();
            *left -= 1;
        }
        (taken, Ahead::Others)
    }

    /// The same of what was read ahead.
    fn take_ahead(&mut self, left: &mut usize) {
        let mut ahead = mem::take(&mut self.ahead);
        let (taken, is) = self.take(&mut ahead, left);
        ahead.advance(taken);
        if !ahead.is_empty() {
            self.ahead = ahead;
        }
        self.ahead_is = is;
    }

    /// Passes on what was read ahead, as far as the library and the node have room.
    fn pass(&mut self, buffer: &mut ReadBuf<'_>) {
        let offered = self.ahead.len().min(buffer.remaining());
        let passed = self.inbound.pass(&self.ahead[..offered]);
        if self.inbound.is_oversize() {
            self.link.set_cause("oversize");
        }
        hand_over(buffer, &self.ahead[..passed], &mut self.ids);
        self.ahead.advance(passed);
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
    }

    /// Reads from the socket: takes media events, passes on what the library has room for, and keeps
    /// the rest. False if there is nothing left and the stream has ended.
    fn read(&mut self, buffer: &mut ReadBuf<'_>, left: &mut usize) -> io::Result<bool> {
        SCRATCH.with_borrow_mut(|scratch| {
            let read = self.receive(scratch)?;
            if self.ahead_is == Ahead::Begun {
                self.ahead.extend_from_slice(&scratch[..read]);
                // What ends here will never be whole.
                self.ahead_is = if read > 0 {
                    Ahead::Media
                } else {
                    Ahead::Others
                };
                return Ok(true);
            }
            let (taken, is) = self.take(&mut scratch[..read], left);
            let mut rest = &scratch[taken..read];
            if is == Ahead::Others {
                let offered = rest.len().min(buffer.remaining());
                let passed = self.inbound.pass(&rest[..offered]);
                if self.inbound.is_oversize() {
                    self.link.set_cause("oversize");
                }
                hand_over(buffer, &rest[..passed], &mut self.ids);
                rest = &rest[passed..];
            }
            self.ahead = rest.into();
            self.ahead_is = is;
            Ok(read > 0)
        })
    }

    /// Reads what is there. A read that does not fill `bytes` leaves nothing, and is not repeated
    /// before there is more.
    fn receive(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let stream = self.connection.stream();
        let mut short = None;
        let read = stream.try_io(Interest::READABLE, || {
            let read = (&*SockRef::from(stream)).read(bytes)?;
            if read == 0 || read == bytes.len() {
                return Ok(read);
            }
            short = Some(read);
            Err(io::ErrorKind::WouldBlock.into())
        });
        short.map_or(read, Ok)
    }
}

/// Copies the next bytes of the stream to the library.
fn hand_over(buffer: &mut ReadBuf<'_>, bytes: &[u8], ids: &mut ack_id::Frames) {
    let start = buffer.filled().len();
    buffer.put_slice(bytes);
    ids.pass(&mut buffer.filled_mut()[start..]);
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.link.library_reads();
        let before = buffer.filled().len();
        let mut left = TURN;
        loop {
            if let Err(error) = ready!(self.inbound.poll_share(context)) {
                self.link.set_cause("late");
                return Poll::Ready(Err(error));
            }
            if self.ahead_is == Ahead::Media {
                self.take_ahead(&mut left);
            }
            if left == 0 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !self.ahead.is_empty() && self.ahead_is == Ahead::Others {
                self.pass(buffer);
                if buffer.filled().len() > before || buffer.remaining() == 0 {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            ready!(self.connection.stream().poll_read_ready(context))?;
            match self.read(buffer, &mut left) {
                // Media events, or the header of a message that must wait, may be all that there is.
                Ok(true) if buffer.filled().len() == before => {}
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let skipped = self.skip(bytes);
        if skipped > 0 {
            return Poll::Ready(Ok(skipped));
        }
        self.lane
            .poll_library_write(&self.connection, context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Fails if the peer has already ended it, which is as good.
        let _ = SockRef::from(self.connection.stream()).shutdown(Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.lane.close();
        self.link.library_gone();
    }
}
