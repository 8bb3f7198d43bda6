//! Joins frames into messages.

use bytes::{Bytes, BytesMut};

use super::frame::{FrameError, MAX_MESSAGE, Opcode};
use super::splitter::FrameSplitter;

/// A whole message, its fragments joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WebSocketMessage {
    Text(Bytes),
    Binary(Bytes),
    Ping(Bytes),
    Close { code: u16, reason: String },
}

/// Messages of one connection's byte stream.
#[derive(Debug, Default)]
pub(crate) struct MessageReader {
    splitter: FrameSplitter,
    /// Opcode and bytes of a message whose last fragment is due.
    fragments: Option<(Opcode, BytesMut)>,
}

impl MessageReader {
    /// Consumes the next message of `bytes`; returns `None` once all of `bytes` is consumed.
    pub(crate) fn next(
        &mut self,
        bytes: &mut &[u8],
    ) -> Result<Option<WebSocketMessage>, FrameError> {
        while let Some((header, payload)) = self.splitter.next(bytes)? {
            match header.opcode {
                Opcode::Ping => {
                    let payload = Bytes::copy_from_slice(payload);
                    return Ok(Some(WebSocketMessage::Ping(payload)));
                }
                Opcode::Pong => {}
                Opcode::Close => return Ok(Some(close(payload))),
                opcode => {
                    let message = join(&mut self.fragments, opcode, header.fin, payload)?;
                    if message.is_some() {
                        return Ok(message);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Passes each frame of `bytes` to `each`, without joining fragments.
    pub(crate) fn frames(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Opcode, &[u8]),
    ) -> Result<(), FrameError> {
        while let Some((header, payload)) = self.splitter.next(&mut bytes)? {
            each(header.opcode, payload);
        }
        Ok(())
    }
}

/// Adds a data frame to the fragments; returns the message that it completes.
fn join(
    fragments: &mut Option<(Opcode, BytesMut)>,
    opcode: Opcode,
    fin: bool,
    payload: &[u8],
) -> Result<Option<WebSocketMessage>, FrameError> {
    let (kind, whole) = match (fragments.take(), opcode) {
        (None, Opcode::Continuation) => return Err(FrameError::Fragment),
        (None, kind) if fin => (kind, Bytes::copy_from_slice(payload)),
        (None, kind) => {
            *fragments = Some((kind, BytesMut::from(payload)));
            return Ok(None);
        }
        (Some((kind, mut joined)), Opcode::Continuation) => {
            let len = joined.len() + payload.len();
            if len > MAX_MESSAGE {
                return Err(FrameError::TooLong(len as u64));
            }
            joined.extend_from_slice(payload);
            if !fin {
                *fragments = Some((kind, joined));
                return Ok(None);
            }
            (kind, joined.freeze())
        }
        (Some(_), _) => return Err(FrameError::Fragment),
    };
    Ok(Some(match kind {
        Opcode::Text => WebSocketMessage::Text(whole),
        _ => WebSocketMessage::Binary(whole),
    }))
}

fn close(payload: &[u8]) -> WebSocketMessage {
    match payload.split_first_chunk::<2>() {
        Some((code, reason)) => WebSocketMessage::Close {
            code: u16::from_be_bytes(*code),
            reason: String::from_utf8_lossy(reason).into_owned(),
        },
        // RFC 6455, section 7.1.5: no status code was present.
        None => WebSocketMessage::Close {
            code: 1005,
            reason: String::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::put_frame;
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

    fn all(chunks: &[&[u8]]) -> Result<Vec<WebSocketMessage>, FrameError> {
        let (mut reader, mut messages) = (MessageReader::default(), Vec::new());
        for chunk in chunks {
            let mut bytes = *chunk;
            while let Some(message) = reader.next(&mut bytes)? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    #[test]
    fn messages_of_every_length_form_are_the_same_wherever_reads_end() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536] {
            let payload: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
            let mut bytes = served(0x82, &payload);
            bytes.extend_from_slice(&served(0x81, b"end"));
            let expected = vec![
                WebSocketMessage::Binary(Bytes::from(payload)),
                WebSocketMessage::Text(Bytes::from_static(b"end")),
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
    fn fragments_are_joined_across_control_frames() {
        let frames = [
            served(0x02, b"ab"),
            served(0x89, b"ping"),
            served(0x00, b"cd"),
            served(0x80, b"ef"),
            served(0x88, b"\x03\xe8bye"),
        ];
        let chunks: Vec<&[u8]> = frames.iter().map(|frame| &frame[..]).collect();
        let expected = vec![
            WebSocketMessage::Ping(Bytes::from_static(b"ping")),
            WebSocketMessage::Binary(Bytes::from_static(b"abcdef")),
            WebSocketMessage::Close {
                code: 1000,
                reason: "bye".into(),
            },
        ];
        assert_eq!(all(&chunks).unwrap(), expected);
    }

    #[test]
    fn violations_of_the_rfc_are_errors() {
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
