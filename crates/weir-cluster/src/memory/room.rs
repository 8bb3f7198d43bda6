//! State of one room, and its changes.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use weir_protocol::{
    Change, CloseReason, Json, LeaveReason, Member, MemberId, Room, RoomEvent, RoomId, Snapshot,
    StateSize, Track, TrackId, TrackSpec, TrackUpdate,
};

use super::{audience::Audience, expiry::Ticket};
use crate::{DirectoryError, Inbox};

/// Room behind its lock. Events are delivered under it, which keeps them in order.
pub(super) type RoomCell = Mutex<RoomState>;

/// State of a room.
#[derive(Debug)]
pub(super) struct RoomState {
    record: Room,
    version: u64,
    /// Current size of the state. Its maximum is `limit`.
    size: StateSize,
    limit: usize,
    /// Seats in the order of arrival.
    seats: Vec<Seat>,
    tracks: BTreeMap<TrackId, Track>,
    /// Id of the last published track; 0 before the first.
    last_track: u32,
    /// Key in the expiry table, if the room is empty.
    pub(super) ticket: Option<Ticket>,
    /// Whether the room is closed, for those who still hold its cell.
    closed: bool,
}

/// Seat of a member, and the node that owns it.
#[derive(Debug)]
struct Seat {
    member: Member,
    node: u64,
}

/// Nodes that watch rooms.
pub(super) type Watchers = Audience<RoomId, dyn Inbox>;

impl RoomState {
    /// Creates a room without members, whose state may take up to `limit` bytes.
    ///
    /// # Errors
    /// `StateTooLarge`.
    pub(super) fn new(record: Room, limit: usize) -> Result<Self, DirectoryError> {
        let size = StateSize::new(&record);
        fits(size.bytes(), limit)?;
        Ok(Self {
            record,
            version: 0,
            size,
            limit,
            seats: Vec::new(),
            tracks: BTreeMap::new(),
            last_track: 0,
            ticket: None,
            closed: false,
        })
    }

    /// Sets the size of the state. Only an increase is checked against the limit.
    fn resize(&mut self, size: StateSize) -> Result<(), DirectoryError> {
        if size.bytes() > self.size.bytes() {
            fits(size.bytes(), self.limit)?;
        }
        self.size = size;
        Ok(())
    }

    pub(super) fn record(&self) -> &Room {
        &self.record
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            room: self.record.clone(),
            members: self.seats.iter().map(|seat| seat.member.clone()).collect(),
            tracks: self.tracks.values().cloned().collect(),
            version: self.version,
        }
    }

    /// Increments the version and notifies the watchers. The change must be complete.
    fn notify(&mut self, change: Change, watchers: &Watchers) {
        self.version += 1;
        let Some(listeners) = watchers.of(&self.record.id) else {
            return;
        };
        let event = Arc::new(RoomEvent {
            version: self.version,
            change,
        });
        for listener in listeners.iter() {
            listener.inbox.room_event(&self.record.id, &event);
        }
    }

    /// Returns a member that has joined by `node`, if it is there.
    pub(super) fn own_member(
        &self,
        id: &MemberId,
        node: u64,
    ) -> Result<Option<Member>, DirectoryError> {
        match self.place(id, node) {
            Ok(place) => Ok(Some(self.seats[place].member.clone())),
            Err(DirectoryError::MemberNotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the index of a member's seat, which `node` must own.
    fn place(&self, id: &MemberId, node: u64) -> Result<usize, DirectoryError> {
        let place = self.seats.iter().position(|seat| seat.member.id == *id);
        let place = place.ok_or_else(|| DirectoryError::MemberNotFound(id.clone()))?;
        match self.seats[place].node == node {
            true => Ok(place),
            false => Err(DirectoryError::NotSeatOwner(id.clone())),
        }
    }

    /// Returns the track `id`, which must be `member`'s, whose seat `node` must own.
    fn own_track(
        &self,
        member: &MemberId,
        node: u64,
        id: TrackId,
    ) -> Result<&Track, DirectoryError> {
        self.place(member, node)?;
        let track = self
            .tracks
            .get(&id)
            .ok_or(DirectoryError::TrackNotFound(id))?;
        if track.member == *member {
            Ok(track)
        } else {
            Err(DirectoryError::NotTrackOwner(id))
        }
    }

    pub(super) fn join(
        &mut self,
        member: Member,
        node: u64,
        watchers: &Watchers,
    ) -> Result<(), DirectoryError> {
        let limit = self.record.max_members;
        if self.seats.len() >= limit as usize {
            let room = self.record.id.clone();
            return Err(DirectoryError::RoomFull { room, limit });
        }
        let size = self.size.with_member(&member);
        fits(size.answer_bytes(&member), self.limit)?;
        self.size = size;
        self.seats.push(Seat {
            member: member.clone(),
            node,
        });
        self.notify(Change::MemberJoined(member), watchers);
        Ok(())
    }

    pub(super) fn leave(
        &mut self,
        id: &MemberId,
        node: u64,
        reason: LeaveReason,
        watchers: &Watchers,
    ) -> Result<(), DirectoryError> {
        let place = self.place(id, node)?;
        let own: Vec<TrackId> = self
            .tracks
            .values()
            .filter(|track| track.member == *id)
            .map(|track| track.id)
            .collect();
        for track in own {
            self.remove_track(track, id, watchers);
        }
        let Seat { member, .. } = self.seats.remove(place);
        self.size = self.size.without_member(&member);
        let id = member.id;
        self.notify(Change::MemberLeft { id, reason }, watchers);
        Ok(())
    }

    pub(super) fn update_member(
        &mut self,
        id: &MemberId,
        node: u64,
        name: Option<String>,
        metadata: Option<Json>,
        watchers: &Watchers,
    ) -> Result<Member, DirectoryError> {
        let place = self.place(id, node)?;
        let mut member = self.seats[place].member.clone();
        if let Some(name) = name {
            member.name = name;
        }
        if let Some(metadata) = metadata {
            member.metadata = metadata;
        }
        let size = self.size.without_member(&self.seats[place].member);
        self.resize(size.with_member(&member))?;
        self.seats[place].member = member.clone();
        self.notify(Change::MemberUpdated(member.clone()), watchers);
        Ok(member)
    }

    pub(super) fn publish(
        &mut self,
        member: &MemberId,
        node: u64,
        spec: TrackSpec,
        limit: usize,
        watchers: &Watchers,
    ) -> Result<Track, DirectoryError> {
        self.place(member, node)?;
        let own = self.tracks.values().filter(|track| track.member == *member);
        if own.count() >= limit {
            return Err(DirectoryError::TooManyTracks { limit });
        }
        let id = self.last_track.checked_add(1).ok_or_else(|| {
            DirectoryError::Unavailable("the room has used up its track ids".into())
        })?;
        let track = Track {
            id: TrackId(id),
            member: member.clone(),
            muted: false,
            spec,
        };
        self.resize(self.size.with_track(&track))?;
        self.last_track = id;
        self.tracks.insert(track.id, track.clone());
        self.notify(Change::TrackPublished(track.clone()), watchers);
        Ok(track)
    }

    pub(super) fn update_track(
        &mut self,
        member: &MemberId,
        node: u64,
        id: TrackId,
        update: &TrackUpdate,
        watchers: &Watchers,
    ) -> Result<Track, DirectoryError> {
        let known = self.own_track(member, node, id)?;
        let mut track = known.clone();
        update.apply(&mut track);
        let size = self.size.without_track(known).with_track(&track);
        self.resize(size)?;
        self.tracks.insert(id, track.clone());
        self.notify(Change::TrackUpdated(track.clone()), watchers);
        Ok(track)
    }

    pub(super) fn unpublish(
        &mut self,
        member: &MemberId,
        node: u64,
        id: TrackId,
        watchers: &Watchers,
    ) -> Result<(), DirectoryError> {
        self.own_track(member, node, id)?;
        self.remove_track(id, member, watchers);
        Ok(())
    }

    fn remove_track(&mut self, id: TrackId, member: &MemberId, watchers: &Watchers) {
        if let Some(track) = self.tracks.remove(&id) {
            self.size = self.size.without_track(&track);
        }
        let member = member.clone();
        self.notify(Change::TrackUnpublished { id, member }, watchers);
    }

    /// Closes a room that never became visible.
    pub(super) fn discard(&mut self) {
        self.closed = true;
    }

    pub(super) fn close(&mut self, reason: CloseReason, watchers: &Watchers) {
        self.closed = true;
        self.ticket = None;
        self.notify(Change::RoomClosed { reason }, watchers);
    }
}

/// Checks that a state of this many bytes is within the limit.
fn fits(bytes: usize, limit: usize) -> Result<(), DirectoryError> {
    match bytes > limit {
        true => Err(DirectoryError::StateTooLarge { bytes, limit }),
        false => Ok(()),
    }
}
