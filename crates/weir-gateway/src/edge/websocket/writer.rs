//! The way of frames to one WebSocket: written at once by whoever has them, or queued.
//!
//! A server's WebSocket frames are neither masked nor dependent on each other, so a whole frame may
//! be written wherever the stream stands between two frames. The lane owns the socket: the
//! Socket.IO library writes its few frames (handshake, pings) through a [`super::reader::Pipe`] on
//! it, everything else is written here, by the task that has it, without waking anybody.

use std::{
    collections::VecDeque,
    io,
    net::Shutdown,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Instant,
};

use bytes::{Buf, Bytes};
use socket2::SockRef;
use weir_engine::Delivery;
use weir_protocol::Frame;

use super::{budget::Budget, frames::Follower};
use crate::edge::accept::connection::AcceptedConnection;

/// A WebSocket connection, seen by those who write to it.
#[derive(Debug)]
pub(crate) struct Lane {
    /// The stream's position and what waits: whoever holds it may write.
    out: Mutex<Out>,
}

#[derive(Debug, Default)]
struct Out {
    /// The socket, until nothing more is written. With the last one who holds it, it is closed.
    connection: Option<Arc<AcceptedConnection>>,
    /// What waits, oldest first. Only the front may be partly written.
    queue: VecDeque<Bytes>,
    /// Bound on `queue`, and its length in bytes.
    budget: Budget,
    /// Since when something waits.
    since: Option<Instant>,
    /// Whether the rest of a frame is at the front, which must go before anything else.
    partial: bool,
    /// Where the library's own frames have come to.
    library: Follower,
    /// The library's writer, if it waits for the socket.
    library_waits: Option<Waker>,
    /// Whether a task is there that empties the queue.
    flushing: bool,
}

impl Out {
    /// Writes to the socket, if there is one.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.connection {
            Some(connection) => connection.stream().try_write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Takes what was written off the front of the queue.
    fn advance(&mut self, written: usize) {
        let Some(front) = self.queue.front_mut() else {
            return;
        };
        front.advance(written);
        self.budget.remove(written);
        self.partial = !front.is_empty();
        if !self.partial {
            self.queue.pop_front();
        }
        if self.queue.is_empty() {
            self.since = None;
        }
    }
}

/// How far a flush came.
#[derive(Debug, PartialEq, Eq)]
enum Flushed {
    /// The queue is empty.
    All,
    /// The socket takes no more.
    Blocked,
    /// The library is to write next.
    Yielded,
}

impl Lane {
    pub(crate) fn new(connection: Arc<AcceptedConnection>, queue_bytes: usize) -> Self {
        let out = Out {
            connection: Some(connection),
            budget: Budget::new(queue_bytes),
            ..Out::default()
        };
        Self {
            out: Mutex::new(out),
        }
    }

    fn out(&self) -> std::sync::MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes or queues an event. If the queue is full, calls `full` and closes the connection.
    pub(crate) fn notice(self: &Arc<Self>, frame: &Frame, full: impl FnOnce()) -> Delivery {
        let mut out = self.out();
        let delivery = self.send(&mut out, frame.bytes(), Budget::takes_event);
        if delivery == Delivery::Full {
            full();
            self.close_with(&mut out);
        }
        delivery
    }

    /// Writes or queues a chunk, `before` right before it; both or none.
    pub(crate) fn chunk(self: &Arc<Self>, before: Option<&Frame>, chunk: &Frame) -> Delivery {
        let mut out = self.out();
        let Some(before) = before else {
            return self.send(&mut out, chunk.bytes(), Budget::takes_chunk);
        };
        let bytes = before.bytes().len() + chunk.bytes().len();
        if !out.budget.takes_chunk(bytes) {
            return Delivery::Full;
        }
        match self.send(&mut out, before.bytes(), |_, _| true) {
            Delivery::Closed => Delivery::Closed,
            _ => self.send(&mut out, chunk.bytes(), |_, _| true),
        }
    }

    /// Writes a frame, or queues it if `takes` allows it.
    fn send(
        self: &Arc<Self>,
        out: &mut Out,
        frame: &Bytes,
        takes: fn(&Budget, usize) -> bool,
    ) -> Delivery {
        let Some(connection) = &out.connection else {
            return Delivery::Closed;
        };
        let mut written = 0;
        if out.queue.is_empty() && out.library.at_boundary() {
            match connection.stream().try_write(frame) {
                Ok(all) if all == frame.len() => return Delivery::Sent,
                Ok(some) => written = some,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    self.close_with(out);
                    return Delivery::Closed;
                }
            }
        }
        // The rest of a partly written frame must follow; in that case the queue is empty.
        if !out.queue.is_empty() && !takes(&out.budget, frame.len()) {
            return Delivery::Full;
        }
        out.partial |= written > 0;
        out.since.get_or_insert_with(Instant::now);
        out.budget.add(frame.len(), written);
        out.queue.push_back(frame.slice(written..));
        self.keep_flushing(out);
        Delivery::Queued
    }

    /// Sees to it that a task empties the queue, unless the library's own frame must end first.
    fn keep_flushing(self: &Arc<Self>, out: &mut Out) {
        if let Some(connection) = &out.connection
            && !out.flushing
            && out.library.at_boundary()
        {
            tokio::spawn(Arc::clone(self).flush_when_writable(Arc::clone(connection)));
            out.flushing = true;
        }
    }

    async fn flush_when_writable(self: Arc<Self>, connection: Arc<AcceptedConnection>) {
        loop {
            // An error is also an end: the next write meets it.
            let _ = connection.stream().writable().await;
            {
                let mut out = self.out();
                if !out.library.at_boundary() || self.flush(&mut out) == Flushed::All {
                    out.flushing = false;
                    return;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Writes what waits, as far as the socket takes it.
    fn flush(&self, out: &mut Out) -> Flushed {
        while let Some(front) = out.queue.front() {
            if !out.partial
                && let Some(library) = out.library_waits.take()
            {
                library.wake();
                return Flushed::Yielded;
            }
            match out.write(front) {
                Ok(written) => out.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Flushed::Blocked,
                Err(_) => self.close_with(out),
            }
        }
        if out.queue.capacity() > 64 {
            out.queue = VecDeque::new();
        }
        Flushed::All
    }

    /// Writes bytes of the library's own frames.
    pub(crate) fn poll_library_write(
        self: &Arc<Self>,
        connection: &AcceptedConnection,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let ready = connection.stream().poll_write_ready(context);
            let mut out = self.out();
            if ready.is_pending() {
                out.library_waits = Some(context.waker().clone());
            }
            ready!(ready)?;
            // The waiter of an earlier poll is this one.
            out.library_waits = None;
            if out.partial && !self.finish_front(&mut out)? {
                continue;
            }
            match out.write(bytes) {
                Ok(written) => {
                    out.library.follow(&bytes[..written]);
                    if !out.queue.is_empty() {
                        self.keep_flushing(&mut out);
                    }
                    return Poll::Ready(Ok(written));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes the rest of the frame at the front; false if the socket took only part of it.
    fn finish_front(&self, out: &mut Out) -> io::Result<bool> {
        while let Some(front) = out.queue.front()
            && out.partial
        {
            match out.write(front) {
                Ok(written) => out.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// How many bytes wait for the socket, and since when some do.
    pub(crate) fn waiting(&self) -> (usize, Option<Instant>) {
        let out = self.out();
        (out.budget.queued(), out.since)
    }

    /// Whether nothing is written any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.out().connection.is_none()
    }

    /// Drops all queued frames except one that is partly written.
    pub(crate) fn forget(&self) {
        let mut out = self.out();
        let partial = out.queue.pop_front().filter(|_| out.partial);
        out.queue = partial.into_iter().collect();
        out.budget.clear();
        match out.queue.front().map(Bytes::len) {
            Some(bytes) => out.budget.add(bytes, 0),
            None => out.since = None,
        }
    }

    /// Ends the connection: what waits is dropped, readers and writers of the socket see its end.
    pub(crate) fn close(&self) {
        self.close_with(&mut self.out());
    }

    fn close_with(&self, out: &mut Out) {
        out.queue = VecDeque::new();
        out.budget.clear();
        out.since = None;
        out.partial = false;
        if let Some(connection) = out.connection.take() {
            // Fails if the peer has already ended it, which is as good.
            let _ = SockRef::from(connection.stream()).shutdown(Shutdown::Both);
        }
        if let Some(library) = out.library_waits.take() {
            library.wake();
        }
    }
}

#[cfg(test)]
mod tests;
