//! The names of all keys and channels, which are built here and nowhere else.
//!
//! Whatever belongs to a room has the room's id as its hash tag, so that Redis Cluster keeps it on
//! one shard and a script may touch all of it (Redis Cluster specification, "Hash tags").

use std::{fmt::Display, sync::Arc};

use weir_cluster::TrackKey;
use weir_protocol::{MemberId, RoomId};

/// Names that begin with a prefix, so that several clusters, or others, may use the same Redis.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: Arc<str>,
    /// Prefix of all channels. Redis has one set of channels for all databases, so the prefix
    /// includes the database number.
    channels: Arc<str>,
}

impl Keys {
    pub(crate) fn new(prefix: &str, database: u8) -> Self {
        Self {
            prefix: prefix.into(),
            channels: format!("{prefix}:{database}").into(),
        }
    }

    fn of_room(&self, room: &RoomId, what: &str) -> String {
        format!("{}:{{{room}}}:{what}", self.prefix)
    }

    fn channel_of_room(&self, room: &RoomId, what: &str) -> String {
        format!("{}:{{{room}}}:{what}", self.channels)
    }

    fn of_nodes(&self, what: &str) -> String {
        // No room's id has a dot, so no room shares this hash tag.
        format!("{}:{{.nodes}}:{what}", self.prefix)
    }

    /// Returns the keys of a room, in the order in which the scripts expect them: hashes of its record and
    /// counters; and, by id, of the members' records, their seats, the tracks' records, their publishers, and the
    /// fences of removed members.
    pub(crate) fn room(&self, room: &RoomId) -> Vec<String> {
        let names = ["room", "members", "seats", "tracks", "owners", "fences"];
        names.map(|name| self.of_room(room, name)).into()
    }

    /// Channel: what changes in the room's state.
    pub(crate) fn events(&self, room: &RoomId) -> String {
        self.channel_of_room(room, "events")
    }

    /// Channel: what the room's nodes tell each other without it being state.
    pub(crate) fn signals(&self, room: &RoomId) -> String {
        self.channel_of_room(room, "signals")
    }

    /// Channel: a track's chunks.
    pub(crate) fn chunks(&self, TrackKey { room, track }: &TrackKey) -> String {
        self.channel_of_room(room, &format!("chunks:{track}"))
    }

    /// Returns the names of the channels on which a node probes itself.
    pub(crate) fn probes(&self, node: &str) -> Probes {
        // Room ids contain no dot, so no room shares one of these hash tags.
        Probes {
            before: format!("{}:{{.probe", self.channels),
            after: format!("}}:{node}"),
        }
    }

    /// Sorted set of leases, by expiry.
    pub(crate) fn alive(&self) -> String {
        self.of_nodes("alive")
    }

    /// Sorted set of expired leases that a reaper has claimed, by when another one may take over.
    pub(crate) fn reaping(&self) -> String {
        self.of_nodes("reaping")
    }

    /// Sorted set of the nodes that are to audit their ledgers.
    pub(crate) fn audits(&self) -> String {
        self.of_nodes("audits")
    }

    /// Set of an incarnation's ledger: an entry for each of its seats.
    pub(crate) fn held(&self, node: &impl Display) -> String {
        self.of_nodes(&format!("held:{node}"))
    }

    /// Returns the entry of a member in [`Keys::held`].
    pub(crate) fn held_entry(room: &RoomId, member: &MemberId) -> String {
        format!("{room}/{member}")
    }

    /// Parses an entry of [`Keys::held`]. Room ids contain no slash.
    pub(crate) fn held_member(entry: &str) -> Option<(RoomId, MemberId)> {
        let (room, member) = entry.split_once('/')?;
        Some((RoomId::made(room), MemberId::new(member)))
    }
}

/// Channel names of a node's probes: one for each server, with a number that maps it to a slot of
/// that server.
#[derive(Debug, Clone)]
pub(crate) struct Probes {
    before: String,
    after: String,
}

impl Probes {
    pub(crate) fn name(&self, number: u32) -> String {
        format!("{}{number}{}", self.before, self.after)
    }
}

#[cfg(test)]
mod tests {
    use weir_protocol::TrackId;

    use super::*;

    const DOCUMENTED: &str = include_str!("../../../docs/redis.md");

    #[test]
    fn the_documented_names_are_those_of_the_code() {
        let keys = Keys::new("weir", 0);
        let room = RoomId::made("ROOM");
        let track = TrackKey {
            room: room.clone(),
            track: TrackId(1),
        };
        let mut names = keys.room(&room);
        names.extend([
            keys.events(&room),
            keys.signals(&room),
            keys.chunks(&track).replace(":1", ":TRACK"),
            keys.probes("NODE").name(1).replace("probe1", "probeN"),
            keys.alive(),
            keys.reaping(),
            keys.audits(),
            keys.held(&"NODE.EPOCH"),
        ]);
        let rows = DOCUMENTED
            .lines()
            .filter_map(|line| line.strip_prefix("| `weir:"));
        let documented: Vec<_> = rows
            .filter_map(|row| row.split_once('`'))
            .map(|(name, _)| format!("weir:{name}"))
            .collect();
        assert_eq!(documented, names);
    }

    #[test]
    fn entries_of_held_members_are_parsed() {
        let (room, member) = (RoomId::made("hall-1_x"), MemberId::new("m"));
        let entry = Keys::held_entry(&room, &member);
        assert_eq!(Keys::held_member(&entry), Some((room, member)));
    }
}
