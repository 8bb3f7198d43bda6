//! What a node says to a client, as frames.

mod ack;
mod notice;

pub use ack::Ack;
pub use notice::Notice;

use bytes::Bytes;
use serde::Serialize;

use crate::{
    Frame, MemberId, Track, TrackId, TrackSpec,
    binary::{Attachments, Placeholder},
};

/// A track as clients see it: its `init` is a placeholder for an attachment.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireTrack<'a> {
    id: TrackId,
    member: &'a MemberId,
    #[serde(flatten)]
    spec: &'a TrackSpec,
    muted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    init: Option<Placeholder>,
}

impl<'a> WireTrack<'a> {
    fn new(track: &'a Track, attachments: &Attachments) -> Self {
        Self {
            id: track.id,
            member: &track.member,
            spec: &track.spec,
            muted: track.muted,
            init: track.spec.init.as_ref().map(|init| attachments.add(init)),
        }
    }
}

/// A value's JSON.
pub(crate) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("the contract's types have string keys and finite numbers")
}

/// An event with one argument.
fn event(name: &str, argument: &impl Serialize, attachments: &[Bytes]) -> Frame {
    Frame::new(None, &json(&(name, argument)), attachments)
}
