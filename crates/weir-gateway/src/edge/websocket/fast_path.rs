//! Media events as they stand in a client's WebSocket stream.
//!
//! Chunks are nearly all of what a node reads. An event of the usual form, a text frame with the
//! header and a binary frame with the payload, is recognised where the socket is read, and goes to
//! the client's session from there; the library would take the same bytes through five layers. What
//! is of any other form is the library's.

use std::ops::Range;

use weir_protocol::MediaPacket;

use super::admission::FREE_BYTES;

/// The longest text frame of an event that is recognised. Headers over the limit of the contract
/// are shorter, or refused as well by the library's way.
const TEXT_BYTES: usize = 4 * 1024;

/// The most that an event may be long in all: what anybody may send without taking turns.
const EVENT_BYTES: usize = FREE_BYTES as usize;

/// What a stream of whole frames goes on with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A media event.
    Media(Media),
    /// The beginning of one, as far as can be said.
    Begun,
    /// Something else.
    Other,
}

/// Where the parts of a media event are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Media {
    text: Part,
    payload: Part,
}

/// A frame's payload, and what it is masked with.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    mask: [u8; 4],
    range: Range<usize>,
}

impl Next {
    /// Looks at bytes that begin with a frame.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        const TEXT: u8 = 0x81;
        const BINARY: u8 = 0x82;
        let text = match Part::of(bytes, TEXT, TEXT_BYTES) {
            Ok(part) => part,
            Err(next) => return next,
        };
        let there = &bytes[text.range.start.min(bytes.len())..text.range.end.min(bytes.len())];
        let begins = there
            .iter()
            .zip(MediaPacket::PREFIX.as_bytes())
            .zip(text.mask);
        if text.range.len() < MediaPacket::PREFIX.len()
            || begins.into_iter().any(|((a, b), mask)| a ^ mask != *b)
        {
            return Self::Other;
        }
        if there.len() < text.range.len() {
            return Self::Begun;
        }
        let payload = match Part::of(&bytes[text.range.end..], BINARY, EVENT_BYTES) {
            Ok(part) => part,
            Err(next) => return next,
        };
        let payload = Part {
            range: payload.range.start + text.range.end..payload.range.end + text.range.end,
            ..payload
        };
        if bytes.len() < payload.range.end {
            return Self::Begun;
        }
        Self::Media(Media { text, payload })
    }
}

impl Part {
    /// The part of the frame that `bytes` begin with, if its first byte is `first` and it is masked,
    /// as a client's must be, and of `limit` bytes at most (RFC 6455, section 5.2).
    fn of(bytes: &[u8], first: u8, limit: usize) -> Result<Self, Next> {
        const MASKED: u8 = 0x80;
        match bytes {
            [byte, ..] if *byte != first => return Err(Next::Other),
            [] | [_] => return Err(Next::Begun),
            [_, byte, ..] if byte & MASKED == 0 => return Err(Next::Other),
            _ => {}
        }
        let (length, header) = match bytes[1] & !MASKED {
            126 => match bytes[2..].first_chunk() {
                Some(length) => (u64::from(u16::from_be_bytes(*length)), 4),
                None => return Err(Next::Begun),
            },
            127 => match bytes[2..].first_chunk() {
                Some(length) => (u64::from_be_bytes(*length), 10),
                None => return Err(Next::Begun),
            },
            short => (short.into(), 2),
        };
        let Some(length) = usize::try_from(length)
            .ok()
            .filter(|length| *length <= limit)
        else {
            return Err(Next::Other);
        };
        let Some(mask) = bytes[header..].first_chunk() else {
            return Err(Next::Begun);
        };
        let start = header + mask.len();
        Ok(Self {
            mask: *mask,
            range: start..start + length,
        })
    }
}

impl Media {
    /// How many bytes the event takes of the stream.
    pub(crate) fn length(&self) -> usize {
        self.payload.range.end
    }

    /// Unmasks the event in the bytes that it was found in, and calls `publish` with its packet and
    /// its payload. Returns false, and leaves the bytes unchanged, if it is not a media event of the
    /// usual form.
    pub(crate) fn read(
        &self,
        bytes: &mut [u8],
        publish: impl FnOnce(MediaPacket<'_>, &[u8]),
    ) -> bool {
        let (head, tail) = bytes.split_at_mut(self.text.range.end);
        let text = &mut head[self.text.range.start..];
        unmask(text, self.text.mask);
        let packet = std::str::from_utf8(text).ok().and_then(MediaPacket::parse);
        let Some(packet) = packet else {
            // Masking is its own inverse.
            unmask(text, self.text.mask);
            return false;
        };
        let start = self.payload.range.start - self.text.range.end;
        let payload = &mut tail[start..start + self.payload.range.len()];
        unmask(payload, self.payload.mask);
        publish(packet, payload);
        true
    }
}

/// Applies a frame's masking key (RFC 6455, section 5.3).
fn unmask(bytes: &mut [u8], key: [u8; 4]) {
    const WORD: usize = size_of::<u128>();
    let word = u128::from_ne_bytes(std::array::from_fn(|at| key[at % key.len()]));
    let (words, rest) = bytes.as_chunks_mut::<WORD>();
    for bytes in words {
        *bytes = (u128::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"["media",{"track":1,"ts":5},{"_placeholder":true,"num":0}]"#;

    fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length @ 126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        frame
    }

    fn event(text: &str, payload: &[u8]) -> Vec<u8> {
        let mut bytes = frame(0x81, text.as_bytes(), [1, 2, 3, 250]);
        bytes.extend(frame(0x82, payload, [9, 0, 77, 1]));
        bytes
    }

    fn read(bytes: &[u8]) -> Option<(String, Vec<u8>, Option<i64>)> {
        let Next::Media(media) = Next::of(bytes) else {
            return None;
        };
        assert!(media.length() <= bytes.len());
        let (mut changed, mut event) = (bytes.to_vec(), None);
        let published = media.read(&mut changed, |packet, payload| {
            event = Some((packet.array.to_owned(), payload.to_vec(), packet.ack));
        });
        assert_eq!(published, event.is_some());
        if !published {
            assert_eq!(changed, bytes, "the bytes are unchanged");
        }
        event
    }

    #[test]
    fn an_event_is_read_whatever_its_length_and_its_acknowledgement() {
        for length in [0, 1, 3, 125, 126, 1_200, 65_535, 65_536, 200_000] {
            let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
            for (ack, number) in [
                ("", None),
                ("0", Some(0)),
                ("907", Some(907)),
                ("9007199254740991", Some(weir_protocol::MAX_ACK_ID)),
            ] {
                let mut bytes = event(&format!("451-{ack}{HEADER}"), &payload);
                let length = bytes.len();
                bytes.extend(b"more");
                let Next::Media(media) = Next::of(&bytes) else {
                    panic!("{:?}", Next::of(&bytes));
                };
                assert_eq!(media.length(), length);
                let (text, read, ack) = read(&bytes).expect("it is an event");
                assert_eq!((text.as_str(), ack), (HEADER, number));
                assert_eq!(read, payload);
            }
        }
    }

    #[test]
    fn an_event_that_is_not_whole_has_begun() {
        let bytes = event(&format!("451-{HEADER}"), &[7; 300]);
        for length in 0..bytes.len() {
            assert_eq!(Next::of(&bytes[..length]), Next::Begun, "{length} bytes");
        }
    }

    #[test]
    fn what_is_of_another_form_is_left_to_the_library() {
        let whole = event(&format!("451-{HEADER}"), &[7; 300]);
        let text = whole.len() - 300 - 8;
        let mut unmasked = whole.clone();
        unmasked[1] &= 0x7f;
        let mut fragment = whole.clone();
        fragment[0] = 1;
        let mut text_again = whole.clone();
        text_again[text] = 0x81;
        let mut pong = frame(0x81, b"3", [1, 2, 3, 4]);
        pong.extend(&whole);
        for bytes in [unmasked, fragment, text_again, pong] {
            assert_eq!(Next::of(&bytes), Next::Other);
        }
        let long = event(&format!("451-{HEADER}"), &vec![0; EVENT_BYTES + 1]);
        assert_eq!(Next::of(&long[..1_000]), Next::Other);
        for text in [
            r#"452-["media",{}]"#,
            r#"42["media",{}]"#,
            r#"451-["message",{"data":{"_placeholder":true,"num":0}}]"#,
            r#"451-["media"]"#,
            r#"451-9007199254740992["media",{}]"#,
            r#"451-12345678901234567["media",{}]"#,
            r#"451-/other,["media",{}]"#,
            "3",
        ] {
            assert_eq!(read(&event(text, b"payload")), None, "{text}");
        }
        let mut bytes = frame(0x81, b"451-[\"media\",\xff]", [1, 2, 3, 4]);
        bytes.extend(frame(0x82, b"payload", [1, 2, 3, 4]));
        assert_eq!(read(&bytes), None, "it is not text");
    }
}
