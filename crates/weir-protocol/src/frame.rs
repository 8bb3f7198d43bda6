//! A Socket.IO packet, encoded once for everybody who gets it.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

/// Engine.IO's packet type "message". Source: Engine.IO protocol, revision 4, "Packet types".
const MESSAGE: char = '4';

/// The longest header of an unmasked WebSocket frame: 2 bytes and a 64-bit length.
const LONGEST_HEADER: usize = 10;

/// Maximum id of an acknowledgement: the largest integer that clients in every language represent
/// exactly. Source: ECMAScript 2024, section 21.1.2.6, `Number.MAX_SAFE_INTEGER`.
pub const MAX_ACK_ID: i64 = (1 << 53) - 1;

/// A Socket.IO packet of the namespace `/` as the WebSocket frames that carry it: one text frame,
/// and one binary frame per attachment.
///
/// A server's frames are not masked and depend on nothing before them (RFC 6455, section 5.1), so
/// that one shared buffer serves every recipient. The packet's parts can also be read back, for
/// transports that are not WebSocket.
#[derive(Debug, Clone)]
pub struct Frame {
    bytes: Bytes,
    body: Range<usize>,
    ack: Option<i64>,
    attachments: Vec<Range<usize>>,
}

impl Frame {
    /// Encodes an event, or with `ack` the acknowledgement of that number; `body` is its JSON array.
    #[must_use]
    pub fn new(ack: Option<i64>, body: &str, attachments: &[Bytes]) -> Self {
        let prefix = prefix(ack, attachments.len());
        let payload: usize = attachments
            .iter()
            .map(|bytes| bytes.len() + LONGEST_HEADER)
            .sum();
        let mut buffer =
            BytesMut::with_capacity(LONGEST_HEADER + prefix.len() + body.len() + payload);
        put_header(&mut buffer, OpCode::Text, prefix.len() + body.len());
        buffer.put_slice(prefix.as_bytes());
        let start = buffer.len();
        buffer.put_slice(body.as_bytes());
        let body = start..buffer.len();
        let attachments = attachments
            .iter()
            .map(|bytes| {
                put_header(&mut buffer, OpCode::Binary, bytes.len());
                let start = buffer.len();
                buffer.put_slice(bytes);
                start..buffer.len()
            })
            .collect();
        Self {
            bytes: buffer.freeze(),
            body,
            ack,
            attachments,
        }
    }

    /// The WebSocket frames, to be written as they are at a frame boundary.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The number of the acknowledgement, if this is one.
    #[must_use]
    pub fn ack(&self) -> Option<i64> {
        self.ack
    }

    /// The packet's JSON array.
    #[must_use]
    pub fn body(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.body.clone()]).expect("made from a str")
    }

    /// The packet's attachments, which share this frame's buffer.
    pub fn attachments(&self) -> impl ExactSizeIterator<Item = Bytes> + '_ {
        self.attachments
            .iter()
            .map(|range| self.bytes.slice(range.clone()))
    }
}

/// What comes before the JSON array. Source: Socket.IO protocol, revision 5, "Packet encoding".
fn prefix(ack: Option<i64>, attachments: usize) -> String {
    let kind = match (ack, attachments) {
        (None, 0) => '2',
        (Some(_), 0) => '3',
        (None, _) => '5',
        (Some(_), _) => '6',
    };
    let mut prefix = String::from_iter([MESSAGE, kind]);
    if attachments > 0 {
        prefix.push_str(&attachments.to_string());
        prefix.push('-');
    }
    if let Some(id) = ack {
        prefix.push_str(&id.to_string());
    }
    prefix
}

/// WebSocket opcodes of data frames. Source: RFC 6455, section 5.2.
#[derive(Clone, Copy)]
enum OpCode {
    Text = 1,
    Binary = 2,
}

/// Writes the header of an unmasked, final frame. Source: RFC 6455, section 5.2.
fn put_header(buffer: &mut BytesMut, code: OpCode, length: usize) {
    const FINAL: u8 = 0x80;
    buffer.put_u8(FINAL | code as u8);
    match u16::try_from(length) {
        Ok(short @ 0..126) => buffer.put_u8(short as u8),
        Ok(middle) => {
            buffer.put_u8(126);
            buffer.put_u16(middle);
        }
        Err(_) => {
            buffer.put_u8(127);
            buffer.put_u64(length as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_encoded_in_the_shortest_form() {
        for (length, header) in [
            (125, vec![0x82, 125]),
            (126, vec![0x82, 126, 0, 126]),
            (65_535, vec![0x82, 126, 255, 255]),
            (65_536, vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut buffer = BytesMut::new();
            put_header(&mut buffer, OpCode::Binary, length);
            assert_eq!(buffer.to_vec(), header, "{length}");
        }
    }

    #[test]
    fn an_acknowledgement_with_an_attachment_reads_back() {
        let body = r#"[{"init":{"_placeholder":true,"num":0}}]"#;
        let frame = Frame::new(Some(12), body, &[Bytes::from_static(b"abc")]);
        let text = format!("461-12{body}");
        assert_eq!(frame.bytes()[..2], [0x81, text.len() as u8]);
        assert_eq!(&frame.bytes()[2..2 + text.len()], text.as_bytes());
        assert_eq!(
            &frame.bytes()[2 + text.len()..],
            [0x82, 3, b'a', b'b', b'c']
        );
        assert_eq!(frame.body(), body);
        assert_eq!(
            frame.attachments().collect::<Vec<_>>(),
            [Bytes::from_static(b"abc")]
        );
    }
}
