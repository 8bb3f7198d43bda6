//! Media events in a client's WebSocket stream.
//!
//! Chunks are nearly all of what a node reads. An event of the usual form, a text frame with the
//! header and a binary frame with the payload, goes from the socket's buffer straight to the
//! client's session; the library would pass the same bytes through five layers. Any other form is
//! left to the library.

use std::ops::Range;

use weir_protocol::MediaPacket;

use super::{
    admission::FREE_BYTES,
    frames::{BINARY, TEXT, WebSocketHeader, mask},
};

/// Maximum length of the text frame. A header over the limit of the contract is shorter, or is
/// refused by the library's path as well.
const TEXT_BYTES: u64 = 4 * 1024;

/// Start of the text frame's payload.
const PREFIX: &[u8] = MediaPacket::PREFIX.as_bytes();

/// Classification of the next frames of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Upcoming {
    /// A media event.
    Media(MediaFrames),
    /// The first bytes of a media event, as far as can be said. The answer stays the same for fewer
    /// bytes than this.
    Partial(usize),
    /// Something else.
    Other,
}

/// The two frames of a media event, by their position in the stream's bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MediaFrames {
    text: Range<usize>,
    text_key: [u8; 4],
    payload: Range<usize>,
    payload_key: [u8; 4],
}

impl Upcoming {
    /// Recognizes what `bytes` start with. They start at a frame's first byte.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let (text, text_key) = match payload(bytes, 0, TEXT, TEXT_BYTES) {
            Ok(frame) => frame,
            Err(upcoming) => return upcoming,
        };
        let start = &bytes[text.start.min(bytes.len())..text.end.min(bytes.len())];
        let mut masked = start.iter().zip(PREFIX).zip(text_key);
        if text.len() < PREFIX.len() || masked.any(|((byte, wanted), key)| byte ^ key != *wanted) {
            return Self::Other;
        }
        let (payload, payload_key) = match payload(bytes, text.end, BINARY, FREE_BYTES) {
            Ok(frame) => frame,
            Err(upcoming) => return upcoming,
        };
        if bytes.len() < payload.end {
            return Self::Partial(payload.end);
        }
        Self::Media(MediaFrames {
            text,
            text_key,
            payload,
            payload_key,
        })
    }
}

/// Returns the position and the key of the payload of the frame at `at`. The frame must have this
/// first byte, be masked, as RFC 6455, section 5.1 requires of clients, and be of at most `limit`
/// bytes.
fn payload(
    bytes: &[u8],
    at: usize,
    first: u8,
    limit: u64,
) -> Result<(Range<usize>, [u8; 4]), Upcoming> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(header) = WebSocketHeader::parse(rest) else {
        return Err(match rest.first() {
            Some(byte) if *byte != first => Upcoming::Other,
            _ => Upcoming::Partial(bytes.len().max(at) + 1),
        });
    };
    match header.key {
        Some(key) if header.first == first && header.payload <= limit => {
            let start = at + header.len;
            Ok((start..start + header.payload as usize, key))
        }
        _ => Err(Upcoming::Other),
    }
}

impl MediaFrames {
    /// Returns the number of the stream's bytes that the event takes.
    pub(crate) const fn len(&self) -> usize {
        self.payload.end
    }

    /// Unmasks the event in the bytes that it was found in, and returns its packet and its payload.
    /// Returns `None` if it is not a media event of the usual form; its text is then unmasked, and
    /// must be [masked](Self::mask_text) again.
    pub(crate) fn unmask<'a>(&self, bytes: &'a mut [u8]) -> Option<(MediaPacket<'a>, &'a [u8])> {
        let (head, tail) = bytes.split_at_mut(self.text.end);
        let text = &mut head[self.text.start..];
        mask(text, self.text_key);
        let packet = MediaPacket::parse(std::str::from_utf8(text).ok()?)?;
        let start = self.payload.start - self.text.end;
        let payload = &mut tail[start..start + self.payload.len()];
        mask(payload, self.payload_key);
        Some((packet, payload))
    }

    /// Masks the text again, as the client sent it.
    pub(crate) fn mask_text(&self, bytes: &mut [u8]) {
        mask(&mut bytes[self.text.clone()], self.text_key);
    }
}

#[cfg(test)]
mod tests {
    use weir_protocol::MAX_ACK_ID;

    use super::*;
    use crate::edge::websocket::frames::tests::frame;

    const HEADER: &str = r#"["media",{"track":1,"ts":5},{"_placeholder":true,"num":0}]"#;

    fn event(text: &[u8], payload: &[u8]) -> Vec<u8> {
        let text = frame(TEXT, text, Some([1, 2, 3, 250]));
        [text, frame(BINARY, payload, Some([9, 0, 77, 1]))].concat()
    }

    /// Reads an event's array, payload and acknowledgement id.
    fn read(bytes: &[u8]) -> Option<(String, Vec<u8>, Option<i64>)> {
        let Upcoming::Media(media) = Upcoming::of(bytes) else {
            return None;
        };
        assert!(media.len() <= bytes.len());
        let mut changed = bytes.to_vec();
        let event = media
            .unmask(&mut changed)
            .map(|(packet, payload)| (packet.array.to_owned(), payload.to_vec(), packet.ack));
        if event.is_none() {
            media.mask_text(&mut changed);
            assert_eq!(changed, bytes, "the bytes are unchanged");
        }
        event
    }

    #[test]
    fn event_is_read_whatever_its_length_and_acknowledgement_id() {
        for length in [0, 1, 3, 125, 126, 1_200, 65_535, 65_536, 200_000] {
            let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
            for (ack, number) in [
                ("", None),
                ("0", Some(0)),
                ("907", Some(907)),
                ("9007199254740991", Some(MAX_ACK_ID)),
            ] {
                let mut bytes = event(format!("451-{ack}{HEADER}").as_bytes(), &payload);
                let length = bytes.len();
                bytes.extend(b"more");
                let Upcoming::Media(media) = Upcoming::of(&bytes) else {
                    panic!("{:?}", Upcoming::of(&bytes));
                };
                assert_eq!(media.len(), length);
                let (array, read, ack) = read(&bytes).expect("it is an event");
                assert_eq!((array.as_str(), ack), (HEADER, number));
                assert_eq!(read, payload);
            }
        }
    }

    #[test]
    fn incomplete_event_states_how_many_bytes_decide_more() {
        let bytes = event(format!("451-{HEADER}").as_bytes(), &[7; 300]);
        let mut looks = 0;
        let mut needed = 0;
        for length in 0..bytes.len() {
            let Upcoming::Partial(next) = Upcoming::of(&bytes[..length]) else {
                panic!("{length} bytes: {:?}", Upcoming::of(&bytes[..length]));
            };
            assert!(next > length && next <= bytes.len(), "{next} of {length}");
            if length >= needed {
                looks += 1;
                needed = next;
            }
        }
        assert_eq!(needed, bytes.len());
        // One for each byte of the two headers, and one for each payload.
        assert!(looks <= 6 + 8 + 2, "{looks}");
    }

    #[test]
    fn other_forms_are_left_to_the_library() {
        let whole = event(format!("451-{HEADER}").as_bytes(), &[7; 300]);
        let text = whole.len() - 300 - 8;
        let mut unmasked = whole.clone();
        unmasked[1] &= 0x7f;
        let mut fragment = whole.clone();
        fragment[0] = 1;
        let mut text_again = whole.clone();
        text_again[text] = TEXT;
        let mut pong = frame(TEXT, b"3", Some([1, 2, 3, 4]));
        pong.extend(&whole);
        for bytes in [unmasked, fragment, text_again, pong] {
            assert_eq!(Upcoming::of(&bytes), Upcoming::Other);
        }
        let long = vec![0; FREE_BYTES as usize + 1];
        let long = event(format!("451-{HEADER}").as_bytes(), &long);
        assert_eq!(Upcoming::of(&long[..1_000]), Upcoming::Other);
        for text in [
            &br#"451-["message",{"data":{"_placeholder":true,"num":0}}]"#[..],
            br#"451-9007199254740992["media",{}]"#,
            br#"452-["media",{}]"#,
            b"451-[\"media\",\xff]",
            b"3",
        ] {
            assert_eq!(read(&event(text, b"payload")), None, "{text:?}");
        }
    }
}
