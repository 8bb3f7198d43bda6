//! Follows a stream of WebSocket frames.

/// The longest header: 2 bytes, a 64-bit length, and a mask.
const LONGEST_HEADER: usize = 14;

/// What is known of a frame from its header (RFC 6455, section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Whether it is the last of its message.
    pub(crate) last: bool,
    /// Whether it begins, ends or stands between others as a control frame.
    pub(crate) kind: Kind,
    /// The payload's length in bytes.
    pub(crate) length: u64,
    /// Whether the message that it begins is text.
    pub(crate) text: bool,
    /// Masking key of the payload; zeros if it is not masked.
    pub(crate) mask: [u8; 4],
}

/// A frame's kind, as its opcode says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It begins a message.
    First,
    /// It goes on with a message.
    Continuation,
    /// Ping, pong or close; it may come between two frames of a message.
    Control,
}

/// The position in a stream of frames.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    header: [u8; LONGEST_HEADER],
    header_bytes: u8,
    payload_left: u64,
}

impl Follower {
    /// Whether what was followed so far ends with a whole frame.
    pub(crate) fn at_boundary(&self) -> bool {
        self.payload_left == 0 && self.header_bytes == 0
    }

    /// Whether the next byte belongs to a payload.
    pub(crate) fn in_payload(&self) -> bool {
        self.payload_left > 0
    }

    /// Follows the next bytes of the stream.
    pub(crate) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (followed, _) = self.step(bytes);
            bytes = &bytes[followed..];
        }
    }

    /// Follows the next bytes to the end of a header or of a payload, whichever comes first. Says
    /// how many bytes that were, and what the header says if one has ended.
    pub(crate) fn step(&mut self, bytes: &[u8]) -> (usize, Option<Header>) {
        if self.payload_left > 0 {
            let left = usize::try_from(self.payload_left).unwrap_or(usize::MAX);
            let followed = left.min(bytes.len());
            self.payload_left -= followed as u64;
            return (followed, None);
        }
        for (at, byte) in bytes.iter().enumerate() {
            self.header[usize::from(self.header_bytes)] = *byte;
            self.header_bytes += 1;
            if let Some(header) = self.parsed() {
                self.header_bytes = 0;
                self.payload_left = header.length;
                return (at + 1, Some(header));
            }
        }
        (bytes.len(), None)
    }

    /// What the header says, once it is whole.
    fn parsed(&self) -> Option<Header> {
        const LAST: u8 = 0x80;
        const MASKED: u8 = 0x80;
        const CONTROL: u8 = 0x08;
        const OPCODE: u8 = 0x0f;
        const TEXT: u8 = 1;
        let header = &self.header[..usize::from(self.header_bytes)];
        let (&[first, second], rest) = header.split_first_chunk()?;
        let (length, rest) = match second & !MASKED {
            126 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u16::from_be_bytes(*length).into(), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from_be_bytes(*length), rest)
            }
            short => (short.into(), rest),
        };
        let mask = match second & MASKED {
            0 => [0; 4],
            _ => *rest.first_chunk()?,
        };
        Some(Header {
            last: first & LAST != 0,
            kind: match first & OPCODE {
                0 => Kind::Continuation,
                opcode if opcode & CONTROL != 0 => Kind::Control,
                _ => Kind::First,
            },
            length,
            text: first & OPCODE == TEXT,
            mask,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A frame with that first byte and that many bytes of payload.
    pub(crate) fn frame(first: u8, length: usize, masked: bool) -> Vec<u8> {
        let mask = u8::from(masked) << 7;
        let mut frame = vec![first];
        match length {
            0..126 => frame.push(mask | length as u8),
            126..65_536 => {
                frame.push(mask | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        if masked {
            frame.extend([0x82; 4]);
        }
        frame.resize(frame.len() + length, 0x82);
        frame
    }

    #[test]
    fn boundaries_are_found_however_the_stream_is_cut() {
        let lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000, 0, 5];
        for masked in [false, true] {
            let frames = lengths.map(|length| frame(0x82, length, masked));
            let stream = frames.concat();
            let mut boundaries = vec![0];
            for frame in &frames {
                boundaries.push(boundaries[boundaries.len() - 1] + frame.len());
            }
            for cut in [1, 2, 3, 7, 1_000, 65_540] {
                let mut follower = Follower::default();
                let mut position = 0;
                for piece in stream.chunks(cut) {
                    follower.follow(piece);
                    position += piece.len();
                    let boundary = boundaries.contains(&position);
                    assert_eq!(follower.at_boundary(), boundary, "{cut} {position}");
                }
            }
        }
    }

    #[test]
    fn headers_say_what_frames_are() {
        for (first, last, kind) in [
            (0x81, true, Kind::First),
            (0x02, false, Kind::First),
            (0x00, false, Kind::Continuation),
            (0x80, true, Kind::Continuation),
            (0x89, true, Kind::Control),
        ] {
            let bytes = frame(first, 300, true);
            let header = Header {
                last,
                kind,
                length: 300,
                text: first == 0x81,
                mask: [0x82; 4],
            };
            assert_eq!(Follower::default().step(&bytes), (8, Some(header)));
        }
    }
}
