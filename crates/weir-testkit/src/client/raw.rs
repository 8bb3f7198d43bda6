//! Client without a task of its own.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Poll, ready};

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::errors::{ConnectError, Disconnect, RequestError};
use super::handshake::{ConnectOptions, DEADLINE, SessionOpening, connect, upgrade};
use super::packets::{PacketReader, ReadEvent, pong};
use crate::socketio::{Arrival, ServerPacket, event_text, put_packet};
use crate::websocket::Opcode;

/// Read buffer that all clients of a thread share.
#[derive(Debug)]
pub struct ReadBuffer(RefCell<Box<[u8]>>);

impl ReadBuffer {
    /// Creates a buffer of `size` bytes, the most that one read returns.
    pub fn new(size: usize) -> Self {
        Self(RefCell::new(vec![0; size].into_boxed_slice()))
    }
}

/// Connected Socket.IO client that reads, and answers pings, only within its calls.
///
/// Tests use [`SocketClient`](crate::SocketClient). Load generators use this one, and
/// [`read_frames`](Self::read_frames) after the setup.
#[derive(Debug)]
pub struct RawClient {
    pub(super) stream: TcpStream,
    pub(super) packets: PacketReader,
    pub(super) opening: SessionOpening,
    next_ack: u64,
    /// Engine.IO pings to answer.
    pings: usize,
}

impl RawClient {
    /// Connects, upgrades, and waits for the CONNECT answer.
    ///
    /// # Errors
    /// See [`ConnectError`]; all steps together may take 30 s.
    pub async fn connect(addr: SocketAddr, options: &ConnectOptions) -> Result<Self, ConnectError> {
        timeout(DEADLINE, Self::open(addr, options))
            .await
            .unwrap_or(Err(ConnectError::Timeout))
    }

    async fn open(addr: SocketAddr, options: &ConnectOptions) -> Result<Self, ConnectError> {
        let mut stream = connect(addr, options).await?;
        let unread = upgrade(&mut stream, addr).await?;
        let mut client = Self {
            stream,
            packets: PacketReader::new(unread),
            opening: SessionOpening::default(),
            next_ack: 0,
            pings: 0,
        };
        let ServerPacket::Open(engine) = client.receive().await? else {
            return Err(ConnectError::Unexpected("the session's opening"));
        };
        let auth = options.auth.as_ref().map(Value::to_string);
        let connect = format!("40{}", auth.unwrap_or_default());
        client.send(&connect, &[] as &[Bytes]).await?;
        match client.receive().await? {
            ServerPacket::Connected(answer) => {
                let sid = answer["sid"].as_str().unwrap_or_default().into();
                client.opening = SessionOpening { sid, engine };
                Ok(client)
            }
            ServerPacket::Refused(error) => Err(ConnectError::Refused(
                error["message"].as_str().unwrap_or_default().into(),
            )),
            _ => Err(ConnectError::Unexpected("the CONNECT answer")),
        }
    }

    /// Sends a packet's text as it is, then its attachments.
    ///
    /// # Errors
    /// The TCP stream broke.
    pub async fn send<A: AsRef<[u8]>>(&mut self, text: &str, attachments: &[A]) -> io::Result<()> {
        let mut out = BytesMut::new();
        put_packet(&mut out, text, attachments);
        self.write(&out).await
    }

    /// Writes whole frames.
    ///
    /// # Errors
    /// The TCP stream broke.
    pub async fn write(&mut self, frames: &[u8]) -> io::Result<()> {
        self.stream.write_all(frames).await
    }

    /// Sends a request and waits for its acknowledgement; drops events that come before it.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn request(&mut self, event: &str, args: &Value) -> Result<Value, RequestError> {
        let id = self.next_ack;
        self.next_ack += 1;
        let answer = async {
            let text = event_text(event, args, 0, Some(id));
            self.send(&text, &[] as &[Bytes]).await?;
            loop {
                match self.receive().await? {
                    ServerPacket::Arrival(Arrival::Ack(ack)) if ack.id == id => {
                        return Ok(ack.into_result());
                    }
                    _ => {}
                }
            }
        };
        let timed = timeout(DEADLINE, answer).await;
        timed.unwrap_or_else(|_| {
            Err(RequestError::Timeout {
                event: event.into(),
            })
        })
    }

    /// Answers the pings of the last call, reads once, and passes each frame to `each`.
    ///
    /// # Errors
    /// The connection ended, or the server sent invalid frames.
    pub async fn read_frames(
        &mut self,
        buffer: &ReadBuffer,
        mut each: impl FnMut(Opcode, &[u8]),
    ) -> Result<(), Disconnect> {
        while self.pings > 0 {
            self.pings -= 1;
            self.stream.write_all(&pong()).await?;
        }
        poll_fn(|cx| {
            let mut buffer = buffer.0.borrow_mut();
            let mut read = ReadBuf::new(&mut buffer);
            if self.packets.unread.is_empty() {
                ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
                if read.filled().is_empty() {
                    return Poll::Ready(Err(Disconnect::Eof));
                }
            }
            let pings = &mut self.pings;
            Poll::Ready(self.packets.frames(read.filled(), |opcode, payload| {
                *pings += usize::from(opcode == Opcode::Text && payload == b"2");
                each(opcode, payload);
            }))
        })
        .await
    }

    /// Returns the next packet; answers pings before it.
    async fn receive(&mut self) -> Result<ServerPacket, Disconnect> {
        loop {
            match self.packets.next()? {
                Some(ReadEvent::Packet(packet)) => return Ok(packet),
                Some(ReadEvent::Reply(frames)) => self.stream.write_all(&frames).await?,
                None => {
                    let unread = &mut self.packets.unread;
                    unread.reserve(4 << 10);
                    if self.stream.read_buf(unread).await? == 0 {
                        return Err(Disconnect::Eof);
                    }
                }
            }
        }
    }
}
