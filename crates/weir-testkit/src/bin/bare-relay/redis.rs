//! The two connections to Redis.

use std::io;
use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use mio::net::TcpStream;

use crate::stream::QueuedStream;

/// Connection to Redis, which speaks RESP2.
#[derive(Debug)]
pub(crate) struct RedisConnection(pub(crate) QueuedStream);

impl RedisConnection {
    pub(crate) fn connect(addr: &str) -> anyhow::Result<Self> {
        let addr: SocketAddr = addr.parse().context("an address of Redis")?;
        let tcp = std::net::TcpStream::connect(addr)?;
        tcp.set_nonblocking(true)?;
        Ok(Self(QueuedStream::new(TcpStream::from_std(tcp))?))
    }

    /// Subscribes to a channel.
    pub(crate) fn subscribe(&mut self, channel: &str) -> io::Result<()> {
        let length = channel.len();
        let command = format!("*2\r\n$9\r\nSUBSCRIBE\r\n${length}\r\n{channel}\r\n");
        self.0.send(command.as_bytes())
    }

    /// Publishes to a channel; does not wait for the answer.
    pub(crate) fn publish(&mut self, channel: &str, payload: &[u8]) -> io::Result<()> {
        let (name, size) = (channel.len(), payload.len());
        let head = format!("*3\r\n$7\r\nPUBLISH\r\n${name}\r\n{channel}\r\n${size}\r\n");
        self.0.send(&[head.as_bytes(), payload, b"\r\n"].concat())
    }

    /// Reads the answers to commands; returns false at the end of the stream.
    pub(crate) fn read_answers(&mut self, buffer: &mut [u8]) -> anyhow::Result<bool> {
        self.0.read(buffer, |bytes| {
            let refused = bytes.first() == Some(&b'-');
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

/// Push of a subscribing connection.
enum Push<'a> {
    Message {
        channel: &'a [u8],
        payload: &'a [u8],
    },
    Subscribed,
}

impl<'a> Push<'a> {
    /// Parses a push of three elements; returns it with its length, or `None` if it is incomplete.
    fn parse(bytes: &'a [u8]) -> anyhow::Result<Option<(Self, usize)>> {
        let mut rest = bytes;
        let parsed = (|| {
            rest = rest.strip_prefix(b"*3\r\n")?;
            let (kind, channel) = (bulk(&mut rest)?, bulk(&mut rest)?);
            Some(match kind {
                b"message" => Self::Message {
                    channel,
                    payload: bulk(&mut rest)?,
                },
                _ => number(&mut rest, b':').map(|_| Self::Subscribed)?,
            })
        })();
        match parsed {
            Some(push) => Ok(Some((push, bytes.len() - rest.len()))),
            None if bytes.is_empty() || b"*3\r\n".starts_with(&bytes[..bytes.len().min(4)]) => {
                Ok(None)
            }
            None => bail!("Redis: {}", String::from_utf8_lossy(bytes)),
        }
    }
}

/// Takes a bulk string off the front.
fn bulk<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = number(rest, b'$')?;
    let text = rest.get(..length)?;
    *rest = rest.get(length + 2..)?;
    Some(text)
}

/// Takes a line with a number off the front.
fn number(rest: &mut &[u8], kind: u8) -> Option<usize> {
    let digits = rest.strip_prefix(&[kind])?;
    let end = digits.iter().position(|byte| *byte == b'\r')?;
    let number = digits[..end].iter();
    let number = number.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
    *rest = digits.get(end + 2..)?;
    Some(number)
}
