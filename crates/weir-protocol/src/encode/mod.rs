//! What a node says to a client, as frames.

mod ack;
mod notice;

pub use ack::Ack;
pub use notice::Notice;

use bytes::Bytes;
use serde::Serialize;

use crate::Frame;

/// A value's JSON.
pub(crate) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("the contract's types have string keys and finite numbers")
}

/// An event with one argument.
fn event(name: &str, argument: &impl Serialize, attachments: &[Bytes]) -> Frame {
    Frame::new(None, &json(&(name, argument)), attachments)
}
