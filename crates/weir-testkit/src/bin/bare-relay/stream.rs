//! Non-blocking stream with a queue for what the kernel does not accept.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};

use mio::net::TcpStream;

/// Non-blocking socket, plain or encrypted.
///
/// `read` returns `WouldBlock` when the socket is empty, and `flush` writes what it can.
pub(crate) trait RelaySocket: Read + Write + fmt::Debug {
    /// Returns the TCP socket, to register it.
    fn tcp(&mut self) -> &mut TcpStream;
}

/// Non-blocking stream.
#[derive(Debug)]
pub(crate) struct QueuedStream {
    socket: Box<dyn RelaySocket>,
    /// Bytes that wait until the stream is writable.
    queue: Vec<u8>,
    /// Bytes of an incomplete message.
    partial: Vec<u8>,
}

impl QueuedStream {
    pub(crate) fn new(socket: impl RelaySocket + 'static) -> Self {
        Self {
            socket: Box::new(socket),
            queue: Vec::new(),
            partial: Vec::new(),
        }
    }

    /// Writes bytes, or queues what the kernel does not accept.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = match self.queue.is_empty() {
            true => self.write(bytes)?,
            false => 0,
        };
        self.queue.extend_from_slice(&bytes[written..]);
        Ok(())
    }

    /// Writes the queue to a writable stream.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while !self.queue.is_empty() {
            let queue = std::mem::take(&mut self.queue);
            let written = self.write(&queue);
            self.queue = queue;
            match written? {
                0 => break,
                written => drop(self.queue.drain(..written)),
            }
        }
        self.socket.flush()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.socket.write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }

    /// Reads what has arrived and passes it to `parse`, which returns how much it has consumed.
    ///
    /// Returns false at the end of the stream.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        mut parse: impl FnMut(&[u8]) -> anyhow::Result<usize>,
    ) -> anyhow::Result<bool> {
        loop {
            let read = match self.socket.read(buffer) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error.into()),
            };
            if self.partial.is_empty() {
                let consumed = parse(&buffer[..read])?;
                self.partial.extend_from_slice(&buffer[consumed..read]);
            } else {
                self.partial.extend_from_slice(&buffer[..read]);
                let consumed = parse(&self.partial)?;
                self.partial.drain(..consumed);
            }
        }
    }

    /// Returns the TCP socket, to register it.
    pub(crate) fn tcp(&mut self) -> &mut TcpStream {
        self.socket.tcp()
    }
}
