//! Non-blocking TCP socket.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::TcpStream;

use crate::stream::RelaySocket;

/// TCP socket that is read until it is empty at each event.
#[derive(Debug)]
pub(crate) struct ReadySocket {
    tcp: TcpStream,
    /// Whether the last read has emptied the socket.
    drained: bool,
}

impl ReadySocket {
    /// Takes over a connected socket.
    pub(crate) fn new(tcp: TcpStream) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        Ok(Self {
            tcp,
            drained: false,
        })
    }
}

impl Read for ReadySocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.drained) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let read = self.tcp.read(buffer)?;
        // A short read has emptied the socket; what comes later is another event.
        self.drained = (1..buffer.len()).contains(&read);
        Ok(read)
    }
}

impl Write for ReadySocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.write(bytes)
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.tcp.write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl RelaySocket for ReadySocket {
    fn tcp(&mut self) -> &mut TcpStream {
        &mut self.tcp
    }
}
