//! What a node knows of a room, and who is told of its changes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tracing::warn;
use weir_cluster::Signal;
use weir_protocol::{
    Change, Code, Fault, MemberId, Notice, RoomEvent, Snapshot, Track as TrackRecord, TrackId,
};

use crate::{
    ByKind,
    backlog::{Backlog, Kept},
    early::Early,
    link::Link,
    member::Member,
    reply::notify,
    track::Track,
};

/// The state of a room at a version, with the members that are connected to this node.
///
/// Until the first of them has joined, nothing is known and there is no version.
#[derive(Debug)]
pub(crate) struct State {
    link: Link,
    version: Option<u64>,
    /// When the room was created: another one may come under the same id.
    created_at: u64,
    /// The ids of the members on other nodes.
    elsewhere: HashSet<MemberId>,
    /// Whether there are any.
    is_elsewhere: Arc<AtomicBool>,
    pub(crate) tracks: BTreeMap<TrackId, Arc<Track>>,
    seats: HashMap<MemberId, Seated>,
    /// Messages that were sent at a version that is yet to come.
    early: Early,
}

/// How far a member of this node has come.
#[derive(Debug)]
enum Seated {
    /// It is about to join. What happens meanwhile is kept, since part of it may be later than the
    /// snapshot that it gets.
    Reserved(Backlog),
    /// It has joined, and knows all up to version `knows`.
    Taken { member: Arc<Member>, knows: u64 },
}

impl State {
    pub(crate) fn new(link: Link) -> Self {
        Self {
            link,
            version: None,
            created_at: 0,
            elsewhere: HashSet::new(),
            is_elsewhere: Arc::default(),
            tracks: BTreeMap::new(),
            seats: HashMap::new(),
            early: Early::default(),
        }
    }

    /// Whether the room has members on other nodes, for those who want to look without a lock.
    pub(crate) fn is_elsewhere(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_elsewhere)
    }

    /// To be called after every change of those elsewhere.
    fn note_elsewhere(&self) {
        let any = !self.elsewhere.is_empty();
        self.is_elsewhere.store(any, Ordering::Release);
    }

    /// Whether a message is for members of other nodes, too, and the version that it is sent at.
    ///
    /// # Errors
    /// `member_not_found` for the first id in `to` that is nobody's in the room.
    pub(crate) fn audience(&self, to: Option<&[MemberId]>) -> Result<(bool, u64), Fault> {
        let version = self.version.unwrap_or_default();
        let Some(to) = to else {
            return Ok((!self.elsewhere.is_empty(), version));
        };
        let mut elsewhere = false;
        for id in to {
            if self.elsewhere.contains(id) {
                elsewhere = true;
            } else if !self.seats.contains_key(id) {
                let shown: String = id.as_str().chars().take(64).collect();
                let message = format!("to: no member {shown:?} in this room");
                return Err(Fault::new(Code::MemberNotFound, message));
            }
        }
        Ok((elsewhere, version))
    }

    /// A member of this node.
    pub(crate) fn seated(&self, id: &MemberId) -> Option<&Arc<Member>> {
        match self.seats.get(id) {
            Some(Seated::Taken { member, .. }) => Some(member),
            _ => None,
        }
    }

    /// The members of this node.
    fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.seats.values().filter_map(|seat| match seat {
            Seated::Taken { member, .. } => Some(member),
            Seated::Reserved(_) => None,
        })
    }

    /// How many members of this node there are; adds the tracks that they publish to `tracks`.
    pub(crate) fn census(&self, tracks: &ByKind) -> u64 {
        for track in self.tracks.values() {
            if self.seated(&track.owner).is_some() {
                tracks.of(track.kind()).add_one();
            }
        }
        self.members().count() as u64
    }

    pub(crate) fn reserve(&mut self, id: MemberId) {
        self.seats.insert(id, Seated::Reserved(Backlog::default()));
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

    /// Takes all members of this node out; they are members no more.
    pub(crate) fn vacate(&mut self) -> Vec<MemberId> {
        let members: Vec<_> = self.members().cloned().collect();
        for member in &members {
            member.set_gone();
            self.remove(&member.id);
        }
        members
            .into_iter()
            .map(|member| member.id.clone())
            .collect()
    }

    /// Takes the snapshot that a member has joined with, and what has come since its place was kept,
    /// as the state, unless there is one that events have kept up to date.
    pub(crate) fn learn(&mut self, joiner: &MemberId, snapshot: &Snapshot) {
        let since = match self.seats.get(joiner) {
            Some(Seated::Reserved(backlog)) => backlog.events(),
            _ => None,
        };
        let Some(since) = since else { return };
        let created_at = snapshot.room.created_at;
        if self.version.is_some() && self.created_at == created_at {
            return;
        }
        if self.version.is_some() {
            warn!(room = %self.link.room, "the room is another one than before");
            self.forget();
        }
        self.version = Some(snapshot.version);
        self.created_at = created_at;
        let members = snapshot.members.iter().map(|member| &member.id);
        let elsewhere = members.filter(|id| !self.seats.contains_key(*id));
        self.elsewhere = elsewhere.cloned().collect();
        self.note_elsewhere();
        for record in &snapshot.tracks {
            self.add_track(record);
        }
        since.iter().for_each(|event| self.apply(event));
        self.send_early();
    }

    /// Those of a snapshot's tracks that a member is to receive without asking.
    pub(crate) fn wanted(&self, member: &Member, snapshot: &Snapshot) -> Vec<Arc<Track>> {
        let tracks = snapshot
            .tracks
            .iter()
            .filter(|record| member.auto_subscribe && record.member != member.id);
        let tracks = tracks.filter_map(|record| self.tracks.get(&record.id));
        tracks.cloned().collect()
    }

    /// What has happened since a member's place was kept.
    ///
    /// # Errors
    /// `unavailable` if that was too much to be kept.
    pub(crate) fn kept(&mut self, id: &MemberId) -> Result<Vec<Kept>, Fault> {
        match self.seats.get_mut(id) {
            Some(Seated::Reserved(backlog)) => backlog.take(),
            _ => Ok(Vec::new()),
        }
    }

    /// Seats a member that was told the state at version `from`, and tells it what came later.
    pub(crate) fn seat(&mut self, member: &Arc<Member>, from: u64, kept: Vec<Kept>) {
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
                    notify(&*member.outlet, &self.link.counters, &frame);
                }
                Kept::Message { version, message } if version >= from => {
                    notify(&*member.outlet, &self.link.counters, &message);
                }
                Kept::Event(_) | Kept::Message { .. } => {}
            }
        }
        let taken = Seated::Taken {
            member: Arc::clone(member),
            knows,
        };
        self.seats.insert(member.id.clone(), taken);
        if member.auto_subscribe {
            for track in self.tracks.values() {
                if published.contains(&track.id) {
                    track.following(|following, _| following.expect_beginning());
                }
                if track.owner != member.id {
                    track.subscribe(member);
                }
            }
        }
    }

    /// Takes the next event.
    pub(crate) fn take(&mut self, event: &Arc<RoomEvent>) {
        for seat in self.seats.values_mut() {
            if let Seated::Reserved(backlog) = seat {
                backlog.event(event);
            }
        }
        self.apply(event);
        self.send_early();
    }

    /// Changes the state, if it is not known yet, and tells the members of this node, each but of
    /// what it knows: the answers to joins may come before the events up to them.
    fn apply(&mut self, event: &RoomEvent) {
        let new = self.version.is_some_and(|known| event.version > known);
        if new {
            self.version = Some(event.version);
            match &event.change {
                Change::MemberJoined(member) if !self.seats.contains_key(&member.id) => {
                    self.elsewhere.insert(member.id.clone());
                    self.note_elsewhere();
                }
                Change::MemberLeft { id, .. } => self.lose(id),
                Change::TrackUnpublished { id, .. } => self.remove_track(*id),
                _ => {}
            }
        }
        self.tell(event);
        match &event.change {
            // After they were told of it: no chunk comes before its track.
            Change::TrackPublished(record) if new => self.add_track(record),
            Change::RoomClosed { .. } if new => self.forget(),
            _ => {}
        }
    }

    /// A member is gone. One of this node that did not leave by itself is a member no more.
    fn lose(&mut self, id: &MemberId) {
        if self.elsewhere.remove(id) {
            return self.note_elsewhere();
        }
        if let Some(member) = self.seated(id).cloned() {
            warn!(room = %self.link.room, member = %id, "a member was removed");
            member.set_gone();
            self.remove(id);
        }
    }

    fn tell(&mut self, event: &RoomEvent) {
        let mut encoded = None;
        for seat in self.seats.values_mut() {
            if let Seated::Taken { member, knows } = seat
                && *knows < event.version
            {
                *knows = event.version;
                if !concerns(event, &member.id) {
                    let frame = encoded.get_or_insert_with(|| Notice::Room(event).frame());
                    notify(&*member.outlet, &self.link.counters, frame);
                }
            }
        }
    }

    /// Takes a message of a member of this node, or of another one. It is told after all that its
    /// sender's node knew when it was sent.
    pub(crate) fn message(&mut self, signal: &Arc<Signal>) {
        self.early.push(signal);
        self.send_early();
    }

    /// Tells the messages whose time has come.
    fn send_early(&mut self) {
        while let Some(signal) = self.early.pop(self.version) {
            self.tell_message(&signal);
        }
    }

    fn tell_message(&mut self, signal: &Signal) {
        let Signal::Message {
            version,
            from,
            to,
            topic,
            data,
            attachments,
        } = signal
        else {
            return;
        };
        let frame = Notice::Message {
            from,
            topic: topic.as_deref(),
            data,
            attachments,
        }
        .frame();
        let mut tell = |seat: &mut Seated| match seat {
            Seated::Reserved(backlog) => backlog.message(*version, &frame),
            Seated::Taken { member, .. } => notify(&*member.outlet, &self.link.counters, &frame),
        };
        match to {
            Some(to) => {
                for id in to {
                    self.seats.get_mut(id).into_iter().for_each(&mut tell);
                }
            }
            None => {
                let others = self.seats.iter_mut().filter(|(id, _)| *id != from);
                others.for_each(|(_, seat)| tell(seat));
            }
        }
    }

    fn add_track(&mut self, record: &TrackRecord) {
        let link = self.link.track(record.id);
        let subscribers: Vec<_> = self
            .members()
            .filter(|member| member.auto_subscribe && member.id != record.member)
            .cloned()
            .collect();
        let track = if let Some(owner) = self.seated(&record.member) {
            let track = Arc::new(Track::own(record, link));
            owner.add_track(&track);
            track
        } else {
            let new = !subscribers.is_empty();
            Arc::new(Track::of_another_node(record, link, new))
        };
        let receive = subscribers.iter();
        receive.for_each(|member| track.subscribe(member));
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
        self.elsewhere = HashSet::new();
        self.note_elsewhere();
        self.members().for_each(|member| member.set_gone());
        self.seats
            .retain(|_, seat| matches!(seat, Seated::Reserved(_)));
        self.early = Early::default();
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
