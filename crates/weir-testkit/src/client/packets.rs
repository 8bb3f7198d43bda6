//! Receiving half of a client, without IO: bytes in, packets out.

use bytes::{Buf as _, Bytes, BytesMut};

use super::errors::Disconnect;
use crate::socketio::{PacketDecoder, ServerPacket};
use crate::websocket::{MessageReader, Opcode, WebSocketMessage, put_frame};

/// Packets of one connection's byte stream.
#[derive(Debug)]
pub(super) struct PacketReader {
    /// Bytes that were read and not yet consumed.
    pub(super) unread: BytesMut,
    messages: MessageReader,
    decoder: PacketDecoder,
}

/// Result of [`PacketReader::next`].
#[derive(Debug)]
pub(super) enum ReadEvent {
    Packet(ServerPacket),
    /// Frames to send: the answer to a ping of WebSocket or Engine.IO.
    Reply(Bytes),
}

impl PacketReader {
    /// Creates a reader whose first bytes are `unread`.
    pub(super) fn new(unread: BytesMut) -> Self {
        Self {
            unread,
            messages: MessageReader::default(),
            decoder: PacketDecoder::default(),
        }
    }

    /// Consumes the next packet; returns `None` if more bytes are needed.
    pub(super) fn next(&mut self) -> Result<Option<ReadEvent>, Disconnect> {
        while let Some(message) = self.message()? {
            let packet = match message {
                WebSocketMessage::Text(text) => self.decoder.text(&text)?,
                WebSocketMessage::Binary(bytes) => self.decoder.binary(bytes)?,
                WebSocketMessage::Ping(payload) => {
                    return Ok(Some(ReadEvent::Reply(frame(Opcode::Pong, &payload))));
                }
                WebSocketMessage::Close { code, reason } => {
                    return Err(Disconnect::WebSocket { code, reason });
                }
            };
            match packet {
                None => {}
                Some(ServerPacket::Ping) => return Ok(Some(ReadEvent::Reply(pong()))),
                Some(ServerPacket::EngineClose) => return Err(Disconnect::Engine),
                Some(ServerPacket::Disconnected) => return Err(Disconnect::Namespace),
                Some(packet) => return Ok(Some(ReadEvent::Packet(packet))),
            }
        }
        Ok(None)
    }

    fn message(&mut self) -> Result<Option<WebSocketMessage>, Disconnect> {
        let mut bytes = &self.unread[..];
        let message = self.messages.next(&mut bytes)?;
        let consumed = self.unread.len() - bytes.len();
        self.unread.advance(consumed);
        Ok(message)
    }

    /// Passes each frame of the unread bytes and of `bytes` to `each`, without decoding packets.
    pub(super) fn frames(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Opcode, &[u8]),
    ) -> Result<(), Disconnect> {
        let unread = self.unread.split();
        self.messages.frames(&unread, &mut each)?;
        self.messages.frames(bytes, each)?;
        Ok(())
    }
}

/// Returns the frame of Engine.IO's pong.
pub(super) fn pong() -> Bytes {
    frame(Opcode::Text, b"3")
}

fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    put_frame(&mut out, opcode, payload);
    out.freeze()
}
