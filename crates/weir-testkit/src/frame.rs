//! WebSocket frames (RFC 6455, section 5.2), as a client writes and reads them.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The largest message that a client accepts, in bytes: far above anything a node sends.
const MAX_MESSAGE: usize = 64 << 20;

/// Why the bytes of a server cannot be WebSocket frames.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A reserved bit is set although no extension was negotiated.
    #[error("a frame has reserved bits set (first byte {0:#04x})")]
    Reserved(u8),
    /// The opcode is none of RFC 6455.
    #[error("unknown opcode {0:#x}")]
    Opcode(u8),
    /// A server's frames must not be masked.
    #[error("the server masked a frame")]
    Masked,
    /// Longer than this client accepts.
    #[error("a message of {0} bytes is over the client's limit of {MAX_MESSAGE}")]
    TooLong(u64),
    /// A continuation without a beginning, or a new message within another.
    #[error("a fragmented message out of order")]
    Fragment,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message that an earlier frame began.
    Continuation = 0,
    /// A message of UTF-8 text.
    Text = 1,
    /// A message of bytes.
    Binary = 2,
    /// The closing handshake.
    Close = 8,
    /// A WebSocket ping, which is not Engine.IO's.
    Ping = 9,
    /// The answer to a WebSocket ping.
    Pong = 10,
}

impl Opcode {
    fn from_nibble(nibble: u8) -> Result<Self, FrameError> {
        Ok(match nibble {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            other => return Err(FrameError::Opcode(other)),
        })
    }
}

/// The header of one frame from a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether the message ends with this frame.
    pub fin: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// Length of the header itself in bytes, 2 to 10.
    pub header_len: usize,
    /// Length of the payload in bytes.
    pub payload_len: usize,
}

impl FrameHeader {
    /// Reads the header at the start of `bytes`; `None` while it is not complete.
    ///
    /// # Errors
    /// What RFC 6455 does not allow a server to send, and a payload over 64 MiB.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(FrameError::Reserved(*first));
        }
        if second & 0x80 != 0 {
            return Err(FrameError::Masked);
        }
        let (header_len, payload_len) = match second {
            126 => match rest.first_chunk::<2>() {
                Some(len) => (4, u64::from(u16::from_be_bytes(*len))),
                None => return Ok(None),
            },
            127 => match rest.first_chunk::<8>() {
                Some(len) => (10, u64::from_be_bytes(*len)),
                None => return Ok(None),
            },
            short => (2, u64::from(*short)),
        };
        let fits = usize::try_from(payload_len)
            .ok()
            .filter(|len| *len <= MAX_MESSAGE);
        Ok(Some(Self {
            fin: first & 0x80 != 0,
            opcode: Opcode::from_nibble(first & 0x0f)?,
            header_len,
            payload_len: fits.ok_or(FrameError::TooLong(payload_len))?,
        }))
    }
}

/// Appends one whole frame as a client writes it.
///
/// A client must mask (RFC 6455, section 5.3), but which key it takes is its own affair: with four
/// zero bytes the payload stays as it is, and a load generator saves a pass over every byte.
pub fn put_frame(out: &mut BytesMut, opcode: Opcode, payload: &[u8]) {
    out.reserve(14 + payload.len());
    out.put_u8(0x80 | opcode as u8);
    match payload.len() {
        short @ 0..=125 => out.put_u8(0x80 | short as u8),
        medium @ 126..=0xffff => {
            out.put_u8(0x80 | 126);
            out.put_u16(medium as u16);
        }
        long => {
            out.put_u8(0x80 | 127);
            out.put_u64(long as u64);
        }
    }
    out.put_u32(0);
    out.put_slice(payload);
}

/// A whole message, its fragments put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    Text(Bytes),
    Binary(Bytes),
    Ping(Bytes),
    Close { code: u16, reason: String },
}

/// The message that is being put together from fragments.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    /// Opcode and bytes of a message whose last frame has not come.
    partial: Option<(Opcode, BytesMut)>,
}

impl Assembler {
    /// Takes the next whole message off the front of `buffer`, which it shares without a copy
    /// unless it came in fragments. `None` means that more bytes are needed.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Message>, FrameError> {
        loop {
            let Some(header) = FrameHeader::parse(buffer)? else {
                return Ok(None);
            };
            let whole = header.header_len + header.payload_len;
            if buffer.len() < whole {
                buffer.reserve(whole - buffer.len());
                return Ok(None);
            }
            buffer.advance(header.header_len);
            let payload = buffer.split_to(header.payload_len).freeze();
            match header.opcode {
                Opcode::Ping => return Ok(Some(Message::Ping(payload))),
                Opcode::Pong => {}
                Opcode::Close => return Ok(Some(close(&payload))),
                opcode => {
                    if let Some(message) = self.data(opcode, header.fin, payload)? {
                        return Ok(Some(message));
                    }
                }
            }
        }
    }

    fn data(
        &mut self,
        opcode: Opcode,
        fin: bool,
        payload: Bytes,
    ) -> Result<Option<Message>, FrameError> {
        let (kind, whole) = match (self.partial.take(), opcode) {
            (None, Opcode::Continuation) => return Err(FrameError::Fragment),
            (None, kind) if fin => (kind, payload),
            (None, kind) => {
                self.partial = Some((kind, BytesMut::from(&payload[..])));
                return Ok(None);
            }
            (Some((kind, mut begun)), Opcode::Continuation) => {
                let len = begun.len() + payload.len();
                if len > MAX_MESSAGE {
                    return Err(FrameError::TooLong(len as u64));
                }
                begun.extend_from_slice(&payload);
                if !fin {
                    self.partial = Some((kind, begun));
                    return Ok(None);
                }
                (kind, begun.freeze())
            }
            (Some(_), _) => return Err(FrameError::Fragment),
        };
        Ok(Some(match kind {
            Opcode::Text => Message::Text(whole),
            _ => Message::Binary(whole),
        }))
    }
}

fn close(payload: &Bytes) -> Message {
    match payload.split_first_chunk::<2>() {
        Some((code, reason)) => Message::Close {
            code: u16::from_be_bytes(*code),
            reason: String::from_utf8_lossy(reason).into_owned(),
        },
        // RFC 6455, section 7.1.5: no status code was present.
        None => Message::Close {
            code: 1005,
            reason: String::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a server writes it.
    fn served(first: u8, payload: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        put_frame(&mut out, Opcode::Text, payload);
        let mask = out.len() - payload.len() - 4;
        let mut bytes = out.to_vec();
        bytes.drain(mask..mask + 4);
        bytes[0] = first;
        bytes[1] &= 0x7f;
        BytesMut::from(&bytes[..])
    }

    fn all(chunks: &[&[u8]]) -> Result<Vec<Message>, FrameError> {
        let (mut assembler, mut buffer, mut messages) =
            (Assembler::default(), BytesMut::new(), Vec::new());
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            while let Some(message) = assembler.next(&mut buffer)? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    #[test]
    fn every_length_form_survives_any_cut() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536] {
            let payload: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
            let mut bytes = served(0x82, &payload);
            bytes.extend_from_slice(&served(0x81, b"end"));
            let expected = vec![
                Message::Binary(Bytes::from(payload)),
                Message::Text(Bytes::from_static(b"end")),
            ];
            let near_ends =
                (0..16.min(bytes.len())).chain(bytes.len().saturating_sub(16)..bytes.len());
            for cut in near_ends {
                let (front, back) = bytes.split_at(cut);
                assert_eq!(
                    all(&[front, back]).unwrap(),
                    expected,
                    "length {len} cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn fragments_are_joined_around_control_frames() {
        let frames = [
            served(0x02, b"ab"),
            served(0x89, b"ping"),
            served(0x00, b"cd"),
            served(0x80, b"ef"),
            served(0x88, b"\x03\xe8bye"),
        ];
        let chunks: Vec<&[u8]> = frames.iter().map(|frame| &frame[..]).collect();
        let expected = vec![
            Message::Ping(Bytes::from_static(b"ping")),
            Message::Binary(Bytes::from_static(b"abcdef")),
            Message::Close {
                code: 1000,
                reason: "bye".into(),
            },
        ];
        assert_eq!(all(&chunks).unwrap(), expected);
    }

    #[test]
    fn what_a_server_must_not_send_is_refused() {
        let cases: [(&[u8], FrameError); 6] = [
            (b"\xc1\x00", FrameError::Reserved(0xc1)),
            (b"\x81\x80\0\0\0\0", FrameError::Masked),
            (b"\x83\x00", FrameError::Opcode(3)),
            (b"\x80\x00", FrameError::Fragment),
            (b"\x01\x00\x81\x00", FrameError::Fragment),
            (b"\x82\x7f\0\0\0\x01\0\0\0\0", FrameError::TooLong(1 << 32)),
        ];
        for (bytes, error) in cases {
            assert_eq!(all(&[bytes]), Err(error), "{bytes:x?}");
        }
    }
}
