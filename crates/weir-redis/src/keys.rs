//! The names of all keys and channels, which are built here and nowhere else.
//!
//! Whatever belongs to a room has the room's id as its hash tag, so that Redis Cluster keeps it on
//! one shard and a script may touch all of it (Redis Cluster specification, "Hash tags").

use weir_cluster::TrackKey;
use weir_protocol::RoomId;

/// What every name begins with, so that Redis may hold other things too.
const PREFIX: &str = "weir:";

/// Sorted set: the nodes that are alive, by when their leases run out.
pub(crate) const NODES: &str = "weir:{nodes}:alive";

/// Sorted set: the nodes that are being reaped, by when another node may go on with it.
pub(crate) const REAPING: &str = "weir:{nodes}:reaping";

/// Set: the members that a node holds, as `room/member`.
pub(crate) fn node_members(node: &str) -> String {
    format!("{PREFIX}{{nodes}}:members:{node}")
}

/// Hash: the room's record, version and counters.
pub(crate) fn room(room: &RoomId) -> String {
    format!("{PREFIX}{{{room}}}:room")
}

/// Hash: the members' records, by id.
pub(crate) fn members(room: &RoomId) -> String {
    format!("{PREFIX}{{{room}}}:members")
}

/// Hash: which node each member is on, by the member's id.
pub(crate) fn seats(room: &RoomId) -> String {
    format!("{PREFIX}{{{room}}}:seats")
}

/// Hash: the tracks' records, by id.
pub(crate) fn tracks(room: &RoomId) -> String {
    format!("{PREFIX}{{{room}}}:tracks")
}

/// Hash: who publishes each track, by the track's id.
pub(crate) fn owners(room: &RoomId) -> String {
    format!("{PREFIX}{{{room}}}:owners")
}

/// Channel: what changes in the room's state.
pub(crate) fn events(room: &RoomId) -> String {
    format!("{PREFIX}{{{room}}}:events")
}

/// Channel: what the room's nodes tell each other without it being state.
pub(crate) fn signals(room: &RoomId) -> String {
    format!("{PREFIX}{{{room}}}:signals")
}

/// Channel: a track's chunks.
pub(crate) fn chunks(TrackKey { room, track }: &TrackKey) -> String {
    format!("{PREFIX}{{{room}}}:chunks:{track}")
}
