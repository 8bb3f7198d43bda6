//! Non-blocking TCP stream with a queue for what the kernel does not accept.

use std::io::{self, ErrorKind, Read as _, Write as _};

use mio::net::TcpStream;

/// Non-blocking TCP stream.
#[derive(Debug)]
pub(crate) struct QueuedStream {
    tcp: TcpStream,
    /// Bytes that wait until the stream is writable.
    queue: Vec<u8>,
    /// Bytes of an incomplete message.
    partial: Vec<u8>,
}

impl QueuedStream {
    pub(crate) fn new(tcp: TcpStream) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        Ok(Self {
            tcp,
            queue: Vec::new(),
            partial: Vec::new(),
        })
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
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.tcp.write(bytes) {
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
            let read = match self.tcp.read(buffer) {
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
            // A short read has emptied the socket; what comes later is another event.
            if read < buffer.len() {
                return Ok(true);
            }
        }
    }

    /// Returns the stream, to register it.
    pub(crate) fn source(&mut self) -> &mut TcpStream {
        &mut self.tcp
    }
}
