//! Decodes messages into packets.

use bytes::Bytes;
use serde_json::Value;

use super::packet::{Acknowledgement, Arrival, Incoming, PacketError, ServerPacket};

/// Decodes text and binary messages into packets.
#[derive(Debug, Default)]
pub(crate) struct PacketDecoder {
    /// Packet that waits for attachments, and their number.
    waiting: Option<(Arrival, usize)>,
}

impl PacketDecoder {
    /// Decodes a text message; returns `None` if attachments are due.
    pub(crate) fn text(&mut self, bytes: &Bytes) -> Result<Option<ServerPacket>, PacketError> {
        let malformed = || PacketError::Malformed(String::from_utf8_lossy(bytes).into_owned());
        let text = str::from_utf8(bytes).map_err(|_| malformed())?;
        let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|_| malformed());
        let packet = match text.as_bytes() {
            [b'0', ..] => ServerPacket::Open(json(&text[1..])?),
            b"1" => ServerPacket::EngineClose,
            [b'2', ..] => ServerPacket::Ping,
            [b'4', b'0', ..] => ServerPacket::Connected(json(&text[2..])?),
            [b'4', b'1', ..] => ServerPacket::Disconnected,
            [b'4', b'4', ..] => ServerPacket::Refused(json(&text[2..])?),
            [b'4', kind @ (b'2' | b'3' | b'5' | b'6'), ..] => {
                if self.waiting.is_some() {
                    return Err(PacketError::Attachment);
                }
                let (arrival, attachments) = arrival(*kind, &text[2..]).ok_or_else(malformed)?;
                if attachments > 0 {
                    self.waiting = Some((arrival, attachments));
                    return Ok(None);
                }
                ServerPacket::Arrival(arrival)
            }
            _ => return Err(malformed()),
        };
        Ok(Some(packet))
    }

    /// Adds an attachment; returns `None` if more are due.
    pub(crate) fn binary(&mut self, bytes: Bytes) -> Result<Option<ServerPacket>, PacketError> {
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
        Ok(Some(ServerPacket::Arrival(arrival)))
    }
}

/// Parses `[<attachments>-][<id>]<array>` of an event or acknowledgement.
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
        Arrival::Ack(Acknowledgement {
            id: id?,
            args: Value::Array(args),
            attachments: none,
        })
    };
    Some((arrival, attachments))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::packet::MediaHeader;
    use super::*;

    fn text(
        decoder: &mut PacketDecoder,
        text: &'static str,
    ) -> Result<Option<ServerPacket>, PacketError> {
        decoder.text(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn events_and_acknowledgements_are_decoded() {
        let mut decoder = PacketDecoder::default();
        let Some(ServerPacket::Arrival(Arrival::Event(event))) =
            text(&mut decoder, r#"42["a",1,{"b":[]}]"#).unwrap()
        else {
            panic!("no event");
        };
        assert_eq!(
            (event.event.as_str(), event.args),
            ("a", json!([1, {"b": []}]))
        );

        let Some(ServerPacket::Arrival(Arrival::Ack(ack))) =
            text(&mut decoder, r#"4317[{"ok":true}]"#).unwrap()
        else {
            panic!("no acknowledgement");
        };
        assert_eq!((ack.id, ack.into_result()), (17, json!({"ok": true})));
    }

    #[test]
    fn chunk_is_complete_with_its_payload() {
        let mut decoder = PacketDecoder::default();
        let header =
            r#"451-["media",{"track":3,"seq":9,"ts":-4,"key":true},{"_placeholder":true,"num":0}]"#;
        assert!(text(&mut decoder, header).unwrap().is_none());
        let packet = decoder.binary(Bytes::from_static(b"payload")).unwrap();
        let Some(ServerPacket::Arrival(Arrival::Event(event))) = packet else {
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
    fn malformed_packets_are_errors() {
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
            assert!(
                text(&mut PacketDecoder::default(), case).is_err(),
                "{case:?}"
            );
        }
    }
}
