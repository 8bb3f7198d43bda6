//! TCP connection and WebSocket upgrade.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::BytesMut;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::errors::{ConnectError, Disconnect};

/// Deadline of the handshakes or an answer.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
/// Example key of RFC 6455, section 1.3; a test client needs no random one.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// `Sec-WebSocket-Accept` that answers [`KEY`].
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Options of a connection.
#[derive(Debug, Clone, Default)]
pub struct ConnectOptions {
    /// Local address; the kernel chooses if `None`.
    pub source: Option<IpAddr>,
    /// `SO_RCVBUF` in bytes. A small buffer exposes a slow reader sooner.
    pub receive_buffer: Option<u32>,
    /// `auth` value of the CONNECT packet.
    pub auth: Option<Value>,
}

/// Answers of the server when it opened the connection.
#[derive(Debug, Clone, Default)]
pub struct SessionOpening {
    /// Id of the Socket.IO socket, from the CONNECT answer.
    pub sid: String,
    /// Engine.IO opening: `sid`, `pingInterval`, `pingTimeout`, `maxPayload`, `upgrades`.
    pub engine: Value,
}

/// Opens the TCP connection.
pub(super) async fn connect(addr: SocketAddr, options: &ConnectOptions) -> io::Result<TcpStream> {
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
    let stream = socket.connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Upgrades to WebSocket; returns the bytes after the response.
pub(super) async fn upgrade(
    stream: &mut TcpStream,
    addr: SocketAddr,
) -> Result<BytesMut, ConnectError> {
    let request = format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {addr}\r\n\
         Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
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
