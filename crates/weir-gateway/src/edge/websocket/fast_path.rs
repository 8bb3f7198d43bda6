//! Media events as they stand in a client's WebSocket stream.
//!
//! Chunks are nearly all of what a node reads. An event of the usual form, a text frame with the
//! header and a binary frame with the payload, is recognised where the socket is read, and goes to
//! the client's session from there; the library would take the same bytes through five layers. What
//! is of any other form is the library's.

use std::ops::Range;

use bytes::Bytes;
use weir_protocol::MAX_ACK_ID;

use super::admission::FREE_BYTES;

/// The longest text frame of an event that is recognised. Headers over the limit of the contract
/// are shorter, or refused as well by the library's way.
const TEXT_BYTES: usize = 4 * 1024;

/// The most that an event may be long in all: what anybody may send without taking turns.
const EVENT_BYTES: usize = FREE_BYTES as usize;

/// How the packet begins: Engine.IO's type "message", Socket.IO's "binary event", one attachment.
/// Source: Socket.IO protocol, revision 5, "Packet encoding".
const PACKET: &[u8] = b"451-";

/// How the array begins.
const EVENT: &[u8] = br#"["media","#;

/// Maximum digits of an acknowledgement id up to [`MAX_ACK_ID`].
const ACK_DIGITS: usize = 16;

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
        let begins = there.iter().zip(PACKET).zip(text.mask);
        if text.range.len() < PACKET.len()
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

    fn unmask<'a>(&self, bytes: &'a mut [u8]) -> &'a mut [u8] {
        let bytes = &mut bytes[self.range.clone()];
        let (words, rest) = bytes.as_chunks_mut::<4>();
        let mask = u32::from_ne_bytes(self.mask);
        for word in words {
            *word = (u32::from_ne_bytes(*word) ^ mask).to_ne_bytes();
        }
        for (byte, mask) in rest.iter_mut().zip(self.mask) {
            *byte ^= mask;
        }
        bytes
    }
}

/// A media event without its envelopes.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    /// The packet's array.
    pub(crate) text: &'a str,
    pub(crate) payload: Bytes,
    pub(crate) ack: Option<i64>,
}

impl Media {
    /// How many bytes the event takes of the stream.
    pub(crate) fn length(&self) -> usize {
        self.payload.range.end
    }

    /// Reads the event from the bytes that it was found in; `None`, and the bytes as they were, if
    /// it is another one or not of the usual form.
    pub(crate) fn read<'a>(&self, bytes: &'a mut [u8]) -> Option<Event<'a>> {
        let text = self.text.unmask(bytes);
        let Some((ack, at)) = array(text) else {
            // Masking is its own inverse.
            self.text.unmask(bytes);
            return None;
        };
        let payload = Bytes::copy_from_slice(self.payload.unmask(bytes));
        let text = &bytes[self.text.range.start + at..self.text.range.end];
        let text = std::str::from_utf8(text).expect("the whole packet was seen to be text");
        Some(Event { text, payload, ack })
    }
}

/// The number of the acknowledgement that a packet asks for, and where its array begins, if it is a
/// media event.
fn array(packet: &[u8]) -> Option<(Option<i64>, usize)> {
    let packet = std::str::from_utf8(packet).ok()?.as_bytes();
    let rest = packet.strip_prefix(PACKET)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits > ACK_DIGITS || !rest[digits..].starts_with(EVENT) {
        return None;
    }
    let number = rest[..digits].iter().map(|digit| i64::from(digit - b'0'));
    let ack = number.reduce(|number, digit| number * 10 + digit);
    // A larger id takes the library's path, where it is refused.
    let held = ack.is_none_or(|id| id <= MAX_ACK_ID);
    held.then_some((ack, PACKET.len() + digits))
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

    fn read(bytes: &[u8]) -> Option<(String, Bytes, Option<i64>)> {
        let Next::Media(media) = Next::of(bytes) else {
            return None;
        };
        let mut changed = bytes.to_vec();
        let length = media.length();
        let Some(event) = media.read(&mut changed) else {
            assert_eq!(changed, bytes, "what is not taken is left as it was");
            return None;
        };
        assert!(length <= bytes.len());
        Some((event.text.to_owned(), event.payload, event.ack))
    }

    #[test]
    fn an_event_is_read_whatever_its_length_and_its_acknowledgement() {
        for length in [0, 1, 3, 125, 126, 1_200, 65_535, 65_536, 200_000] {
            let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
            for (ack, number) in [
                ("", None),
                ("0", Some(0)),
                ("907", Some(907)),
                ("9007199254740991", Some(MAX_ACK_ID)),
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
