//! Length of a room's state as members receive it.

use std::io::{self, Write};

use serde::Serialize;

use crate::{Member, Room, Snapshot, Track};

/// `{"room":`, `,"members":[`, `],"tracks":[` and `]}`.
const ENVELOPE: usize = 34;

/// Length of a room's state as JSON, `{"room":…,"members":[…],"tracks":[…]}`. Updated as members
/// and tracks are added and removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateSize {
    /// Length of the room's record, its members and its tracks, in bytes.
    inside: usize,
    members: usize,
    tracks: usize,
}

impl StateSize {
    /// Upper bound on what the answer to `room:join` adds to the state and `self`, in bytes: its
    /// other fields, and the packet around it. It includes one spare byte, since aiohttp refuses a
    /// WebSocket message of exactly its limit.
    pub const ANSWER: usize = 128;

    /// Returns the size of a room without members.
    #[must_use]
    pub fn new(room: &Room) -> Self {
        Self {
            inside: encoded_len(room),
            members: 0,
            tracks: 0,
        }
    }

    /// Returns the length in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        let commas = self.members.saturating_sub(1) + self.tracks.saturating_sub(1);
        ENVELOPE + self.inside + commas
    }

    /// Returns the maximum length of the answer to a member's `room:join`, in bytes.
    #[must_use]
    pub fn answer_bytes(self, member: &Member) -> usize {
        self.bytes() + encoded_len(member) + Self::ANSWER
    }

    /// Adds a member.
    #[must_use]
    pub fn with_member(mut self, member: &Member) -> Self {
        self.inside += encoded_len(member);
        self.members += 1;
        self
    }

    /// Removes a member.
    #[must_use]
    pub fn without_member(mut self, member: &Member) -> Self {
        self.inside -= encoded_len(member);
        self.members -= 1;
        self
    }

    /// Adds a track.
    #[must_use]
    pub fn with_track(mut self, track: &Track) -> Self {
        self.inside += encoded_len(track);
        self.tracks += 1;
        self
    }

    /// Removes a track.
    #[must_use]
    pub fn without_track(mut self, track: &Track) -> Self {
        self.inside -= encoded_len(track);
        self.tracks -= 1;
        self
    }
}

impl Snapshot {
    /// Returns the length of the state as JSON in bytes, which [`StateSize`] tracks.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        #[derive(Serialize)]
        struct State<'a> {
            room: &'a Room,
            members: &'a [Member],
            tracks: &'a [Track],
        }
        encoded_len(&State {
            room: &self.room,
            members: &self.members,
            tracks: &self.tracks,
        })
    }
}

/// Returns the length of a value's JSON in bytes.
fn encoded_len(value: &impl Serialize) -> usize {
    struct Count(usize);

    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut count = Count(0);
    serde_json::to_writer(&mut count, value)
        .expect("the contract's types have string keys and finite numbers");
    count.0
}
