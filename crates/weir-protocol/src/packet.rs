//! Packets of media events, as clients send them.

use crate::{MAX_ACK_ID, event};

/// Maximum digits of an acknowledgement id up to [`MAX_ACK_ID`].
const ACK_DIGITS: usize = 16;

/// A `media` event's packet in the usual form: one attachment, the namespace `/`, and no space
/// before the event's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaPacket<'a> {
    /// Id of the requested acknowledgement.
    pub ack: Option<i64>,
    /// JSON array, including the event's name.
    pub array: &'a str,
}

impl<'a> MediaPacket<'a> {
    /// Start of the packet: Engine.IO's type "message", Socket.IO's "binary event", one attachment.
    /// Source: Socket.IO protocol, revision 5, "Packet encoding".
    pub const PREFIX: &'static str = "451-";

    /// Recognizes a packet by its start. Returns `None` for any other packet, and for an
    /// acknowledgement id over [`MAX_ACK_ID`].
    #[must_use]
    pub fn parse(packet: &'a str) -> Option<Self> {
        let rest = packet.strip_prefix(Self::PREFIX)?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (id, array) = rest.split_at(digits);
        let name = array.strip_prefix("[\"")?.strip_prefix(event::MEDIA)?;
        if digits > ACK_DIGITS || !name.starts_with("\",") {
            return None;
        }
        let id = id.bytes().map(|digit| i64::from(digit - b'0'));
        let ack = id.reduce(|id, digit| id * 10 + digit);
        let usual = ack.is_none_or(|id| id <= MAX_ACK_ID);
        usual.then_some(Self { ack, array })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_packet_yields_its_array_and_acknowledgement_id() {
        let array = r#"["media",{"track":1,"ts":5},{"_placeholder":true,"num":0}]"#;
        for (id, ack) in [
            ("", None),
            ("0", Some(0)),
            ("907", Some(907)),
            ("9007199254740991", Some(MAX_ACK_ID)),
        ] {
            let packet = format!("451-{id}{array}");
            assert_eq!(
                MediaPacket::parse(&packet),
                Some(MediaPacket { ack, array })
            );
        }
    }

    #[test]
    fn any_other_packet_is_not_recognized() {
        for packet in [
            "",
            "3",
            "451-",
            r#"452-["media",{}]"#,
            r#"42["media",{}]"#,
            r#"451-["message",{"data":{"_placeholder":true,"num":0}}]"#,
            r#"451-["media"]"#,
            r#"451-["media:gap",{}]"#,
            r#"451- ["media",{}]"#,
            r#"451-9007199254740992["media",{}]"#,
            r#"451-12345678901234567["media",{}]"#,
            r#"451-/other,["media",{}]"#,
        ] {
            assert_eq!(MediaPacket::parse(packet), None, "{packet}");
        }
    }
}
