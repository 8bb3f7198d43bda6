//! What a node says to a client, as frames.

use serde::{Serialize, Serializer};

use crate::{
    Change, Chunk, Fault, Frame, GapReason, Json, Member, MemberId, Room, RoomEvent, Snapshot,
    Track, TrackId, TrackSpec,
    binary::{Attachments, Placeholder},
    event,
};
use bytes::Bytes;

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

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("the contract's types have string keys and finite numbers")
}

fn event(name: &str, argument: &impl Serialize, attachments: &[Bytes]) -> Frame {
    Frame::new(None, &json(&(name, argument)), attachments)
}

/// An event other than media.
#[derive(Debug, Clone, Copy)]
pub enum Notice<'a> {
    /// The room's state changed.
    Room(&'a RoomEvent),
    /// A member's message.
    Message {
        /// Who sent it.
        from: &'a MemberId,
        /// What it is about.
        topic: Option<&'a str>,
        /// What it says, with places for the attachments.
        data: &'a Json,
        /// The binary values in `data`.
        attachments: &'a [Bytes],
    },
    /// Chunks `from` to `to` of a track do not come.
    Gap {
        /// Which track.
        track: TrackId,
        /// The first missing `seq`.
        from: u64,
        /// The last missing `seq`.
        to: u64,
        /// Why.
        reason: GapReason,
    },
    /// Somebody asks this track's publisher for a key chunk.
    KeyframeRequested(TrackId),
    /// A request without acknowledgement failed.
    Error {
        /// The request's name, if it had one.
        event: Option<&'a str>,
        /// Why.
        error: &'a Fault,
    },
}

impl Notice<'_> {
    /// Encodes it.
    #[must_use]
    pub fn frame(&self) -> Frame {
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
        struct Failure<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            event: Option<&'a str>,
            error: &'a Fault,
        }
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
            Self::Error { event: name, error } => {
                event(event::ERROR, &Failure { event: name, error }, &[])
            }
        }
    }
}

fn room_event(RoomEvent { version, change }: &RoomEvent) -> Frame {
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
        track: WireTrack<'a>,
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
        reason: crate::CloseReason,
    }
    fn versioned(name: &str, version: u64, what: impl Serialize) -> Frame {
        event(name, &Versioned { what, version }, &[])
    }
    let track_event = |name: &str, track: &Track| {
        let attachments = Attachments::default();
        let what = OfTrack {
            track: WireTrack::new(track, &attachments),
        };
        let attachments = attachments.into_vec();
        event(
            name,
            &Versioned {
                what,
                version: *version,
            },
            &attachments,
        )
    };
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
        Change::TrackPublished(track) => track_event(event::TRACK_PUBLISHED, track),
        Change::TrackUpdated(track) => track_event(event::TRACK_UPDATED, track),
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

/// The answer to a request.
#[derive(Debug, Clone, Copy)]
pub enum Ack<'a> {
    /// `{ ok: true }`
    Done,
    /// `{ ok: true, room }`
    Room(&'a Room),
    /// `{ ok: true, room, self, members, tracks, version }`
    Joined {
        /// The joiner.
        member: &'a Member,
        /// The room's state, the joiner included.
        snapshot: &'a Snapshot,
    },
    /// `{ ok: true, member }`
    Member(&'a Member),
    /// `{ ok: true, track }`
    Track(&'a Track),
    /// `{ ok: true, seq }`
    Seq(u64),
    /// `{ ok: false, error }`
    Failed(&'a Fault),
}

impl Ack<'_> {
    /// Encodes it as the acknowledgement of number `id`.
    #[must_use]
    pub fn frame(&self, id: i64) -> Frame {
        let attachments = Attachments::default();
        let body = json(&[WireAck {
            ack: *self,
            attachments: &attachments,
        }]);
        Frame::new(Some(id), &body, &attachments.into_vec())
    }
}

struct WireAck<'a> {
    ack: Ack<'a>,
    attachments: &'a Attachments,
}

impl Serialize for WireAck<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("ok", &!matches!(self.ack, Ack::Failed(_)))?;
        match self.ack {
            Ack::Done => {}
            Ack::Room(room) => map.serialize_entry("room", room)?,
            Ack::Joined { member, snapshot } => {
                let tracks: Vec<_> = snapshot
                    .tracks
                    .iter()
                    .map(|track| WireTrack::new(track, self.attachments))
                    .collect();
                map.serialize_entry("room", &snapshot.room)?;
                map.serialize_entry("self", member)?;
                map.serialize_entry("members", &snapshot.members)?;
                map.serialize_entry("tracks", &tracks)?;
                map.serialize_entry("version", &snapshot.version)?;
            }
            Ack::Member(member) => map.serialize_entry("member", member)?,
            Ack::Track(track) => {
                map.serialize_entry("track", &WireTrack::new(track, self.attachments))?;
            }
            Ack::Seq(seq) => map.serialize_entry("seq", &seq)?,
            Ack::Failed(fault) => map.serialize_entry("error", fault)?,
        }
        map.end()
    }
}

impl Chunk {
    /// Encodes it.
    #[must_use]
    pub fn frame(&self) -> Frame {
        #[derive(Serialize)]
        struct Header {
            track: TrackId,
            seq: u64,
            ts: i64,
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            key: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            dur: Option<u64>,
        }
        let Self {
            track,
            seq,
            ts,
            key,
            dur,
            payload,
        } = self;
        let header = Header {
            track: *track,
            seq: *seq,
            ts: *ts,
            key: *key,
            dur: *dur,
        };
        let attachments = Attachments::default();
        let body = json(&(event::MEDIA, header, attachments.add(payload)));
        Frame::new(None, &body, std::slice::from_ref(payload))
    }
}
