//! Headers of WebSocket frames, and the position in a stream of frames.

/// Maximum length of a header: 2 bytes, a 64-bit length, and a masking key.
const MAX_HEADER: usize = 14;

/// First byte of a final text frame, and of a final binary frame.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const CONTROL: u8 = 0x08;

/// Header of a frame (RFC 6455, section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WebSocketHeader {
    /// Byte of the flags and the opcode.
    pub(crate) first: u8,
    /// Length of the header itself.
    pub(crate) len: usize,
    /// Length of the payload.
    pub(crate) payload: u64,
    /// Masking key of the payload, if it is masked.
    pub(crate) key: Option<[u8; 4]>,
}

/// Role of a frame in its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// First frame of a message.
    First,
    /// Later frame of a message.
    Continuation,
    /// Ping, pong or close, which may come between two frames of a message.
    Control,
}

impl WebSocketHeader {
    /// Parses the header at the start of `bytes`. Returns `None` if it is incomplete.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (&[first, second], rest) = bytes.split_first_chunk()?;
        let (payload, len) = match second & !MASKED {
            126 => (u16::from_be_bytes(*rest.first_chunk()?).into(), 4),
            127 => (u64::from_be_bytes(*rest.first_chunk()?), 10),
            short => (short.into(), 2),
        };
        let mut header = Self {
            first,
            len,
            payload,
            key: None,
        };
        if second & MASKED != 0 {
            let key = bytes.get(len..)?.first_chunk()?;
            header.key = Some(*key);
            header.len += key.len();
        }
        Some(header)
    }

    /// Whether the frame is the last of its message.
    pub(crate) const fn is_last(&self) -> bool {
        self.first & FINAL != 0
    }

    /// Whether the frame starts a text message.
    pub(crate) const fn is_text(&self) -> bool {
        self.opcode() == TEXT & OPCODE
    }

    /// Whether a reserved bit is set.
    pub(crate) const fn is_reserved(&self) -> bool {
        self.first & RESERVED != 0
    }

    /// Returns the opcode.
    pub(crate) const fn opcode(&self) -> u8 {
        self.first & OPCODE
    }

    /// Returns the frame's role in its message.
    pub(crate) const fn kind(&self) -> FrameKind {
        match self.opcode() {
            0 => FrameKind::Continuation,
            opcode if opcode & CONTROL != 0 => FrameKind::Control,
            _ => FrameKind::First,
        }
    }
}

/// Applies a masking key to a payload, from its first byte on (RFC 6455, section 5.3). Masking is
/// its own inverse.
pub(crate) fn mask(payload: &mut [u8], key: [u8; 4]) {
    const WORD: usize = size_of::<u128>();
    let word = u128::from_ne_bytes(std::array::from_fn(|at| key[at % key.len()]));
    let (words, rest) = payload.as_chunks_mut::<WORD>();
    for bytes in words {
        *bytes = (u128::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// Position in a stream of frames, which may arrive in pieces of any length.
#[derive(Debug, Default)]
pub(crate) struct FrameCursor {
    /// Bytes of an incomplete header.
    header: [u8; MAX_HEADER],
    header_bytes: u8,
    payload_left: u64,
}

impl FrameCursor {
    /// Whether the position is between two frames.
    pub(crate) const fn at_boundary(&self) -> bool {
        self.payload_left == 0 && self.header_bytes == 0
    }

    /// Whether the next byte belongs to a payload.
    pub(crate) const fn in_payload(&self) -> bool {
        self.payload_left > 0
    }

    /// Advances over the next bytes of the stream.
    pub(crate) fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (length, _) = self.step(bytes);
            bytes = &bytes[length..];
        }
    }

    /// Advances to the end of a header or of a payload, whichever comes first, but not beyond
    /// `bytes`. Returns the number of bytes, and the header if one is complete.
    pub(crate) fn step(&mut self, bytes: &[u8]) -> (usize, Option<WebSocketHeader>) {
        if self.payload_left > 0 {
            let left = usize::try_from(self.payload_left).unwrap_or(usize::MAX);
            let length = left.min(bytes.len());
            self.payload_left -= length as u64;
            return (length, None);
        }
        if self.header_bytes == 0
            && let Some(header) = WebSocketHeader::parse(bytes)
        {
            self.payload_left = header.payload;
            return (header.len, Some(header));
        }
        for (at, byte) in bytes.iter().enumerate() {
            self.header[usize::from(self.header_bytes)] = *byte;
            self.header_bytes += 1;
            let header = WebSocketHeader::parse(&self.header[..usize::from(self.header_bytes)]);
            if header.is_some() {
                self.header_bytes = 0;
                self.payload_left = header.map_or(0, |header| header.payload);
                return (at + 1, header);
            }
        }
        (bytes.len(), None)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Encodes a frame with this first byte and a payload, masked if there is a key.
    pub(crate) fn frame(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
        let masked = if key.is_some() { MASKED } else { 0 };
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..126 => frame.push(masked | short as u8),
            middle @ 126..65_536 => {
                frame.push(masked | 126);
                frame.extend((middle as u16).to_be_bytes());
            }
            long => {
                frame.push(masked | 127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        frame.extend(key.into_iter().flatten());
        let key = key.unwrap_or_default();
        let bytes = payload.iter().zip(key.iter().cycle());
        frame.extend(bytes.map(|(byte, key)| byte ^ key));
        frame
    }

    /// Encodes a frame with this first byte and payload length.
    pub(crate) fn filled(first: u8, length: usize, masked: bool) -> Vec<u8> {
        frame(first, &vec![0; length], masked.then_some([0x82; 4]))
    }

    #[test]
    fn cursor_finds_boundaries_however_the_stream_is_split() {
        let lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000, 0, 5];
        for masked in [false, true] {
            let frames = lengths.map(|length| filled(BINARY, length, masked));
            let stream = frames.concat();
            let mut boundaries = vec![0];
            for frame in &frames {
                boundaries.push(boundaries[boundaries.len() - 1] + frame.len());
            }
            for length in [1, 2, 3, 7, 1_000, 65_540] {
                let mut cursor = FrameCursor::default();
                let mut position = 0;
                for piece in stream.chunks(length) {
                    cursor.advance(piece);
                    position += piece.len();
                    let boundary = boundaries.contains(&position);
                    assert_eq!(cursor.at_boundary(), boundary, "{length} {position}");
                }
            }
        }
    }

    #[test]
    fn header_states_the_kind_of_its_frame() {
        for (first, last, kind) in [
            (0x81, true, FrameKind::First),
            (0x02, false, FrameKind::First),
            (0x00, false, FrameKind::Continuation),
            (0x80, true, FrameKind::Continuation),
            (0x89, true, FrameKind::Control),
        ] {
            let bytes = filled(first, 300, true);
            let header = WebSocketHeader {
                first,
                len: 8,
                payload: 300,
                key: Some([0x82; 4]),
            };
            assert_eq!(WebSocketHeader::parse(&bytes), Some(header));
            assert_eq!(FrameCursor::default().step(&bytes), (8, Some(header)));
            assert_eq!((header.is_last(), header.kind()), (last, kind));
            assert_eq!(header.is_text(), first == TEXT);
            for short in 0..8 {
                assert_eq!(
                    WebSocketHeader::parse(&bytes[..short]),
                    None,
                    "{short} bytes"
                );
            }
        }
    }

    #[test]
    fn masking_twice_restores_the_payload() {
        for length in [0, 1, 3, 4, 15, 16, 17, 31, 100] {
            let payload: Vec<u8> = (0..length).collect();
            let mut masked = payload.clone();
            mask(&mut masked, [1, 2, 3, 250]);
            let expected = frame(BINARY, &payload, Some([1, 2, 3, 250]));
            assert_eq!(masked, expected[expected.len() - payload.len()..]);
            mask(&mut masked, [1, 2, 3, 250]);
            assert_eq!(masked, payload);
        }
    }
}
