//! This node's copy of a room's state.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tracing::warn;
use weir_cluster::Signal;
use weir_protocol::{Change, Code, Fault, MemberId, Notice, RoomEvent, Snapshot, Track, TrackId};

use super::{backlog::Kept, early::Early, member::ConnectedMember, seats::Seats};
use crate::{ByKind, outlet::notify, relay::RoomAddress, track::ActiveTrack};

/// State of a room at a version, with the seats of the members that are connected to this node.
///
/// It is unknown, without a version, until the first of them has joined.
#[derive(Debug)]
pub(super) struct RoomMirror {
    address: RoomAddress,
    version: Option<u64>,
    /// Creation time of the room, which tells it from a later room with the same id.
    created_at: u64,
    /// Ids of the members on other nodes.
    elsewhere: HashSet<MemberId>,
    /// Whether there are any.
    is_elsewhere: Arc<AtomicBool>,
    tracks: BTreeMap<TrackId, Arc<ActiveTrack>>,
    pub(super) seats: Seats,
    /// Messages that were sent at a version that this node does not know yet.
    early: Early,
}

impl RoomMirror {
    pub(super) fn new(address: RoomAddress) -> Self {
        Self {
            seats: Seats::new(&address.counters),
            address,
            version: None,
            created_at: 0,
            elsewhere: HashSet::new(),
            is_elsewhere: Arc::default(),
            tracks: BTreeMap::new(),
            early: Early::default(),
        }
    }

    /// Returns the flag that tells, without a lock, whether the room has members on other nodes.
    pub(super) fn is_elsewhere(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_elsewhere)
    }

    /// Updates the flag after a change of the members on other nodes.
    fn update_elsewhere(&self) {
        let any = !self.elsewhere.is_empty();
        self.is_elsewhere.store(any, Ordering::Release);
    }

    /// Returns whether a message has recipients on other nodes, and the version at which it is sent.
    ///
    /// # Errors
    /// `member_not_found` for the first id in `to` without a member in the room.
    pub(super) fn audience(&self, to: Option<&[MemberId]>) -> Result<(bool, u64), Fault> {
        let version = self.version.unwrap_or_default();
        let Some(to) = to else {
            return Ok((!self.elsewhere.is_empty(), version));
        };
        let mut elsewhere = false;
        for id in to {
            if self.elsewhere.contains(id) {
                elsewhere = true;
            } else if !self.seats.contains(id) {
                let shown: String = id.as_str().chars().take(64).collect();
                let message = format!("to: no member {shown:?} in this room");
                return Err(Fault::new(Code::MemberNotFound, message));
            }
        }
        Ok((elsewhere, version))
    }

    /// Returns a track.
    pub(super) fn track(&self, id: TrackId) -> Option<&Arc<ActiveTrack>> {
        self.tracks.get(&id)
    }

    /// Returns all tracks.
    pub(super) fn tracks(&self) -> impl Iterator<Item = &Arc<ActiveTrack>> {
        self.tracks.values()
    }

    /// Returns the number of members on this node, and adds their tracks to `tracks`.
    pub(super) fn census(&self, tracks: &ByKind) -> u64 {
        for track in self.tracks.values() {
            if self.seats.get(&track.owner).is_some() {
                tracks.of(track.kind).add_one();
            }
        }
        self.seats.members().count() as u64
    }

    /// Removes a member that has left.
    pub(super) fn remove(&mut self, id: &MemberId) {
        self.seats.remove(id);
        for track in self.tracks.values() {
            track.unsubscribe(id);
        }
    }

    /// Removes all members of this node, and returns their ids.
    pub(super) fn vacate(&mut self) -> Vec<MemberId> {
        let members: Vec<_> = self.seats.members().cloned().collect();
        for member in &members {
            member.set_removed();
            self.remove(&member.id);
        }
        members
            .into_iter()
            .map(|member| member.id.clone())
            .collect()
    }

    /// Adopts the snapshot with which a member has joined, and the events since its seat was
    /// reserved, unless events have kept the state up to date.
    pub(super) fn learn(&mut self, joiner: &MemberId, snapshot: &Snapshot) {
        let Some(since) = self.seats.events_since(joiner) else {
            return;
        };
        let created_at = snapshot.room.created_at;
        if self.version.is_some() && self.created_at == created_at {
            return;
        }
        if self.version.is_some() {
            warn!(room = %self.address.room, "the room was replaced by another one");
            self.forget();
        }
        self.version = Some(snapshot.version);
        self.created_at = created_at;
        let members = snapshot.members.iter().map(|member| &member.id);
        let elsewhere = members.filter(|id| !self.seats.contains(id));
        self.elsewhere = elsewhere.cloned().collect();
        self.update_elsewhere();
        for record in &snapshot.tracks {
            self.add_track(record);
        }
        since.iter().for_each(|event| self.apply(event));
        self.send_early();
    }

    /// Returns the tracks of a snapshot to which a member subscribes automatically.
    pub(super) fn wanted(
        &self,
        member: &ConnectedMember,
        snapshot: &Snapshot,
    ) -> Vec<Arc<ActiveTrack>> {
        let tracks = snapshot
            .tracks
            .iter()
            .filter(|record| member.auto_subscribe && record.member != member.id);
        let tracks = tracks.filter_map(|record| self.tracks.get(&record.id));
        tracks.cloned().collect()
    }

    /// Seats a member that has received the room at version `from`, and sends it what came later.
    pub(super) fn seat(&mut self, member: &Arc<ConnectedMember>, from: u64, kept: Vec<Kept>) {
        let mut knows = from;
        let mut published = Vec::new();
        for one in kept {
            match one {
                Kept::Event(event) if event.version > knows => {
                    knows = event.version;
                    if let Change::TrackPublished(track) = &event.change {
                        published.push(track.id);
                    }
                    let frame = Notice::Room(&event).frame();
                    notify(&*member.outlet, &self.address.counters, &frame);
                }
                Kept::Message { version, message } if version >= from => {
                    notify(&*member.outlet, &self.address.counters, &message);
                }
                Kept::Event(_) | Kept::Message { .. } => {}
            }
        }
        self.seats.seat(member, knows);
        if member.auto_subscribe {
            for track in self.tracks.values() {
                if published.contains(&track.id) {
                    track.expect_beginning();
                }
                if track.owner != member.id {
                    track.subscribe(&member.id, &member.outlet);
                }
            }
        }
    }

    /// Handles the next event.
    pub(super) fn event(&mut self, event: &Arc<RoomEvent>) {
        self.seats.keep(event);
        self.apply(event);
        self.send_early();
    }

    /// Applies an event to the state, if it is new, and notifies the members of this node.
    fn apply(&mut self, event: &RoomEvent) {
        let new = self.version.is_some_and(|known| event.version > known);
        if new {
            self.version = Some(event.version);
            match &event.change {
                Change::MemberJoined(member) if !self.seats.contains(&member.id) => {
                    self.elsewhere.insert(member.id.clone());
                    self.update_elsewhere();
                }
                Change::MemberLeft { id, .. } => self.lose(id),
                Change::TrackUnpublished { id, .. } => self.remove_track(*id),
                _ => {}
            }
        }
        self.seats.notify_event(event);
        match &event.change {
            // After the notification: no chunk comes before its track.
            Change::TrackPublished(record) if new => self.add_track(record),
            Change::RoomClosed { .. } if new => self.forget(),
            _ => {}
        }
    }

    /// Handles the departure of a member. One of this node that did not leave was removed.
    fn lose(&mut self, id: &MemberId) {
        if self.elsewhere.remove(id) {
            return self.update_elsewhere();
        }
        if let Some(member) = self.seats.get(id).cloned() {
            warn!(room = %self.address.room, member = %id, "a member was removed");
            member.set_removed();
            self.remove(id);
        }
    }

    /// Handles a message. It is sent after all events that its sender's node knew.
    pub(super) fn message(&mut self, signal: &Arc<Signal>) {
        self.early.push(signal);
        self.send_early();
    }

    /// Sends the messages whose version is known.
    fn send_early(&mut self) {
        while let Some(signal) = self.early.pop(self.version) {
            self.seats.notify_message(&signal);
        }
    }

    fn add_track(&mut self, record: &Track) {
        let address = self.address.track(record.id);
        let subscribers: Vec<_> = self
            .seats
            .members()
            .filter(|member| member.auto_subscribe && member.id != record.member)
            .cloned()
            .collect();
        let track = if let Some(owner) = self.seats.get(&record.member) {
            let track = ActiveTrack::ingest(record, &address, &self.is_elsewhere);
            track
                .as_ingest()
                .into_iter()
                .for_each(|ingest| owner.publishing.add(ingest));
            track
        } else {
            ActiveTrack::relayed(record, address, !subscribers.is_empty())
        };
        for member in subscribers {
            track.subscribe(&member.id, &member.outlet);
        }
        self.tracks.insert(track.id, Arc::new(track));
    }

    fn remove_track(&mut self, id: TrackId) {
        let Some(track) = self.tracks.remove(&id) else {
            return;
        };
        if let Some(owner) = self.seats.get(&track.owner) {
            owner.publishing.remove(id);
        }
        // Waits for a chunk that is being fanned out, so that none comes after the track's end.
        track.close();
    }

    /// Discards the state, since the room is gone. Joining members will find another room with its
    /// id, or none.
    fn forget(&mut self) {
        for id in self.tracks.keys().copied().collect::<Vec<_>>() {
            self.remove_track(id);
        }
        self.elsewhere = HashSet::new();
        self.update_elsewhere();
        self.seats.clear();
        self.early = Early::default();
        self.version = None;
    }
}
