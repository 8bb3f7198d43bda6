//! A Socket.IO packet, encoded once for all its recipients.

use std::ops::Range;

use bytes::{BufMut, Bytes};

/// Engine.IO's packet type "message". Source: Engine.IO protocol, revision 4, "Packet types".
const MESSAGE: char = '4';

/// Maximum id of an acknowledgement: the largest integer that clients in every language represent
/// exactly. Source: ECMAScript 2024, section 21.1.2.6, `Number.MAX_SAFE_INTEGER`.
pub const MAX_ACK_ID: i64 = (1 << 53) - 1;

/// A Socket.IO packet of the namespace `/` as WebSocket frames: one text frame, and one binary
/// frame per attachment.
///
/// A server's frames are unmasked and independent (RFC 6455, section 5.1), so all recipients share
/// one buffer. Transports other than WebSocket read the packet's parts back. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Frame {
    bytes: Bytes,
    /// Range of the JSON array.
    body: Range<usize>,
    ack: Option<i64>,
    attachments: usize,
}

impl Frame {
    /// Encodes an event, or with `ack` the acknowledgement of that id. `body` is its JSON array.
    #[must_use]
    pub fn new(ack: Option<i64>, body: &str, attachments: &[Bytes]) -> Self {
        Self::encode(ack, &prefix(ack, attachments.len()), body, attachments)
    }

    /// Encodes a packet whose text is `prefix` and `body`.
    pub(crate) fn encode<B: AsRef<[u8]>>(
        ack: Option<i64>,
        prefix: &str,
        body: &str,
        attachments: &[B],
    ) -> Self {
        let text = prefix.len() + body.len();
        let binary = attachments.iter().map(|bytes| bytes.as_ref().len());
        let length: usize = binary
            .chain([text])
            .map(|part| header_len(part) + part)
            .sum();
        let mut buffer = Vec::with_capacity(length);
        put_header(&mut buffer, OpCode::Text, text);
        buffer.extend_from_slice(prefix.as_bytes());
        let start = buffer.len();
        buffer.extend_from_slice(body.as_bytes());
        let body = start..buffer.len();
        for bytes in attachments {
            let bytes = bytes.as_ref();
            put_header(&mut buffer, OpCode::Binary, bytes.len());
            buffer.extend_from_slice(bytes);
        }
        Self {
            bytes: buffer.into(),
            body,
            ack,
            attachments: attachments.len(),
        }
    }

    /// Returns the WebSocket frames, which may be written wherever a frame may begin.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the id of the acknowledgement, if the packet is one.
    #[must_use]
    pub fn ack(&self) -> Option<i64> {
        self.ack
    }

    /// Returns the packet's JSON array.
    #[must_use]
    pub fn body(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.body.clone()]).expect("made from a str")
    }

    /// Iterates over the packet's attachments, which share this frame's buffer.
    pub fn attachments(&self) -> impl ExactSizeIterator<Item = Bytes> + '_ {
        let mut end = self.body.end;
        (0..self.attachments).map(move |_| {
            let (header, length) = read_header(&self.bytes[end..]);
            let start = end + header;
            end = start + length;
            self.bytes.slice(start..end)
        })
    }
}

/// Returns the text before the JSON array. Source: Socket.IO protocol, revision 5, "Packet
/// encoding".
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

/// Opcodes of data frames. Source: RFC 6455, section 5.2.
#[derive(Clone, Copy)]
enum OpCode {
    Text = 1,
    Binary = 2,
}

/// Length markers of a frame's header. Source: RFC 6455, section 5.2.
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

/// Returns the length of the header of an unmasked frame with this payload length.
const fn header_len(length: usize) -> usize {
    match length {
        0..126 => 2,
        126..0x1_0000 => 4,
        _ => 10,
    }
}

/// Writes the header of an unmasked, final frame.
fn put_header(buffer: &mut Vec<u8>, code: OpCode, length: usize) {
    const FINAL: u8 = 0x80;
    buffer.push(FINAL | code as u8);
    match u16::try_from(length) {
        Ok(short @ 0..126) => buffer.push(short as u8),
        Ok(middle) => {
            buffer.push(LENGTH_16);
            buffer.put_u16(middle);
        }
        Err(_) => {
            buffer.push(LENGTH_64);
            buffer.put_u64(length as u64);
        }
    }
}

/// Reads the lengths of a header and its payload, both written by [`Frame::encode`].
fn read_header(bytes: &[u8]) -> (usize, usize) {
    let length = match (bytes[1], &bytes[2..]) {
        (LENGTH_16, &[a, b, ..]) => usize::from(u16::from_be_bytes([a, b])),
        (LENGTH_64, rest) => rest
            .first_chunk()
            .map_or(0, |length| u64::from_be_bytes(*length) as usize),
        (short, _) => usize::from(short),
    };
    (header_len(length), length)
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
            let mut buffer = Vec::new();
            put_header(&mut buffer, OpCode::Binary, length);
            assert_eq!(buffer, header, "{length}");
            assert_eq!(read_header(&buffer), (header.len(), length));
        }
    }

    #[test]
    fn acknowledgement_with_attachment_reads_back() {
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
