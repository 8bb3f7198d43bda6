//! The requests' fields as a table, which documentation and tests are made from.

use crate::event;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// A room's id.
    RoomId,
    /// Text of limited length.
    Text,
    /// Text that no limit is held to, such as a token.
    Token,
    /// Text that may not be empty.
    Word,
    /// `true` or `false`.
    Boolean,
    /// A track's id.
    TrackId,
    /// An integer from 1 on.
    Positive,
    /// A room's number of members: an integer from 1 to a limit.
    Members,
    /// A number over 0.
    Rate,
    /// `audio`, `video` or `data`.
    Kind,
    /// Any JSON without binary.
    Metadata,
    /// Any JSON, binary included.
    Data,
    /// Base64 text.
    Base64,
    /// A list of members' ids.
    MemberIds,
    /// An integer.
    Integer,
    /// An integer from 0 on.
    Natural,
}

/// One field of a request's argument.
#[derive(Debug, Clone, Copy)]
pub struct FieldShape {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub holds: FieldType,
    /// Whether a request without it is refused.
    pub required: bool,
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct RequestShape {
    /// The event's name.
    pub event: &'static str,
    /// The fields of its argument; of `media`, those of the header.
    pub fields: &'static [FieldShape],
    /// Whether it is answered with `not_joined` outside of a room.
    pub in_room: bool,
}

const fn required(name: &'static str, holds: FieldType) -> FieldShape {
    FieldShape {
        name,
        holds,
        required: true,
    }
}

const fn optional(name: &'static str, holds: FieldType) -> FieldShape {
    FieldShape {
        name,
        holds,
        required: false,
    }
}

const TRACK: FieldShape = required("track", FieldType::TrackId);

/// Every request of the contract.
pub const REQUESTS: &[RequestShape] = &[
    RequestShape {
        event: event::ROOM_CREATE,
        fields: &[
            optional("id", FieldType::RoomId),
            optional("metadata", FieldType::Metadata),
            optional("maxMembers", FieldType::Members),
        ],
        in_room: false,
    },
    RequestShape {
        event: event::ROOM_JOIN,
        fields: &[
            required("room", FieldType::RoomId),
            optional("name", FieldType::Text),
            optional("metadata", FieldType::Metadata),
            optional("autoSubscribe", FieldType::Boolean),
            optional("create", FieldType::Boolean),
            optional("resume", FieldType::Token),
        ],
        in_room: false,
    },
    RequestShape {
        event: event::ROOM_LEAVE,
        fields: &[],
        in_room: true,
    },
    RequestShape {
        event: event::MEMBER_UPDATE,
        fields: &[
            optional("name", FieldType::Text),
            optional("metadata", FieldType::Metadata),
        ],
        in_room: true,
    },
    RequestShape {
        event: event::TRACK_PUBLISH,
        fields: &[
            required("kind", FieldType::Kind),
            optional("source", FieldType::Text),
            optional("name", FieldType::Text),
            required("codec", FieldType::Word),
            optional("width", FieldType::Positive),
            optional("height", FieldType::Positive),
            optional("frameRate", FieldType::Rate),
            optional("sampleRate", FieldType::Positive),
            optional("channels", FieldType::Positive),
            optional("init", FieldType::Base64),
        ],
        in_room: true,
    },
    RequestShape {
        event: event::TRACK_UPDATE,
        fields: &[
            TRACK,
            optional("muted", FieldType::Boolean),
            optional("codec", FieldType::Word),
            optional("width", FieldType::Positive),
            optional("height", FieldType::Positive),
            optional("init", FieldType::Base64),
        ],
        in_room: true,
    },
    RequestShape {
        event: event::TRACK_UNPUBLISH,
        fields: &[TRACK],
        in_room: true,
    },
    RequestShape {
        event: event::TRACK_SUBSCRIBE,
        fields: &[TRACK],
        in_room: true,
    },
    RequestShape {
        event: event::TRACK_UNSUBSCRIBE,
        fields: &[TRACK],
        in_room: true,
    },
    RequestShape {
        event: event::TRACK_REQUEST_KEYFRAME,
        fields: &[TRACK],
        in_room: true,
    },
    RequestShape {
        event: event::MESSAGE,
        fields: &[
            optional("topic", FieldType::Text),
            optional("to", FieldType::MemberIds),
            required("data", FieldType::Data),
        ],
        in_room: true,
    },
    RequestShape {
        event: event::MEDIA,
        fields: &[
            TRACK,
            required("ts", FieldType::Integer),
            optional("key", FieldType::Boolean),
            optional("dur", FieldType::Natural),
        ],
        in_room: true,
    },
];
