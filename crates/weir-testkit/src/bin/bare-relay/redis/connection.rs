//! A connection to Redis.

use std::io::{self, Write as _};
use std::net::SocketAddr;

use anyhow::ensure;
use mio::net::TcpStream;

use super::push::Push;
use super::tls::TlsClient;
use crate::socket::ReadySocket;
use crate::stream::QueuedStream;

/// Connection to Redis, which speaks RESP2.
#[derive(Debug)]
pub(crate) struct RedisConnection(pub(crate) QueuedStream);

impl RedisConnection {
    /// Connects, and performs the TLS handshake if there is a client for it.
    pub(super) fn connect(server: SocketAddr, tls: Option<&TlsClient>) -> anyhow::Result<Self> {
        let mut tcp = std::net::TcpStream::connect(server)?;
        let session = tls.map(|tls| tls.handshake(&mut tcp)).transpose()?;
        tcp.set_nonblocking(true)?;
        let socket = ReadySocket::new(TcpStream::from_std(tcp))?;
        Ok(Self(match session {
            Some(session) => QueuedStream::new(session.over(socket)),
            None => QueuedStream::new(socket),
        }))
    }

    /// Sends a command, whose name is a bulk string; does not wait for the answer.
    pub(super) fn send(&mut self, name: &str, arguments: &[&[u8]]) -> io::Result<()> {
        let size: usize = arguments.iter().map(|argument| argument.len() + 16).sum();
        let mut command = Vec::with_capacity(size + 32);
        write!(command, "*{}\r\n{name}\r\n", 1 + arguments.len())?;
        for argument in arguments {
            write!(command, "${}\r\n", argument.len())?;
            command.extend_from_slice(argument);
            command.extend_from_slice(b"\r\n");
        }
        self.0.send(&command)
    }

    /// Reads the answers to `PUBLISH`, which are numbers; returns false at the end of the stream.
    pub(crate) fn read_answers(&mut self, buffer: &mut [u8]) -> anyhow::Result<bool> {
        self.0.read(buffer, |bytes| {
            let refused = bytes.contains(&b'-');
            ensure!(!refused, "Redis: {}", String::from_utf8_lossy(bytes));
            Ok(bytes.len())
        })
    }

    /// Reads published messages, passes channel and payload of each to `message`; returns false at
    /// the end of the stream.
    pub(crate) fn read_messages(
        &mut self,
        buffer: &mut [u8],
        mut message: impl FnMut(&str, &[u8]),
    ) -> anyhow::Result<bool> {
        self.0.read(buffer, |bytes| {
            let mut consumed = 0;
            while let Some((push, length)) = Push::parse(&bytes[consumed..])? {
                if let Push::Message { channel, payload } = push {
                    message(std::str::from_utf8(channel)?, payload);
                }
                consumed += length;
            }
            Ok(consumed)
        })
    }
}
