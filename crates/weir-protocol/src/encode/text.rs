//! JSON of packets.

use bytes::Bytes;
use serde::Serialize;

use super::frame::Frame;

/// Serializes a value of the contract.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("the contract's types have string keys and finite numbers")
}

/// Encodes an event with one argument.
pub(super) fn event(name: &str, argument: &impl Serialize, attachments: &[Bytes]) -> Frame {
    Frame::new(None, &json(&(name, argument)), attachments)
}
