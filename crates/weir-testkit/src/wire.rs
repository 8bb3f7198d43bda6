//! A Socket.IO connection over one TCP stream, WebSocket only: the handshakes, and packets in
//! and out in the caller's own task.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::client::RequestError;
use crate::frame::{Assembler, FrameError, Message, Opcode, put_frame};
use crate::packet::{Arrival, Decoder, Packet, PacketError, event_text, put_packet};

/// How long a handshake or an answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How much a read may take at once, in bytes.
pub(crate) const READ_SIZE: usize = 64 << 10;
/// The key and its answer of RFC 6455, section 1.3: a test client needs no random one.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// How to connect.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The local address to connect from; the kernel's choice if `None`.
    pub source: Option<IpAddr>,
    /// `SO_RCVBUF` in bytes: a small one makes a slow reader felt sooner.
    pub receive_buffer: Option<u32>,
    /// The `auth` value of the CONNECT packet.
    pub auth: Option<Value>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// TCP failed.
    #[error("connecting failed")]
    Io(#[from] io::Error),
    /// The server answered the WebSocket upgrade with something else; its whole answer's head.
    #[error("the upgrade was refused: {0:?}")]
    Upgrade(String),
    /// The server refused the namespace: a `connect_error`, its message.
    #[error("refused: {0}")]
    Refused(String),
    /// The connection ended before it was one.
    #[error("ended while connecting")]
    Ended(#[from] Disconnect),
    /// Something else came where this was due.
    #[error("{0} was due, but something else came")]
    Unexpected(&'static str),
    /// The handshakes took longer than 30 s.
    #[error("no connection within 30 s")]
    Timeout,
}

/// How a connection ended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Disconnect {
    /// The server disconnected the namespace (packet `41`).
    #[error("the server disconnected the namespace")]
    Namespace,
    /// The server closed the Engine.IO session (packet `1`).
    #[error("the server closed the session")]
    Engine,
    /// The server sent a WebSocket close frame; 1005 stands for one without a code.
    #[error("the server closed the WebSocket with {code} {reason:?}")]
    WebSocket {
        /// Status code of RFC 6455, section 7.4.
        code: u16,
        /// The server's words, often empty.
        reason: String,
    },
    /// The TCP stream ended without a word.
    #[error("the server closed the TCP connection")]
    Eof,
    /// The TCP stream broke.
    #[error("the TCP connection broke: {0}")]
    Io(io::ErrorKind),
    /// The server sent frames that are none.
    #[error("broken framing")]
    Frame(#[from] FrameError),
    /// The server sent packets that are none.
    #[error("broken packets")]
    Packet(#[from] PacketError),
}

impl From<io::Error> for Disconnect {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind())
    }
}

/// What the server said when it opened the connection.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// The Socket.IO socket's id, of the CONNECT answer.
    pub sid: String,
    /// The Engine.IO opening: `sid`, `pingInterval`, `pingTimeout`, `maxPayload`, `upgrades`.
    pub engine: Value,
}

/// The receiving half without IO: bytes in, packets out.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// What was read and not yet taken.
    pub(crate) buffer: BytesMut,
    assembler: Assembler,
    decoder: Decoder,
}

/// What the receiver of a packet has to deal with.
#[derive(Debug)]
pub(crate) enum Received {
    Packet(Packet),
    /// Frames to be sent back: the answer to a ping of either layer.
    Reply(Bytes),
}

impl Inbound {
    fn new(buffer: BytesMut) -> Self {
        Self {
            buffer,
            assembler: Assembler::default(),
            decoder: Decoder::default(),
        }
    }

    /// Takes the next packet off the buffer; `None` means that more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Received>, Disconnect> {
        while let Some(message) = self.assembler.next(&mut self.buffer)? {
            let packet = match message {
                Message::Text(text) => self.decoder.text(&text)?,
                Message::Binary(bytes) => self.decoder.binary(bytes)?,
                Message::Ping(payload) => {
                    return Ok(Some(Received::Reply(frame(Opcode::Pong, &payload))));
                }
                Message::Close { code, reason } => {
                    return Err(Disconnect::WebSocket { code, reason });
                }
            };
            match packet {
                None => {}
                Some(Packet::Ping) => {
                    return Ok(Some(Received::Reply(frame(Opcode::Text, b"3"))));
                }
                Some(Packet::EngineClose) => return Err(Disconnect::Engine),
                Some(Packet::Disconnected) => return Err(Disconnect::Namespace),
                Some(packet) => return Ok(Some(Received::Packet(packet))),
            }
        }
        Ok(None)
    }
}

fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    put_frame(&mut out, opcode, payload);
    out.freeze()
}

/// A connected Socket.IO client without a task of its own: it reads, and answers pings, only
/// within its calls. [`crate::Client`] is the one for tests; this is for load generators, which
/// take the stream over after the setting up.
#[derive(Debug)]
pub struct Wire {
    pub(crate) stream: TcpStream,
    pub(crate) inbound: Inbound,
    pub(crate) session: Session,
    next_ack: u64,
}

impl Wire {
    /// Connects, upgrades, and waits for the CONNECT answer.
    ///
    /// # Errors
    /// See [`ConnectError`]; all of it together may take 30 s.
    pub async fn connect(addr: SocketAddr, options: &Options) -> Result<Self, ConnectError> {
        timeout(PATIENCE, Self::handshake(addr, options))
            .await
            .unwrap_or(Err(ConnectError::Timeout))
    }

    async fn handshake(addr: SocketAddr, options: &Options) -> Result<Self, ConnectError> {
        let socket = if addr.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        if let Some(size) = options.receive_buffer {
            socket.set_recv_buffer_size(size)?;
        }
        if let Some(source) = options.source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let mut stream = socket.connect(addr).await?;
        stream.set_nodelay(true)?;
        let upgrade = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {addr}\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        stream.write_all(upgrade.as_bytes()).await?;
        let buffer = upgraded(&mut stream).await?;
        let (inbound, session) = (Inbound::new(buffer), Session::default());
        let mut wire = Self {
            stream,
            inbound,
            session,
            next_ack: 0,
        };

        let Packet::Open(engine) = wire.recv().await? else {
            return Err(ConnectError::Unexpected("the session's opening"));
        };
        let auth = options
            .auth
            .as_ref()
            .map(Value::to_string)
            .unwrap_or_default();
        wire.send(&format!("40{auth}"), &[] as &[Bytes]).await?;
        match wire.recv().await? {
            Packet::Connected(answer) => {
                let sid = answer["sid"].as_str().unwrap_or_default().into();
                wire.session = Session { sid, engine };
                Ok(wire)
            }
            Packet::Refused(error) => Err(ConnectError::Refused(
                error["message"].as_str().unwrap_or_default().into(),
            )),
            _ => Err(ConnectError::Unexpected("the CONNECT answer")),
        }
    }

    /// Sends one packet as it is, and its attachments after it.
    ///
    /// # Errors
    /// The TCP stream broke.
    pub async fn send<A: AsRef<[u8]>>(&mut self, text: &str, attachments: &[A]) -> io::Result<()> {
        let mut out = BytesMut::new();
        put_packet(&mut out, text, attachments);
        self.stream.write_all(&out).await
    }

    /// Sends a request and waits for its acknowledgement; events that come first are lost.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn request(&mut self, event: &str, args: &Value) -> Result<Value, RequestError> {
        let id = self.next_ack;
        self.next_ack += 1;
        let answer = async {
            self.send(&event_text(event, args, 0, Some(id)), &[] as &[Bytes])
                .await?;
            loop {
                match self.recv().await? {
                    Packet::Arrival(Arrival::Ack(ack)) if ack.id == id => {
                        return Ok(ack.into_result());
                    }
                    _ => {}
                }
            }
        };
        let timed = timeout(PATIENCE, answer).await;
        timed.unwrap_or_else(|_| {
            Err(RequestError::Timeout {
                event: event.into(),
            })
        })
    }

    /// The stream, and what was read from it and not yet used.
    pub fn into_stream(self) -> (TcpStream, Bytes) {
        (self.stream, self.inbound.buffer.freeze())
    }

    /// The next packet; pings are answered on the way.
    async fn recv(&mut self) -> Result<Packet, Disconnect> {
        loop {
            match self.inbound.next()? {
                Some(Received::Packet(packet)) => return Ok(packet),
                Some(Received::Reply(frames)) => self.stream.write_all(&frames).await?,
                None => {
                    self.inbound.buffer.reserve(4 << 10);
                    if self.stream.read_buf(&mut self.inbound.buffer).await? == 0 {
                        return Err(Disconnect::Eof);
                    }
                }
            }
        }
    }
}

/// Reads the answer to the upgrade; returns what followed it.
async fn upgraded(stream: &mut TcpStream) -> Result<BytesMut, ConnectError> {
    let mut buffer = BytesMut::with_capacity(4 << 10);
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(ConnectError::Ended(Disconnect::Eof));
        }
    };
    let head = buffer.split_to(end);
    let text = String::from_utf8_lossy(&head);
    let accepted = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .any(|(name, value)| {
            name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == ACCEPT
        });
    if text.starts_with("HTTP/1.1 101 ") && accepted {
        Ok(buffer)
    } else {
        Err(ConnectError::Upgrade(text.trim_end().into()))
    }
}
