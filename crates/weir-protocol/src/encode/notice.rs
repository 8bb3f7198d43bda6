//! Events other than media.

use bytes::Bytes;
use serde::Serialize;

use super::{frame::Frame, text::event};
use crate::{
    Change, CloseReason, Fault, GapReason, Json, Member, MemberId, Room, RoomEvent, Track, TrackId,
    event,
};

/// Event other than media.
#[derive(Debug, Clone, Copy)]
pub enum Notice<'a> {
    /// The room's state changed.
    Room(&'a RoomEvent),
    /// A member's message.
    Message {
        /// Sender.
        from: &'a MemberId,
        /// Topic.
        topic: Option<&'a str>,
        /// Content, with placeholders for the attachments.
        data: &'a Json,
        /// Binary values in `data`.
        attachments: &'a [Bytes],
    },
    /// Chunks `from` to `to` of a track are missing.
    Gap {
        /// Track.
        track: TrackId,
        /// First missing `seq`.
        from: u64,
        /// Last missing `seq`.
        to: u64,
        /// Reason.
        reason: GapReason,
    },
    /// A subscriber requests a key chunk from this track's publisher.
    KeyframeRequested(TrackId),
    /// The node drains; the client is to reconnect within this time.
    Draining {
        /// Time limit in milliseconds.
        reconnect_in_ms: u64,
    },
    /// A request without acknowledgement failed.
    Error {
        /// Name of the request, if it had one, cut to 64 characters.
        event: Option<&'a str>,
        /// Reason.
        error: &'a Fault,
    },
}

#[derive(Serialize)]
struct Message<'a> {
    from: &'a MemberId,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    data: &'a Json,
}

#[derive(Serialize)]
struct Gap {
    track: TrackId,
    from: u64,
    to: u64,
    reason: GapReason,
}

#[derive(Serialize)]
struct Keyframe {
    track: TrackId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Draining {
    reconnect_in_ms: u64,
}

#[derive(Serialize)]
struct Failure<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    error: &'a Fault,
}

impl Notice<'_> {
    /// Encodes the event.
    #[must_use]
    pub fn frame(&self) -> Frame {
        match *self {
            Self::Room(change) => room_event(change),
            Self::Message {
                from,
                topic,
                data,
                attachments,
            } => event(event::MESSAGE, &Message { from, topic, data }, attachments),
            Self::Gap {
                track,
                from,
                to,
                reason,
            } => event(
                event::MEDIA_GAP,
                &Gap {
                    track,
                    from,
                    to,
                    reason,
                },
                &[],
            ),
            Self::KeyframeRequested(track) => {
                event(event::TRACK_KEYFRAME_REQUESTED, &Keyframe { track }, &[])
            }
            Self::Draining { reconnect_in_ms } => {
                event(event::NODE_DRAINING, &Draining { reconnect_in_ms }, &[])
            }
            Self::Error { event: name, error } => {
                let name = name.map(event::shown);
                event(event::ERROR, &Failure { event: name, error }, &[])
            }
        }
    }
}

fn room_event(RoomEvent { version, change }: &RoomEvent) -> Frame {
    match change {
        Change::MemberJoined(member) => {
            versioned(event::MEMBER_JOINED, *version, OfMember { member })
        }
        Change::MemberUpdated(member) => {
            versioned(event::MEMBER_UPDATED, *version, OfMember { member })
        }
        Change::MemberLeft { id, reason } => versioned(
            event::MEMBER_LEFT,
            *version,
            Left {
                id,
                reason: reason.as_str(),
            },
        ),
        Change::TrackPublished(track) => {
            versioned(event::TRACK_PUBLISHED, *version, OfTrack { track })
        }
        Change::TrackUpdated(track) => versioned(event::TRACK_UPDATED, *version, OfTrack { track }),
        Change::TrackUnpublished { id, member } => versioned(
            event::TRACK_UNPUBLISHED,
            *version,
            Unpublished { id: *id, member },
        ),
        Change::RoomUpdated(room) => versioned(event::ROOM_UPDATED, *version, OfRoom { room }),
        Change::RoomClosed { reason } => {
            event(event::ROOM_CLOSED, &Closed { reason: *reason }, &[])
        }
    }
}

fn versioned(name: &str, version: u64, what: impl Serialize) -> Frame {
    event(name, &Versioned { what, version }, &[])
}

#[derive(Serialize)]
struct Versioned<T> {
    #[serde(flatten)]
    what: T,
    version: u64,
}

#[derive(Serialize)]
struct OfMember<'a> {
    member: &'a Member,
}

#[derive(Serialize)]
struct Left<'a> {
    id: &'a MemberId,
    reason: &'static str,
}

#[derive(Serialize)]
struct OfTrack<'a> {
    track: &'a Track,
}

#[derive(Serialize)]
struct Unpublished<'a> {
    id: TrackId,
    member: &'a MemberId,
}

#[derive(Serialize)]
struct OfRoom<'a> {
    room: &'a Room,
}

#[derive(Serialize)]
struct Closed {
    reason: CloseReason,
}
