//! A room as its events describe it.

use std::collections::BTreeMap;

use weir_protocol::{Change, Member, MemberId, RoomEvent, Snapshot, Track, TrackId};

/// View of a room, built from events alone or from a snapshot and later events.
///
/// The default is that of a missing room, or of one without events.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// Version of the last event.
    version: u64,
    /// Members in the order of arrival.
    members: Vec<Member>,
    tracks: BTreeMap<TrackId, Track>,
    /// Whether events from before the snapshot may still arrive.
    catching_up: bool,
}

impl From<Snapshot> for View {
    fn from(snapshot: Snapshot) -> Self {
        let tracks = snapshot.tracks.into_iter();
        Self {
            version: snapshot.version,
            members: snapshot.members,
            tracks: tracks.map(|track| (track.id, track)).collect(),
            catching_up: true,
        }
    }
}

impl View {
    /// Returns the version of the last event; 0 if the room is gone.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Applies the next event.
    ///
    /// # Panics
    /// If the event is not the next, or impossible in this room.
    pub fn apply(&mut self, event: &RoomEvent) {
        if self.catching_up && event.version <= self.version {
            return;
        }
        self.catching_up = false;
        assert_eq!(event.version, self.version + 1, "{event:?} is not the next");
        self.version = event.version;
        match &event.change {
            Change::MemberJoined(member) => {
                assert!(!self.has(&member.id), "{event:?} has joined before");
                self.members.push(member.clone());
            }
            Change::MemberUpdated(member) => {
                let known = self.members.iter_mut().find(|one| one.id == member.id);
                *known.expect("only members change") = member.clone();
            }
            Change::MemberLeft { id, .. } => {
                assert!(self.has(id), "{event:?} was not there");
                let left = self.tracks.values().find(|track| track.member == *id);
                assert_eq!(left, None, "{event:?} before its track");
                self.members.retain(|member| member.id != *id);
            }
            Change::TrackPublished(track) => {
                assert!(self.has(&track.member), "{event:?} by nobody");
                let newer = self.tracks.range(track.id..).next();
                assert_eq!(newer, None, "{event:?} after a higher id");
                self.tracks.insert(track.id, track.clone());
            }
            Change::TrackUpdated(track) => {
                let known = self.tracks.insert(track.id, track.clone());
                let owner = known.map(|known| known.member);
                assert_eq!(owner.as_ref(), Some(&track.member), "{event:?}");
            }
            Change::TrackUnpublished { id, member } => {
                let owner = self.tracks.remove(id).map(|track| track.member);
                assert_eq!(owner.as_ref(), Some(member), "{event:?}");
            }
            Change::RoomUpdated(_) => {}
            Change::RoomClosed { .. } => {
                assert!(self.members.is_empty(), "{event:?} with members in it");
                *self = Self::default();
            }
        }
    }

    fn has(&self, id: &MemberId) -> bool {
        self.members.iter().any(|member| member.id == *id)
    }

    /// Asserts that the view equals a snapshot.
    ///
    /// # Panics
    /// If they differ.
    pub fn assert_is(&self, snapshot: &Snapshot) {
        assert_eq!(self.version, snapshot.version, "of {snapshot:?}");
        assert_eq!(self.members, snapshot.members, "at {}", self.version);
        let tracks: Vec<&Track> = self.tracks.values().collect();
        let truth: Vec<&Track> = snapshot.tracks.iter().collect();
        assert_eq!(tracks, truth, "at {}", self.version);
    }
}
