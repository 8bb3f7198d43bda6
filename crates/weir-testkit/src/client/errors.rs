//! Errors of the clients.

use std::io;

use crate::socketio::PacketError;
use crate::websocket::FrameError;

/// Failure to connect.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// TCP failed.
    #[error("connecting failed")]
    Io(#[from] io::Error),
    /// The server refused the WebSocket upgrade; the head of its response.
    #[error("the upgrade was refused: {0:?}")]
    Upgrade(String),
    /// The server refused the namespace: the message of its `connect_error`.
    #[error("refused: {0}")]
    Refused(String),
    /// The connection ended during the handshake.
    #[error("ended while connecting")]
    Ended(#[from] Disconnect),
    /// Another packet came instead of the expected one.
    #[error("expected {0}, got another packet")]
    Unexpected(&'static str),
    /// The handshake took longer than 30 s.
    #[error("no connection within 30 s")]
    Timeout,
}

/// Reason for the end of a connection.
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
        /// Reason that the server gave, often empty.
        reason: String,
    },
    /// The TCP stream ended without a close frame.
    #[error("the server closed the TCP connection")]
    Eof,
    /// The TCP stream broke.
    #[error("the TCP connection broke: {0}")]
    Io(io::ErrorKind),
    /// The server sent invalid frames.
    #[error("broken framing")]
    Frame(#[from] FrameError),
    /// The server sent invalid packets.
    #[error("broken packets")]
    Packet(#[from] PacketError),
}

impl From<io::Error> for Disconnect {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind())
    }
}

/// Failure of a request.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The connection ended before the answer.
    #[error("no answer")]
    Ended(#[from] Disconnect),
    /// The request could not be sent.
    #[error("not sent")]
    Io(#[from] io::Error),
    /// No answer came within 30 s.
    #[error("no answer to {event:?} within 30 s")]
    Timeout {
        /// Event of the request.
        event: String,
    },
}
