//! The stream that the Socket.IO library reads and writes in place of a WebSocket's socket.
//!
//! It reads the socket first. Media events go straight to the client's session, all other bytes to
//! the library. The library reads on only when it has handled every whole message that it was given,
//! so events are handled in the order in which they were sent.

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

use super::{
    admission::{Intake, MessageAdmission},
    fast_path::Upcoming,
    forwarder::StreamForwarder,
};
use crate::edge::{
    accept::connection::AcceptedConnection, client::ConnectedClient, current_session::SessionView,
};

/// Maximum bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// Maximum media events before other tasks have their turn. Each may go to hundreds of subscribers.
const TURN: usize = 8;

thread_local! {
    /// Buffer that sockets are read into. The library reads in small pieces, so that its own buffer
    /// costs an idle connection little; one read of the socket serves many of them.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// Upgrade packets of the client, masked with zeros, and the library's answer. The gateway has
/// already exchanged them with the client before it hands the WebSocket over.
/// Source: Engine.IO protocol, revision 4, "Upgrade".
const UPGRADE: &[u8] = b"\x81\x86\0\0\0\x002probe\x81\x81\0\0\0\x005";
const UPGRADE_ANSWER: &[u8] = b"\x81\x063probe";

/// Stream of one WebSocket.
#[derive(Debug)]
pub(crate) struct LibraryStream {
    connection: Arc<AcceptedConnection>,
    client: Arc<ConnectedClient>,
    session: SessionView,
    /// Whether the client is on this WebSocket for good, so that media events may leave the
    /// library's way.
    upgraded: bool,
    forwarder: StreamForwarder,
    /// Bytes that were read from the socket, but not by the library.
    ahead: BytesMut,
    ahead_is: Ahead,
    /// Bytes that the library will write, but the client already has.
    replayed: &'static [u8],
}

/// Content of the bytes that were read ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ahead {
    /// Bytes for the library.
    Library,
    /// Perhaps media events, at the front.
    Media,
    /// The first bytes of a media event, which is recognized no sooner than with this many.
    Partial(usize),
}

impl LibraryStream {
    /// Creates a stream that starts with `ahead`, which was read from the socket before.
    pub(crate) fn new(
        connection: Arc<AcceptedConnection>,
        client: Arc<ConnectedClient>,
        intake: Intake,
        ahead: Bytes,
    ) -> Self {
        Self {
            connection,
            client,
            session: SessionView::default(),
            upgraded: false,
            forwarder: StreamForwarder::new(MessageAdmission::new(intake)),
            ahead: ahead.into(),
            ahead_is: Ahead::Library,
            replayed: &[],
        }
    }

    /// Creates the stream of a client that has upgraded from polling, starting after its probe.
    pub(crate) fn upgraded(
        connection: Arc<AcceptedConnection>,
        client: Arc<ConnectedClient>,
        intake: Intake,
        ahead: &[u8],
    ) -> Self {
        let ahead = [UPGRADE, ahead].concat().into();
        let mut stream = Self::new(connection, client, intake, ahead);
        stream.replayed = UPGRADE_ANSWER;
        stream
    }

    /// Returns how many of the library's bytes the client already has.
    fn skip_replayed(&mut self, bytes: &[u8]) -> usize {
        let length = self.replayed.len().min(bytes.len());
        let (skipped, rest) = self.replayed.split_at(length);
        if skipped == &bytes[..length] {
            self.replayed = rest;
            return length;
        }
        self.replayed = &[];
        0
    }

    /// Publishes the media events at the front of `bytes`, which continue the stream, up to `turn`
    /// events. Returns their length, and the content of the other bytes.
    fn publish(&mut self, bytes: &mut [u8], turn: &mut usize) -> (usize, Ahead) {
        let mut published = 0;
        if !self.upgraded || !self.forwarder.is_between_messages() {
            return (published, Ahead::Library);
        }
        let Some(session) = self.session.get(&self.client.session) else {
            return (published, Ahead::Library);
        };
        while published < bytes.len() {
            let rest = &mut bytes[published..];
            let media = match Upcoming::of(rest) {
                Upcoming::Media(media) => media,
                Upcoming::Partial(needed) => return (published, Ahead::Partial(needed)),
                Upcoming::Other => break,
            };
            if *turn == 0 {
                return (published, Ahead::Media);
            }
            let Some((packet, payload)) = media.unmask(rest) else {
                media.mask_text(rest);
                break;
            };
            session.receive_media(packet.array, Some(payload), packet.ack);
            published += media.len();
            *turn -= 1;
        }
        (published, Ahead::Library)
    }

    /// Publishes the media events at the front of the bytes that were read ahead.
    fn publish_ahead(&mut self, turn: &mut usize) {
        let mut ahead = mem::take(&mut self.ahead);
        let (published, is) = self.publish(&mut ahead, turn);
        ahead.advance(published);
        self.keep(ahead, is);
    }

    /// Keeps bytes that were read ahead.
    fn keep(&mut self, mut ahead: BytesMut, is: Ahead) {
        if let Ahead::Partial(needed) = is {
            ahead.reserve(needed.saturating_sub(ahead.len()));
        }
        self.ahead = if ahead.is_empty() {
            BytesMut::new()
        } else {
            ahead
        };
        self.ahead_is = is;
    }

    /// Forwards bytes to the library. Returns how many.
    fn forward(&mut self, bytes: &[u8], buffer: &mut ReadBuf<'_>) -> usize {
        let forwarded = self.forwarder.forward(bytes, buffer);
        if self.forwarder.admission.is_oversize() {
            self.client.transport.set_cause("oversize");
        }
        forwarded
    }

    /// Reads from the socket: publishes media events, forwards what the library has space for, and
    /// keeps the rest. Returns false if the stream has ended and no bytes are left.
    fn read(&mut self, buffer: &mut ReadBuf<'_>, turn: &mut usize) -> io::Result<bool> {
        SCRATCH.with_borrow_mut(|scratch| {
            let read = self.receive(scratch)?;
            if let Ahead::Partial(needed) = self.ahead_is {
                self.ahead.extend_from_slice(&scratch[..read]);
                if read == 0 {
                    // The event will never be complete.
                    self.ahead_is = Ahead::Library;
                } else if self.ahead.len() >= needed {
                    self.ahead_is = Ahead::Media;
                }
                return Ok(true);
            }
            let (published, is) = self.publish(&mut scratch[..read], turn);
            let mut rest = &scratch[published..read];
            if is == Ahead::Library {
                rest = &rest[self.forward(rest, buffer)..];
            }
            self.keep(rest.into(), is);
            Ok(read > 0)
        })
    }

    /// Reads the socket's bytes. A read that does not fill `bytes` has emptied the socket, which is
    /// not read again before it is ready.
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

impl AsyncRead for LibraryStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.upgraded = self.upgraded || self.client.transport.is_upgraded();
        let before = buffer.filled().len();
        let mut turn = TURN;
        loop {
            if let Err(error) = ready!(self.forwarder.admission.poll(context)) {
                self.client.transport.set_cause("late");
                return Poll::Ready(Err(error));
            }
            if self.ahead_is == Ahead::Media {
                self.publish_ahead(&mut turn);
            }
            if turn == 0 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !self.ahead.is_empty() && self.ahead_is == Ahead::Library {
                let mut ahead = mem::take(&mut self.ahead);
                ahead.advance(self.forward(&ahead, buffer));
                self.keep(ahead, Ahead::Library);
                if buffer.filled().len() > before || buffer.remaining() == 0 {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            ready!(self.connection.stream().poll_read_ready(context))?;
            match self.read(buffer, &mut turn) {
                // Perhaps all bytes were of media events, or of a message that must wait.
                Ok(true) if buffer.filled().len() == before => {}
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for LibraryStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let skipped = self.skip_replayed(bytes);
        if skipped > 0 {
            return Poll::Ready(Ok(skipped));
        }
        let transport = &self.client.transport;
        transport.poll_library_write(&self.connection, context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Fails if the peer has already ended the connection, which is as good.
        let _ = SockRef::from(self.connection.stream()).shutdown(Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}

impl Drop for LibraryStream {
    fn drop(&mut self) {
        self.client.transport.stream_dropped();
    }
}
