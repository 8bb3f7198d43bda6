//! Event names of the contract. No other place defines any.

/// Request: creates a room.
pub const ROOM_CREATE: &str = "room:create";
/// Request: joins a room.
pub const ROOM_JOIN: &str = "room:join";
/// Request: leaves the room.
pub const ROOM_LEAVE: &str = "room:leave";
/// Request: updates the member's own name or metadata.
pub const MEMBER_UPDATE: &str = "member:update";
/// Request: publishes a track, before its first chunk.
pub const TRACK_PUBLISH: &str = "track:publish";
/// Request: updates an own track.
pub const TRACK_UPDATE: &str = "track:update";
/// Request: unpublishes an own track.
pub const TRACK_UNPUBLISH: &str = "track:unpublish";
/// Request: subscribes to a track's chunks.
pub const TRACK_SUBSCRIBE: &str = "track:subscribe";
/// Request: unsubscribes from a track's chunks.
pub const TRACK_UNSUBSCRIBE: &str = "track:unsubscribe";
/// Request: asks a track's publisher for a key chunk.
pub const TRACK_REQUEST_KEYFRAME: &str = "track:request-keyframe";
/// Request and event: a message to members of the room.
pub const MESSAGE: &str = "message";
/// Request and event: a chunk of a track.
pub const MEDIA: &str = "media";

/// Event: a member joined.
pub const MEMBER_JOINED: &str = "member:joined";
/// Event: a member updated its name or metadata.
pub const MEMBER_UPDATED: &str = "member:updated";
/// Event: a member left.
pub const MEMBER_LEFT: &str = "member:left";
/// Event: a track was published.
pub const TRACK_PUBLISHED: &str = "track:published";
/// Event: a track was updated.
pub const TRACK_UPDATED: &str = "track:updated";
/// Event: a track was unpublished.
pub const TRACK_UNPUBLISHED: &str = "track:unpublished";
/// Event, to a publisher: a subscriber requests a key chunk.
pub const TRACK_KEYFRAME_REQUESTED: &str = "track:keyframe-requested";
/// Event: the room's record changed.
pub const ROOM_UPDATED: &str = "room:updated";
/// Event: the room was closed.
pub const ROOM_CLOSED: &str = "room:closed";
/// Event: chunks of a track are missing for this client.
pub const MEDIA_GAP: &str = "media:gap";
/// Event: a request without acknowledgement failed.
pub const ERROR: &str = "error";
/// Event: the node drains; a reconnection reaches another.
pub const NODE_DRAINING: &str = "node:draining";

/// All events that nodes send.
pub const SENT: &[&str] = &[
    MEMBER_JOINED,
    MEMBER_UPDATED,
    MEMBER_LEFT,
    TRACK_PUBLISHED,
    TRACK_UPDATED,
    TRACK_UNPUBLISHED,
    TRACK_KEYFRAME_REQUESTED,
    ROOM_UPDATED,
    ROOM_CLOSED,
    MESSAGE,
    MEDIA,
    MEDIA_GAP,
    NODE_DRAINING,
    ERROR,
];

/// Truncates a client's name of an event for an error message.
pub(crate) fn shown(name: &str) -> &str {
    const LONGEST: usize = 64;
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => &name[..end],
        None => name,
    }
}
