//! Reads packets as a client does, with an independent WebSocket implementation.

use std::io::Cursor;

use bytes::Bytes;
use tungstenite::{Message, WebSocket, protocol::Role};

/// A Socket.IO packet of the namespace `/`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SocketIoPacket {
    /// 2 for an event, 3 for an acknowledgement; 5 and 6 for those with attachments.
    pub(crate) kind: char,
    /// Announced number of attachments.
    pub(crate) attachments: usize,
    /// Id of the acknowledgement.
    pub(crate) ack: Option<i64>,
    /// JSON array.
    pub(crate) body: String,
}

impl SocketIoPacket {
    /// Parses a packet's text. Source: Socket.IO protocol, revision 5, "Packet encoding".
    pub(crate) fn parse(text: &str) -> Self {
        let mut rest = text.chars();
        let kind = rest.next().expect("a packet has a kind");
        let rest = rest.as_str();
        let (attachments, rest) = match kind {
            '5' | '6' => rest.split_once('-').expect("a binary packet counts"),
            _ => ("0", rest),
        };
        let start = rest.find('[').expect("a packet has an array");
        let (ack, body) = rest.split_at(start);
        Self {
            kind,
            attachments: attachments.parse().expect("a count"),
            ack: (!ack.is_empty()).then(|| ack.parse().expect("a number")),
            body: body.to_owned(),
        }
    }
}

/// Reads one packet's text and attachments. Panics if more follows.
pub(crate) fn read(frames: &Bytes) -> (String, Vec<Bytes>) {
    let mut socket = WebSocket::from_raw_socket(Cursor::new(frames.to_vec()), Role::Client, None);
    let Ok(Message::Text(text)) = socket.read() else {
        panic!("a packet begins with a text message");
    };
    let text = text.strip_prefix('4').expect("an Engine.IO message");
    let attachments = (0..SocketIoPacket::parse(text).attachments).map(|_| match socket.read() {
        Ok(Message::Binary(bytes)) => bytes,
        other => panic!("an attachment is a binary message, not {other:?}"),
    });
    let attachments = attachments.collect();
    let rest = socket.read();
    assert!(rest.is_err(), "nothing may follow: {rest:?}");
    (text.to_owned(), attachments)
}
