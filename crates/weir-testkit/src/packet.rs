//! Engine.IO 4 and Socket.IO v4 packets (protocol revision 5), namespace `/`.

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

use crate::frame::{Opcode, put_frame};

/// Why a text message of the server is not a packet.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PacketError {
    /// Not UTF-8, an unknown type, or JSON of the wrong shape.
    #[error("not a Socket.IO packet: {0:?}")]
    Malformed(String),
    /// A binary message that no packet announced, or a packet before the announced ones came.
    #[error("attachments out of order")]
    Attachment,
}

/// One event from the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// The event's name.
    pub event: String,
    /// Its arguments: always an array. Binary ones are placeholders, see [`placeholder`].
    pub args: Value,
    /// The binary arguments, in the order of their placeholders' numbers.
    pub attachments: Vec<Bytes>,
    /// Set if the server asks for an acknowledgement.
    pub ack_id: Option<u64>,
}

impl Incoming {
    /// The argument at `index`; `Value::Null` if there are fewer.
    pub fn arg(&self, index: usize) -> &Value {
        self.args.get(index).unwrap_or(&Value::Null)
    }

    /// The header and payload of a `media` event; `None` if this is none in the contract's shape.
    pub fn media(&self) -> Option<(MediaHeader, &Bytes)> {
        let header = self.arg(0);
        let (true, [payload], Some(track), Some(seq), Some(ts)) = (
            self.event == "media" && self.arg(1) == &placeholder(0),
            &self.attachments[..],
            header["track"].as_u64(),
            header["seq"].as_u64(),
            header["ts"].as_i64(),
        ) else {
            return None;
        };
        let flag = |name: &str| header[name].as_bool() == Some(true);
        let (key, replay) = (flag("key"), flag("replay"));
        Some((
            MediaHeader {
                track,
                seq,
                ts,
                key,
                replay,
                dur: header["dur"].as_u64(),
            },
            payload,
        ))
    }
}

/// The header of a chunk as a subscriber sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaHeader {
    /// The track's id in its room.
    pub track: u64,
    /// The chunk's number on its track, from 1.
    pub seq: u64,
    /// Microseconds of the track's own clock.
    pub ts: i64,
    /// Whether decoding can start here.
    pub key: bool,
    /// Whether this is a cached chunk for a late joiner.
    pub replay: bool,
    /// Microseconds that the chunk lasts.
    pub dur: Option<u64>,
}

/// One acknowledgement from the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Ack {
    /// The id that the request carried.
    pub id: u64,
    /// Its arguments: always an array.
    pub args: Value,
    /// The binary arguments.
    pub attachments: Vec<Bytes>,
}

impl Ack {
    /// The first argument, which is all that Weir's acknowledgements have.
    pub fn into_result(mut self) -> Value {
        self.args.get_mut(0).map_or(Value::Null, Value::take)
    }
}

/// What arrives at a client, in the order of the wire.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrival {
    /// An event.
    Event(Incoming),
    /// An acknowledgement.
    Ack(Ack),
}

/// What stands in JSON for the attachment of that number.
pub fn placeholder(number: usize) -> Value {
    json!({ "_placeholder": true, "num": number })
}

/// One packet of the server.
#[derive(Debug)]
pub(crate) enum Packet {
    Open(Value),
    Ping,
    EngineClose,
    Connected(Value),
    Refused(Value),
    Disconnected,
    Arrival(Arrival),
}

/// Decodes text and binary messages into packets.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// A packet whose attachments have not all come, and how many it has in all.
    waiting: Option<(Arrival, usize)>,
}

impl Decoder {
    /// Takes a text message; `None` if its attachments have to come first.
    pub(crate) fn text(&mut self, bytes: &Bytes) -> Result<Option<Packet>, PacketError> {
        let malformed = || PacketError::Malformed(String::from_utf8_lossy(bytes).into_owned());
        let text = str::from_utf8(bytes).map_err(|_| malformed())?;
        let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|_| malformed());
        let packet = match text.as_bytes() {
            [b'0', ..] => Packet::Open(json(&text[1..])?),
            b"1" => Packet::EngineClose,
            [b'2', ..] => Packet::Ping,
            [b'4', b'0', ..] => Packet::Connected(json(&text[2..])?),
            [b'4', b'1', ..] => Packet::Disconnected,
            [b'4', b'4', ..] => Packet::Refused(json(&text[2..])?),
            [b'4', kind @ (b'2' | b'3' | b'5' | b'6'), ..] => {
                if self.waiting.is_some() {
                    return Err(PacketError::Attachment);
                }
                let (arrival, attachments) = arrival(*kind, &text[2..]).ok_or_else(malformed)?;
                if attachments > 0 {
                    self.waiting = Some((arrival, attachments));
                    return Ok(None);
                }
                Packet::Arrival(arrival)
            }
            _ => return Err(malformed()),
        };
        Ok(Some(packet))
    }

    /// Takes a binary message; `None` if more of the packet's attachments have to come.
    pub(crate) fn binary(&mut self, bytes: Bytes) -> Result<Option<Packet>, PacketError> {
        let (mut arrival, expected) = self.waiting.take().ok_or(PacketError::Attachment)?;
        let attachments = match &mut arrival {
            Arrival::Event(event) => &mut event.attachments,
            Arrival::Ack(ack) => &mut ack.attachments,
        };
        attachments.push(bytes);
        if attachments.len() < expected {
            self.waiting = Some((arrival, expected));
            return Ok(None);
        }
        Ok(Some(Packet::Arrival(arrival)))
    }
}

/// Decodes `[<attachments>-][<id>]<array>` of an event or acknowledgement.
fn arrival(kind: u8, text: &str) -> Option<(Arrival, usize)> {
    let (attachments, text) = match kind {
        b'5' | b'6' => {
            let (count, rest) = text.split_once('-')?;
            (count.parse().ok()?, rest)
        }
        _ => (0, text),
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (id, body) = text.split_at(digits);
    let id = if id.is_empty() {
        None
    } else {
        Some(id.parse().ok()?)
    };
    let Value::Array(mut args) = serde_json::from_str(body).ok()? else {
        return None;
    };
    let none = Vec::with_capacity(attachments);
    let arrival = if matches!(kind, b'2' | b'5') {
        let Value::String(event) = (!args.is_empty()).then(|| args.remove(0))? else {
            return None;
        };
        Arrival::Event(Incoming {
            event,
            args: Value::Array(args),
            attachments: none,
            ack_id: id,
        })
    } else {
        Arrival::Ack(Ack {
            id: id?,
            args: Value::Array(args),
            attachments: none,
        })
    };
    Some((arrival, attachments))
}

/// The text of an event: `args` is the array of its arguments, or one argument that is no array,
/// or null for none.
pub(crate) fn event_text(
    event: &str,
    args: &Value,
    attachments: usize,
    ack_id: Option<u64>,
) -> String {
    let mut body = vec![Value::from(event)];
    match args {
        Value::Null => {}
        Value::Array(args) => body.extend_from_slice(args),
        one => body.push(one.clone()),
    }
    let kind = if attachments == 0 {
        "42".into()
    } else {
        format!("45{attachments}-")
    };
    let id = ack_id.map(|id| id.to_string()).unwrap_or_default();
    format!("{kind}{id}{}", Value::Array(body))
}

/// Appends a packet's text and its attachments as frames.
pub(crate) fn put_packet<A: AsRef<[u8]>>(out: &mut BytesMut, text: &str, attachments: &[A]) {
    put_frame(out, Opcode::Text, text.as_bytes());
    for attachment in attachments {
        put_frame(out, Opcode::Binary, attachment.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(decoder: &mut Decoder, text: &'static str) -> Result<Option<Packet>, PacketError> {
        decoder.text(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn events_and_acks_are_told_apart() {
        let mut decoder = Decoder::default();
        let Some(Packet::Arrival(Arrival::Event(event))) =
            text(&mut decoder, r#"42["a",1,{"b":[]}]"#).unwrap()
        else {
            panic!("no event");
        };
        assert_eq!(
            (event.event.as_str(), event.args),
            ("a", json!([1, {"b": []}]))
        );

        let Some(Packet::Arrival(Arrival::Ack(ack))) =
            text(&mut decoder, r#"4317[{"ok":true}]"#).unwrap()
        else {
            panic!("no acknowledgement");
        };
        assert_eq!((ack.id, ack.into_result()), (17, json!({"ok": true})));
    }

    #[test]
    fn a_chunk_is_whole_when_its_payload_is_there() {
        let mut decoder = Decoder::default();
        let header =
            r#"451-["media",{"track":3,"seq":9,"ts":-4,"key":true},{"_placeholder":true,"num":0}]"#;
        assert!(text(&mut decoder, header).unwrap().is_none());
        let packet = decoder.binary(Bytes::from_static(b"payload")).unwrap();
        let Some(Packet::Arrival(Arrival::Event(event))) = packet else {
            panic!("no event");
        };
        let expected = MediaHeader {
            track: 3,
            seq: 9,
            ts: -4,
            key: true,
            replay: false,
            dur: None,
        };
        assert_eq!(
            event.media(),
            Some((expected, &Bytes::from_static(b"payload")))
        );
        assert!(
            decoder.binary(Bytes::new()).is_err(),
            "nothing announced it"
        );
    }

    #[test]
    fn malformed_packets_are_refused() {
        for case in [
            "",
            "9",
            "42",
            "42{}",
            "42[]",
            "42[1]",
            "43[]",
            "45[\"a\"]",
            "451[\"a\"]",
            "40x",
        ] {
            assert!(text(&mut Decoder::default(), case).is_err(), "{case:?}");
        }
    }

    #[test]
    fn an_event_is_written_as_the_protocol_says() {
        assert_eq!(event_text("a", &Value::Null, 0, None), r#"42["a"]"#);
        assert_eq!(
            event_text("a", &json!({"b": 1}), 0, Some(4)),
            r#"424["a",{"b":1}]"#
        );
        assert_eq!(
            event_text("a", &json!([[1], null]), 2, Some(0)),
            r#"452-0["a",[1],null]"#
        );
    }
}
