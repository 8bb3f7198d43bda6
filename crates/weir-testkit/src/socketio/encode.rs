//! Encodes packets as a client sends them.

use bytes::BytesMut;
use serde_json::Value;

use crate::websocket::{Opcode, put_frame};

/// Returns the text of an event.
///
/// `args` is the array of its arguments, one argument that is not an array, or null for none.
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

/// Appends the frames of a packet: its text and its attachments.
pub(crate) fn put_packet<A: AsRef<[u8]>>(out: &mut BytesMut, text: &str, attachments: &[A]) {
    put_frame(out, Opcode::Text, text.as_bytes());
    for attachment in attachments {
        put_frame(out, Opcode::Binary, attachment.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_encoded_as_the_protocol_says() {
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
