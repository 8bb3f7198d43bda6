//! Table of the requests' fields, which tests compare with the documentation.

use crate::event;

/// Type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// Id of a room.
    RoomId,
    /// Text of limited length.
    Text,
    /// Text without a length limit, such as a token.
    Token,
    /// Text that must not be empty.
    Word,
    /// `true` or `false`.
    Boolean,
    /// Id of a track.
    TrackId,
    /// Integer of at least 1.
    Positive,
    /// Maximum members of a room: an integer from 1 to a limit.
    Members,
    /// Number over 0.
    Rate,
    /// `audio`, `video` or `data`.
    Kind,
    /// JSON without binary.
    Metadata,
    /// JSON, including binary.
    Data,
    /// Base64 text.
    Base64,
    /// List of members' ids.
    MemberIds,
    /// Integer.
    Integer,
    /// Integer of at least 0.
    Natural,
}

/// Field of a request's argument.
#[derive(Debug, Clone, Copy)]
pub struct FieldShape {
    /// Name.
    pub name: &'static str,
    /// Type.
    pub holds: FieldType,
    /// Whether requests without it are refused.
    pub required: bool,
}

/// Request of the contract.
#[derive(Debug, Clone, Copy)]
pub struct RequestShape {
    /// Name of the event.
    pub event: &'static str,
    /// Fields of its argument, or of the header of `media`.
    pub fields: &'static [FieldShape],
    /// Whether it is refused with `not_joined` outside of a room.
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

/// All requests of the contract.
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
