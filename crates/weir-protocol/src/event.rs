//! The names of the contract's events, each written once.

/// Request: make a room.
pub const ROOM_CREATE: &str = "room:create";
/// Request: become a member of a room.
pub const ROOM_JOIN: &str = "room:join";
/// Request: stop being a member.
pub const ROOM_LEAVE: &str = "room:leave";
/// Request: change one's own name or metadata.
pub const MEMBER_UPDATE: &str = "member:update";
/// Request: announce a track that chunks will follow for.
pub const TRACK_PUBLISH: &str = "track:publish";
/// Request: change an own track.
pub const TRACK_UPDATE: &str = "track:update";
/// Request: take an own track back.
pub const TRACK_UNPUBLISH: &str = "track:unpublish";
/// Request: receive a track's chunks.
pub const TRACK_SUBSCRIBE: &str = "track:subscribe";
/// Request: receive a track's chunks no longer.
pub const TRACK_UNSUBSCRIBE: &str = "track:unsubscribe";
/// Request: ask a track's publisher for a key chunk.
pub const TRACK_REQUEST_KEYFRAME: &str = "track:request-keyframe";
/// Request and event: a message to members of the room.
pub const MESSAGE: &str = "message";
/// Request and event: a chunk of a track.
pub const MEDIA: &str = "media";

/// Event: somebody became a member.
pub const MEMBER_JOINED: &str = "member:joined";
/// Event: a member changed its name or metadata.
pub const MEMBER_UPDATED: &str = "member:updated";
/// Event: a member is gone.
pub const MEMBER_LEFT: &str = "member:left";
/// Event: a track is there.
pub const TRACK_PUBLISHED: &str = "track:published";
/// Event: a track changed.
pub const TRACK_UPDATED: &str = "track:updated";
/// Event: a track is gone.
pub const TRACK_UNPUBLISHED: &str = "track:unpublished";
/// Event, to a publisher: somebody asks for a key chunk.
pub const TRACK_KEYFRAME_REQUESTED: &str = "track:keyframe-requested";
/// Event: the room's record changed.
pub const ROOM_UPDATED: &str = "room:updated";
/// Event: the room is closed.
pub const ROOM_CLOSED: &str = "room:closed";
/// Event: chunks of a track that this client does not get.
pub const MEDIA_GAP: &str = "media:gap";
/// Event: a request without acknowledgement failed.
pub const ERROR: &str = "error";
/// Event: this node is about to go; connect again to reach another.
pub const NODE_DRAINING: &str = "node:draining";

/// Every event that a node sends.
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

/// A client's name of an event, cut to a length that is fit for an answer.
pub(crate) fn shown(name: &str) -> &str {
    const LONGEST: usize = 64;
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => &name[..end],
        None => name,
    }
}
