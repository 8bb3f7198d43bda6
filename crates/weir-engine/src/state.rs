//! What a node knows of a room, and who is told of its changes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use weir_protocol::{Change, MemberId, Notice, RoomEvent, Snapshot, Track as TrackRecord, TrackId};

use crate::{
    Counters,
    member::Member,
    reply::notify,
    track::{Hold, Track},
};

/// The state of a room at a version, with the members that are connected to this node.
///
/// Until the first of them has joined, nothing is known and there is no version.
#[derive(Debug, Default)]
pub(crate) struct State {
    version: Option<u64>,
    /// The ids of all members, whatever node they are on.
    present: HashSet<MemberId>,
    pub(crate) tracks: BTreeMap<TrackId, Arc<Track>>,
    seats: HashMap<MemberId, Seated>,
}

/// How far a member of this node has come.
#[derive(Debug)]
enum Seated {
    /// It is about to join. What happens meanwhile is kept, since part of it may be later than the
    /// snapshot that it gets.
    Reserved(Vec<Arc<RoomEvent>>),
    /// It has joined, and knows all up to version `from` by its snapshot.
    Taken { member: Arc<Member>, from: u64 },
}

impl State {
    /// Whether somebody is a member, whatever node it is on.
    pub(crate) fn is_present(&self, id: &MemberId) -> bool {
        self.present.contains(id)
    }

    /// A member of this node.
    pub(crate) fn seated(&self, id: &MemberId) -> Option<&Arc<Member>> {
        match self.seats.get(id) {
            Some(Seated::Taken { member, .. }) => Some(member),
            _ => None,
        }
    }

    /// The members of this node.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.seats.values().filter_map(|seat| match seat {
            Seated::Taken { member, .. } => Some(member),
            Seated::Reserved(_) => None,
        })
    }

    pub(crate) fn reserve(&mut self, id: MemberId) {
        self.seats.insert(id, Seated::Reserved(Vec::new()));
    }

    /// Frees the place of a member that did not join after all.
    pub(crate) fn give_up(&mut self, id: &MemberId) {
        if let Some(Seated::Reserved(_)) = self.seats.get(id) {
            self.seats.remove(id);
        }
    }

    /// Takes a member out who has left: it is told nothing more.
    pub(crate) fn remove(&mut self, id: &MemberId) {
        self.seats.remove(id);
        for track in self.tracks.values() {
            track.unsubscribe(id);
        }
    }

    /// Takes a snapshot as the state, unless there is one that events have kept up to date.
    pub(crate) fn learn(&mut self, snapshot: &Snapshot) {
        if self.version.is_some() {
            return;
        }
        self.version = Some(snapshot.version);
        self.present = snapshot
            .members
            .iter()
            .map(|member| member.id.clone())
            .collect();
        for record in &snapshot.tracks {
            self.add_track(record);
        }
    }

    /// Holds those of a snapshot's tracks that a member is to receive without asking.
    pub(crate) fn hold(&self, member: &Member, snapshot: &Snapshot) -> Vec<Hold<'_>> {
        let tracks = snapshot
            .tracks
            .iter()
            .filter(|record| member.auto_subscribe && record.member != member.id);
        let tracks = tracks.filter_map(|record| self.tracks.get(&record.id));
        tracks.map(|track| track.hold()).collect()
    }

    /// Seats a member that was told the state at version `from`, and tells it what came later.
    pub(crate) fn seat(&mut self, member: &Arc<Member>, from: u64, counters: &Counters) {
        let taken = Seated::Taken {
            member: Arc::clone(member),
            from,
        };
        let kept = match self.seats.insert(member.id.clone(), taken) {
            Some(Seated::Reserved(kept)) => kept,
            _ => Vec::new(),
        };
        for event in kept.iter().filter(|event| event.version > from) {
            if self.version.is_some_and(|known| event.version <= known) {
                notify(&*member.outlet, counters, &Notice::Room(event).frame());
            } else {
                self.apply(event, counters);
            }
        }
        if member.auto_subscribe {
            let others = self
                .tracks
                .values()
                .filter(|track| track.owner != member.id);
            others.for_each(|track| track.subscribe(member));
        }
    }

    /// Takes the next event.
    pub(crate) fn take(&mut self, event: &Arc<RoomEvent>, counters: &Counters) {
        for seat in self.seats.values_mut() {
            if let Seated::Reserved(kept) = seat {
                kept.push(Arc::clone(event));
            }
        }
        if self.version.is_some_and(|known| event.version > known) {
            self.apply(event, counters);
        }
    }

    /// Changes the state and tells the members of this node, each but of what it knows by its
    /// snapshot.
    fn apply(&mut self, event: &RoomEvent, counters: &Counters) {
        self.version = Some(event.version);
        match &event.change {
            Change::MemberJoined(member) => {
                self.present.insert(member.id.clone());
            }
            Change::MemberLeft { id, .. } => {
                self.present.remove(id);
            }
            Change::TrackUnpublished { id, .. } => self.remove_track(*id),
            Change::MemberUpdated(_)
            | Change::TrackPublished(_)
            | Change::TrackUpdated(_)
            | Change::RoomUpdated(_)
            | Change::RoomClosed { .. } => {}
        }
        self.tell(event, counters);
        match &event.change {
            // After they were told of it: no chunk comes before its track.
            Change::TrackPublished(record) => self.add_track(record),
            Change::RoomClosed { .. } => self.forget(),
            _ => {}
        }
    }

    fn tell(&self, event: &RoomEvent, counters: &Counters) {
        let mut encoded = None;
        for seat in self.seats.values() {
            if let Seated::Taken { member, from } = seat
                && *from < event.version
                && !concerns(event, &member.id)
            {
                let frame = encoded.get_or_insert_with(|| Notice::Room(event).frame());
                notify(&*member.outlet, counters, frame);
            }
        }
    }

    fn add_track(&mut self, record: &TrackRecord) {
        let track = Track::new(record.id, record.member.clone(), record.spec.kind);
        let track = Arc::new(track);
        let wanted = self.members().filter(|member| member.auto_subscribe);
        wanted
            .filter(|member| member.id != track.owner)
            .for_each(|member| track.subscribe(member));
        if let Some(owner) = self.seated(&track.owner) {
            owner.add_track(&track);
        }
        self.tracks.insert(track.id, track);
    }

    fn remove_track(&mut self, id: TrackId) {
        let Some(track) = self.tracks.remove(&id) else {
            return;
        };
        if let Some(owner) = self.seated(&track.owner) {
            owner.remove_track(id);
        }
        // Waits for a chunk that is being handed out, so that none comes after the track's end.
        track.close();
    }

    /// The room is gone. Whoever is about to join will find another under its id, or none.
    fn forget(&mut self) {
        for id in self.tracks.keys().copied().collect::<Vec<_>>() {
            self.remove_track(id);
        }
        self.present = HashSet::new();
        self.members().for_each(|member| member.set_gone());
        self.seats
            .retain(|_, seat| matches!(seat, Seated::Reserved(_)));
        self.version = None;
    }
}

/// Whether an event is a member's own arrival or leaving, which it is not told.
fn concerns(event: &RoomEvent, member: &MemberId) -> bool {
    match &event.change {
        Change::MemberJoined(joined) => joined.id == *member,
        Change::MemberLeft { id, .. } => id == member,
        _ => false,
    }
}
