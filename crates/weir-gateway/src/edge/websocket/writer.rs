//! The writing half of a WebSocket.
//!
//! A server's frames are unmasked and independent, so a whole frame may be written wherever the
//! stream stands between two frames. The Socket.IO library writes only a few frames (handshake,
//! pings); all others are written here, by the task that has them, without waking another.

use std::{
    collections::VecDeque,
    io,
    net::Shutdown,
    sync::Arc,
    task::{Context, Waker},
    time::Instant,
};

use bytes::{Buf, Bytes};
use socket2::SockRef;
use weir_engine::Delivery;
use weir_protocol::Frame;

use super::frames::FrameCursor;
use crate::edge::{
    accept::connection::AcceptedConnection,
    budget::{Budget, FrameClass},
};

/// Capacity above which an empty queue gives its memory back.
const KEPT_FRAMES: usize = 64;

/// A WebSocket's outgoing stream: the position in it, and the frames that wait for the socket.
#[derive(Debug)]
pub(crate) struct SocketWriter {
    connection: Arc<AcceptedConnection>,
    /// Queued frames, oldest first. Only the front may be partly written.
    queue: VecDeque<Bytes>,
    /// Bound on the queue's bytes, and their count.
    budget: Budget,
    /// When the queue last became non-empty; `None` while it is empty.
    since: Option<Instant>,
    /// Whether the front is partly written, and must be completed before anything else.
    partial: bool,
    /// Position in the library's own frames.
    library: FrameCursor,
    /// The library's task, if it waits for the socket.
    library_waker: Option<Waker>,
    /// Whether a task flushes the queue.
    flushing: bool,
}

/// Result of a flush.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// The queue is empty, or must wait for the end of the library's frame.
    Done,
    /// The socket is full, or the library writes next.
    Blocked,
}

impl SocketWriter {
    /// Creates a writer with a queue of up to `queue_bytes` bytes.
    pub(crate) fn new(connection: Arc<AcceptedConnection>, queue_bytes: usize) -> Self {
        Self {
            connection,
            queue: VecDeque::new(),
            budget: Budget::new(queue_bytes),
            since: None,
            partial: false,
            library: FrameCursor::default(),
            library_waker: None,
            flushing: false,
        }
    }

    /// Writes a frame, or queues it if the budget allows. `Closed` means that the socket is broken.
    pub(crate) fn send(&mut self, frame: &Bytes, class: FrameClass) -> Delivery {
        let mut written = 0;
        if self.queue.is_empty() && self.library.at_boundary() {
            match self.connection.stream().try_write(frame) {
                Ok(all) if all == frame.len() => return Delivery::Sent,
                Ok(some) => written = some,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Delivery::Closed,
            }
        }
        // The rest of a partly written frame must follow; in that case the queue is empty.
        if !self.queue.is_empty() && !self.budget.takes(class, frame.len()) {
            return Delivery::Full;
        }
        self.partial |= written > 0;
        self.since.get_or_insert_with(Instant::now);
        self.budget.add(frame.len(), written);
        self.queue.push_back(frame.slice(written..));
        Delivery::Queued
    }

    /// Writes or queues a chunk right after `before`: both or neither.
    pub(crate) fn send_pair(&mut self, before: &Frame, chunk: &Frame) -> Delivery {
        let length = before.bytes().len() + chunk.bytes().len();
        if !self.budget.takes(FrameClass::Chunk, length) {
            return Delivery::Full;
        }
        match self.send(before.bytes(), FrameClass::Admitted) {
            Delivery::Closed => Delivery::Closed,
            _ => self.send(chunk.bytes(), FrameClass::Admitted),
        }
    }

    /// Returns the connection if the caller must start a task that flushes the queue.
    pub(crate) fn start_flushing(&mut self) -> Option<Arc<AcceptedConnection>> {
        let starts = !self.flushing && !self.queue.is_empty() && self.library.at_boundary();
        self.flushing |= starts;
        starts.then(|| Arc::clone(&self.connection))
    }

    /// Writes queued frames until the socket is full. After `Done`, no task flushes.
    ///
    /// # Errors
    /// If the socket is broken.
    pub(crate) fn flush(&mut self) -> io::Result<Flushed> {
        while self.library.at_boundary()
            && let Some(front) = self.queue.front()
        {
            if !self.partial
                && let Some(library) = self.library_waker.take()
            {
                library.wake();
                return Ok(Flushed::Blocked);
            }
            match self.connection.stream().try_write(front) {
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Flushed::Blocked);
                }
                Err(error) => return Err(error),
            }
        }
        if self.queue.is_empty() && self.queue.capacity() > KEPT_FRAMES {
            self.queue = VecDeque::new();
        }
        self.flushing = false;
        Ok(Flushed::Done)
    }

    /// Removes written bytes from the front of the queue.
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

    /// Registers the library's task as waiting for the socket.
    pub(crate) fn register_library(&mut self, context: &Context<'_>) {
        self.library_waker = Some(context.waker().clone());
    }

    /// Writes bytes of the library's own frames. Returns `None` if the socket is full.
    ///
    /// # Errors
    /// If the socket is broken.
    pub(crate) fn write_library(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        // The waker of an earlier poll is of the same task.
        self.library_waker = None;
        let written = self.complete_front().and_then(|()| {
            let stream = self.connection.stream();
            stream.try_write(bytes)
        });
        match written {
            Ok(written) => {
                self.library.advance(&bytes[..written]);
                Ok(Some(written))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the rest of a partly written front.
    fn complete_front(&mut self) -> io::Result<()> {
        while self.partial
            && let Some(front) = self.queue.front()
        {
            let written = self.connection.stream().try_write(front)?;
            self.advance(written);
        }
        Ok(())
    }

    /// Returns the number of queued bytes, and since when the queue is not empty.
    pub(crate) fn queued(&self) -> (usize, Option<Instant>) {
        (self.budget.queued(), self.since)
    }

    /// Drops all queued frames except one that is partly written.
    pub(crate) fn forget(&mut self) {
        let partial = self.queue.pop_front().filter(|_| self.partial);
        self.queue = partial.into_iter().collect();
        self.budget.clear();
        match self.queue.front().map(Bytes::len) {
            Some(bytes) => self.budget.add(bytes, 0),
            None => self.since = None,
        }
    }

    /// Shuts the socket down: its readers and writers see its end. Queued frames are dropped.
    pub(crate) fn shutdown(self) {
        // Fails if the peer has already ended the connection, which is as good.
        let _ = SockRef::from(self.connection.stream()).shutdown(Shutdown::Both);
        if let Some(library) = self.library_waker {
            library.wake();
        }
    }
}
