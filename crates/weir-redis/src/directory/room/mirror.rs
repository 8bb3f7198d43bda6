//! A room as a node knows it, kept up to date by the room's events.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use weir_protocol::{Change, LeaveReason, MemberId, Room, Snapshot, Track, TrackId};

use super::{
    event::{self, Event, EventKind},
    record::{self, RecordError},
    seated::Seated,
};

/// State of a room at a version.
#[derive(Debug, Clone)]
pub(crate) struct Mirror {
    pub(crate) room: Room,
    pub(crate) version: u64,
    /// Id of the last published track.
    pub(crate) last_track: u64,
    /// Place of the last member in the order of arrival.
    pub(crate) arrivals: u64,
    pub(crate) members: HashMap<MemberId, Seated>,
    pub(crate) tracks: BTreeMap<TrackId, Track>,
}

/// A hash of Redis: fields and their values.
type Hash = Vec<(Bytes, Bytes)>;

impl Mirror {
    /// Parses the answer of `snapshot` in the scripts.
    pub(crate) fn parse(hashes: [Hash; 5]) -> Result<Self, RecordError> {
        let [room, members, seats, tracks, owners] = hashes;
        let room: HashMap<_, _> = room.into_iter().collect();
        let field = |name: &'static str| room.get(name.as_bytes()).ok_or(RecordError(name));
        let number = |name: &'static str| {
            let text = record::text(field(name)?)?;
            text.parse().map_err(|_| RecordError(name))
        };
        let seats: HashMap<_, _> = seats.into_iter().collect();
        let owners: HashMap<_, _> = owners.into_iter().collect();
        let members = members.into_iter().map(|(id, member)| {
            let seat = seats.get(&id).ok_or(RecordError("a seat"))?;
            let seated = Seated::parse(&member, seat)?;
            Ok((seated.member.id.clone(), seated))
        });
        let tracks = tracks.into_iter().map(|(id, track)| {
            let owner = owners.get(&id).ok_or(RecordError("an owner"))?;
            let track = event::track_of(&id, owner, &track)?;
            Ok((track.id, track))
        });
        Ok(Self {
            room: record::room(field("record")?)?,
            version: number("version")?,
            last_track: number("track")?,
            arrivals: number("arrivals")?,
            members: members.collect::<Result<_, RecordError>>()?,
            tracks: tracks.collect::<Result<_, RecordError>>()?,
        })
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut members: Vec<_> = self.members.values().collect();
        members.sort_by_key(|seated| seated.arrival);
        Snapshot {
            room: self.room.clone(),
            members: members
                .into_iter()
                .map(|seated| seated.member.clone())
                .collect(),
            tracks: self.tracks.values().cloned().collect(),
            version: self.version,
        }
    }

    /// Applies the next event and returns its change.
    pub(crate) fn apply(&mut self, event: &Event) -> Option<Change> {
        self.version = event.version;
        let change = match &event.kind {
            EventKind::Joined(seated) => {
                let member = seated.member.clone();
                self.arrivals = self.arrivals.max(seated.arrival);
                self.members.insert(member.id.clone(), seated.clone());
                Change::MemberJoined(member)
            }
            EventKind::Change(change) => change.clone(),
            EventKind::Restored => return None,
        };
        match &change {
            Change::MemberUpdated(member) => {
                if let Some(seated) = self.members.get_mut(&member.id) {
                    seated.member = member.clone();
                }
            }
            Change::MemberLeft { id, .. } => {
                self.members.remove(id);
            }
            Change::TrackPublished(track) | Change::TrackUpdated(track) => {
                self.last_track = self.last_track.max(track.id.0.into());
                self.tracks.insert(track.id, track.clone());
            }
            Change::TrackUnpublished { id, .. } => {
                self.tracks.remove(id);
            }
            Change::RoomUpdated(room) => self.room = room.clone(),
            Change::MemberJoined(_) | Change::RoomClosed { .. } => {}
        }
        Some(change)
    }

    /// Returns the changes from this state to a newer one: removals first, additions last.
    pub(crate) fn changes_to(&self, newer: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (id, track) in &self.tracks {
            let stays = newer
                .tracks
                .get(id)
                .is_some_and(|other| other.member == track.member);
            if !stays {
                let member = track.member.clone();
                changes.push(Change::TrackUnpublished { id: *id, member });
            }
        }
        for id in self
            .members
            .keys()
            .filter(|id| !newer.members.contains_key(id))
        {
            let (id, reason) = (id.clone(), LeaveReason::Disconnected);
            changes.push(Change::MemberLeft { id, reason });
        }
        if self.room != newer.room {
            changes.push(Change::RoomUpdated(newer.room.clone()));
        }
        let mut members: Vec<_> = newer.members.values().collect();
        members.sort_by_key(|seated| seated.arrival);
        for Seated { member, .. } in members {
            match self.members.get(&member.id) {
                None => changes.push(Change::MemberJoined(member.clone())),
                Some(known) if known.member != *member => {
                    changes.push(Change::MemberUpdated(member.clone()));
                }
                Some(_) => {}
            }
        }
        for (id, track) in &newer.tracks {
            match self
                .tracks
                .get(id)
                .filter(|known| known.member == track.member)
            {
                None => changes.push(Change::TrackPublished(track.clone())),
                Some(known) if known != track => changes.push(Change::TrackUpdated(track.clone())),
                Some(_) => {}
            }
        }
        changes
    }

    /// Returns the tracks of a member.
    pub(crate) fn tracks_of(&self, member: &MemberId) -> impl Iterator<Item = &Track> {
        self.tracks
            .values()
            .filter(move |track| track.member == *member)
    }
}
