//! Acknowledgement ids that are too long.
//!
//! The gateway refuses an id that some client languages cannot represent exactly. The library
//! parses an id over 64 bits as no id, and its client would wait forever. So the excess digits are
//! replaced, before the library reads them, by a mark that it forwards.

use std::fmt::Debug;

use http::Request;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use weir_protocol::{Fault, MAX_ACK_ID};

use super::frames::{Follower, Kind};

/// Ids up to this length fit into 64 bits.
const DIGITS: u8 = 18;

/// Replacement for each excess digit. A JSON parser treats it as white space, and no encoder starts
/// with it.
const MARK: u8 = b'\r';

/// Separates the packets of a polling request (Engine.IO protocol, revision 4, "Packet encoding").
const SEPARATOR: u8 = 0x1e;

/// Checks an event's id as the library parsed it, and the rest of the packet for a mark.
///
/// # Errors
/// `bad_request` if the id is too large.
pub(crate) fn check(ack: Option<i64>, text: &str) -> Result<Option<i64>, Fault> {
    if ack.is_some_and(|id| id > MAX_ACK_ID) || text.starts_with(char::from(MARK)) {
        let problem = format!("its acknowledgement id is over {MAX_ACK_ID}");
        return Err(Fault::field("packet", problem));
    }
    Ok(ack)
}

/// Position in a packet's header, up to the end of its id (Socket.IO protocol, revision 5, "Packet
/// encoding").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Scan {
    /// Before the Engine.IO type.
    #[default]
    Type,
    /// Before the Socket.IO type.
    Kind,
    /// In the number of attachments.
    Attachments,
    /// Before the namespace or the id.
    Head,
    Namespace,
    /// After this many digits of the id.
    Id(u8),
    Done,
}

impl Scan {
    /// Advances by one byte, and replaces it if it is an excess digit.
    fn step(&mut self, byte: &mut u8) {
        *self = match (*self, *byte) {
            (Self::Type, b'4') => Self::Kind,
            (Self::Kind, b'2') | (Self::Attachments, b'-') => Self::Head,
            (Self::Kind, b'5') | (Self::Attachments, b'0'..=b'9') => Self::Attachments,
            (Self::Namespace, b',') => Self::Id(0),
            (Self::Head, b'/') | (Self::Namespace, _) => Self::Namespace,
            (Self::Head, b'0'..=b'9') => Self::Id(1),
            (Self::Id(digits), b'0'..=b'9') if digits < DIGITS => Self::Id(digits + 1),
            (Self::Id(digits), b'0'..=b'9') => {
                *byte = MARK;
                Self::Id(digits)
            }
            _ => Self::Done,
        };
    }
}

/// Filter that marks the ids in a client's WebSocket frames.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    frames: Follower,
    scan: Scan,
    mask: [u8; 4],
    /// Number of scanned bytes of the frame's payload.
    at: usize,
    /// Whether the frame is part of a message.
    data: bool,
}

impl Frames {
    /// Filters the next bytes of the stream in place.
    pub(crate) fn pass(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let payload = self.frames.in_payload();
            let (followed, header) = self.frames.step(bytes);
            let (next, rest) = bytes.split_at_mut(followed);
            bytes = rest;
            if let Some(header) = header {
                self.mask = header.mask;
                self.at = 0;
                self.data = header.kind != Kind::Control;
                if header.kind == Kind::First {
                    self.scan = if header.text { Scan::Type } else { Scan::Done };
                }
            } else if payload && self.data {
                self.scan(next);
            }
        }
    }

    fn scan(&mut self, payload: &mut [u8]) {
        for byte in payload {
            if self.scan == Scan::Done {
                return;
            }
            let mask = self.mask[self.at % self.mask.len()];
            self.at += 1;
            *byte ^= mask;
            self.scan.step(byte);
            *byte ^= mask;
        }
    }
}

/// Returns a polling request whose body is filtered as it is read: ids in it are marked.
pub(crate) fn marked<B: Body<Data = Bytes> + Debug>(
    request: Request<B>,
) -> Request<impl Body<Data = Bytes, Error = B::Error> + Debug> {
    let mut scan = Scan::default();
    request.map(|body| body.map_frame(move |frame| frame.map_data(|bytes| mark(&mut scan, bytes))))
}

/// Marks the ids of the packets in one piece of a body.
fn mark(scan: &mut Scan, bytes: Bytes) -> Bytes {
    let mut marked = None;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == SEPARATOR {
            *scan = Scan::default();
        } else if *scan != Scan::Done {
            let mut checked = *byte;
            scan.step(&mut checked);
            if checked != *byte {
                marked.get_or_insert_with(|| bytes.to_vec())[at] = checked;
            }
        }
    }
    marked.map_or(bytes, Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "4212345678901234567890[\"room:leave\"]";
    const LONG_MARKED: &str = "42123456789012345678\r\r[\"room:leave\"]";

    fn polled(pieces: &[&str]) -> String {
        let mut scan = Scan::default();
        let marked = pieces
            .iter()
            .map(|piece| mark(&mut scan, Bytes::copy_from_slice(piece.as_bytes())));
        let bytes: Vec<u8> = marked.flatten().collect();
        String::from_utf8(bytes).expect("only ASCII is replaced, by ASCII")
    }

    #[test]
    fn only_digits_over_eighteen_of_an_id_are_marked() {
        for text in [
            "42[\"room:leave\",12345678901234567890]",
            "42123456789012345678[\"a\"]",
            "451-123456789012345678[\"media\",{},{\"_placeholder\":true,\"num\":0}]",
            "40{\"token\":\"12345678901234567890\"}",
            "bMTIzNDU2Nzg5MDEyMzQ1Njc4OTA=",
            "2",
            "",
        ] {
            assert_eq!(polled(&[text]), text);
        }
        for (text, marked) in [
            (LONG, LONG_MARKED),
            (
                "452-1234567890123456789[\"a\"]",
                "452-123456789012345678\r[\"a\"]",
            ),
            (
                "42/a,1234567890123456789[\"a\"]",
                "42/a,123456789012345678\r[\"a\"]",
            ),
        ] {
            assert_eq!(polled(&[text]), marked);
        }
    }

    #[test]
    fn every_packet_of_a_body_is_looked_at_however_it_is_cut() {
        let body = format!("3\x1e{LONG}\x1ebAAAA\x1e{LONG}");
        let marked = format!("3\x1e{LONG_MARKED}\x1ebAAAA\x1e{LONG_MARKED}");
        for at in 0..=body.len() {
            let (left, right) = body.split_at(at);
            assert_eq!(polled(&[left, right]), marked, "cut at {at}");
        }
    }

    /// Returns masked frames of one message with pings between them.
    fn frames(pieces: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            let last = u8::from(at + 1 == pieces.len()) << 7;
            let mask = [1, 2, at as u8, 250];
            let opcode = u8::from(at == 0);
            bytes.extend([last | opcode, 0x80 | piece.len() as u8]);
            bytes.extend(mask);
            let masked = piece.bytes().zip(mask.iter().cycle());
            bytes.extend(masked.map(|(byte, mask)| byte ^ mask));
            bytes.extend([0x89, 0x81, 9, 9, 9, 9, b'4']);
        }
        bytes
    }

    #[test]
    fn frames_are_followed_however_they_are_cut() {
        let wanted = |cut: usize| [&LONG_MARKED[..cut], &LONG_MARKED[cut..]].map(str::to_owned);
        for cut in 0..=LONG.len() {
            let sent = frames(&[&LONG[..cut], &LONG[cut..]]);
            let [left, right] = wanted(cut);
            let marked = [frames(&[&left, &right]), frames(&[LONG_MARKED])].concat();
            let sent = [sent, frames(&[LONG])].concat();
            for at in 0..=sent.len() {
                let mut passed = sent.clone();
                let mut ids = Frames::default();
                ids.pass(&mut passed[..at]);
                ids.pass(&mut passed[at..]);
                assert_eq!(passed, marked, "cut at {cut} and {at}");
            }
        }
    }

    #[test]
    fn ids_that_every_client_can_hold_are_taken() {
        assert_eq!(check(Some(MAX_ACK_ID), "[\"a\"]"), Ok(Some(MAX_ACK_ID)));
        assert_eq!(check(None, " [\"a\"]"), Ok(None));
        for (ack, text) in [(Some(MAX_ACK_ID + 1), "[\"a\"]"), (None, "\r[\"a\"]")] {
            let fault = check(ack, text).expect_err("it is too large");
            let message = "bad_request: packet: its acknowledgement id is over 9007199254740991";
            assert_eq!(fault.to_string(), message);
        }
    }
}
