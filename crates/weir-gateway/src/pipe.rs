//! The stream that the Socket.IO library reads from and writes to: a lane's socket.

use std::{
    cell::RefCell,
    io,
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{accept::Connection, inbound::Inbound, lane::Lane, link::Link};

/// What one read takes from a socket at the most.
const READ_BYTES: usize = 64 * 1024;

thread_local! {
    /// Where sockets are read into. The library reads in small pieces, so that its buffer costs an
    /// idle connection little; one read of the socket serves many of them.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// One connection's stream.
#[derive(Debug)]
pub(crate) struct Pipe {
    connection: Arc<Connection>,
    lane: Arc<Lane>,
    link: Arc<Link>,
    inbound: Inbound,
    /// What was read from the socket and not yet by the library.
    ahead: Bytes,
}

impl Pipe {
    /// A stream that begins with `ahead`, which was read from the socket before.
    pub(crate) fn new(
        connection: Arc<Connection>,
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
            ahead,
        }
    }

    /// Passes on what was read ahead, as far as the library and the node have room.
    fn pass(&mut self, buffer: &mut ReadBuf<'_>) {
        let offered = self.ahead.len().min(buffer.remaining());
        let passed = self.inbound.pass(&self.ahead[..offered]);
        buffer.put_slice(&self.ahead[..passed]);
        self.ahead.advance(passed);
        if self.ahead.is_empty() {
            self.ahead = Bytes::new();
        }
    }

    /// Reads from the socket: what the library has room for at once, the rest ahead.
    fn read(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<usize> {
        SCRATCH.with_borrow_mut(|scratch| {
            let read = self.connection.stream().try_read(scratch)?;
            let offered = read.min(buffer.remaining());
            let passed = self.inbound.pass(&scratch[..offered]);
            buffer.put_slice(&scratch[..passed]);
            self.ahead = Bytes::copy_from_slice(&scratch[passed..read]);
            Ok(read)
        })
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.link.library_reads();
        let before = buffer.filled().len();
        loop {
            ready!(self.inbound.poll_share(context))?;
            if !self.ahead.is_empty() {
                self.pass(buffer);
                if buffer.filled().len() > before || buffer.remaining() == 0 {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            ready!(self.connection.stream().poll_read_ready(context))?;
            match self.read(buffer) {
                // The header of a message that must wait may be all that there is.
                Ok(read) if read > 0 && buffer.filled().len() == before => {}
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
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
