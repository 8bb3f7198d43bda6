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

use super::frames::{FrameKind, WebSocketHeader};

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

/// Filter that marks the ids in the messages of one WebSocket.
#[derive(Debug, Default)]
pub(crate) struct AckIdFilter {
    scan: Scan,
    key: [u8; 4],
    /// Number of scanned bytes of the current frame's payload.
    at: usize,
    /// Whether the current frame is part of a message.
    data: bool,
}

impl AckIdFilter {
    /// Starts the next frame of the stream.
    pub(crate) fn frame(&mut self, header: &WebSocketHeader) {
        self.key = header.key.unwrap_or_default();
        self.at = 0;
        self.data = header.kind() != FrameKind::Control;
        if header.kind() == FrameKind::First {
            self.scan = if header.is_text() {
                Scan::Type
            } else {
                Scan::Done
            };
        }
    }

    /// Filters the next bytes of the frame's payload in place.
    pub(crate) fn filter(&mut self, payload: &mut [u8]) {
        if !self.data {
            return;
        }
        for byte in payload {
            if self.scan == Scan::Done {
                return;
            }
            let key = self.key[self.at % self.key.len()];
            self.at += 1;
            *byte ^= key;
            self.scan.step(byte);
            *byte ^= key;
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
    fn every_packet_of_a_body_is_filtered_however_it_is_split() {
        let body = format!("3\x1e{LONG}\x1ebAAAA\x1e{LONG}");
        let marked = format!("3\x1e{LONG_MARKED}\x1ebAAAA\x1e{LONG_MARKED}");
        for at in 0..=body.len() {
            let (left, right) = body.split_at(at);
            assert_eq!(polled(&[left, right]), marked, "cut at {at}");
        }
    }

    #[test]
    fn ids_that_every_client_can_represent_are_accepted() {
        assert_eq!(check(Some(MAX_ACK_ID), "[\"a\"]"), Ok(Some(MAX_ACK_ID)));
        assert_eq!(check(None, " [\"a\"]"), Ok(None));
        for (ack, text) in [(Some(MAX_ACK_ID + 1), "[\"a\"]"), (None, "\r[\"a\"]")] {
            let fault = check(ack, text).expect_err("it is too large");
            let message = "bad_request: packet: its acknowledgement id is over 9007199254740991";
            assert_eq!(fault.to_string(), message);
        }
    }
}
