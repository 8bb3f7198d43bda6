//! A room that this node watches: its state, its events, and this node's own members.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use opentelemetry::{KeyValue, trace::SpanKind};
use weir_cluster::{Inbox, trace};
use weir_protocol::{Change, LeaveReason, Member, MemberId, RoomEvent, RoomId, Track, TrackId};

use super::{
    event::{Event, Kind},
    mirror::Mirror,
};

/// The events that are kept for a state that is on its way. Beyond these the state is read again.
const KEPT: usize = 4_096;

/// A watched room.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) room: RoomId,
    inbox: Arc<dyn Inbox>,
    /// Held while the inbox is told, so that events keep their order.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The room's state, while members of this node are in it.
    mirror: Option<Mirror>,
    /// The version of the last event that was told. The mirror may be later at first, since a
    /// member's own joining is answered on another way than the events before it come on.
    told: u64,
    /// The last events, while there is no mirror; or those that wait for a repair.
    kept: Vec<Event>,
    /// The mirror is behind, or may be: events wait until it is repaired.
    behind: bool,
    /// Somebody repairs the mirror.
    repairing: bool,
    /// Something has happened since then that it may not have seen.
    again: bool,
    /// The members of this node as they joined. Nobody else removes them, other than by mistake. One
    /// that joined the room that Redis had before it had this one again is in no mirror yet.
    own: HashMap<MemberId, Member>,
    /// Tracks that their publishers take back.
    ending: HashSet<TrackId>,
}

/// What a repair found.
#[derive(Debug)]
pub(crate) enum Repaired {
    /// The mirror is up to date, and all differences are told.
    Done,
    /// There are so many changes to tell, and fewer versions to tell them with.
    Short(usize),
    /// Events are missing that are later than what was read.
    Behind,
}

impl Watched {
    pub(crate) fn new(room: RoomId, inbox: Arc<dyn Inbox>) -> Self {
        Self {
            room,
            inbox,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a change, as part of the trace that it came with.
    fn tell(&self, version: u64, change: Change, trace: Option<&str>) {
        let event = Arc::new(RoomEvent { version, change });
        if trace.is_none() {
            return self.inbox.room_event(&self.room, &event);
        }
        let attributes = vec![
            KeyValue::new("weir.room", self.room.as_str().to_owned()),
            KeyValue::new("weir.event", event.change.event()),
        ];
        let parent = trace::heard(trace);
        let span = trace::begin("room event", SpanKind::Consumer, &parent, attributes);
        let _current = span.clone().attach();
        self.inbox.room_event(&self.room, &event);
        trace::end(&span, None);
    }

    /// Takes an event from Redis. True if the caller is to have the room repaired.
    #[must_use]
    pub(crate) fn take(&self, event: Event) -> bool {
        let mut state = self.state();
        if state.behind {
            if state.kept.len() < KEPT {
                state.kept.push(event);
            }
            return false;
        }
        let Some(mirror) = &state.mirror else {
            // A room that is created again begins with version 1 again.
            if event.version > state.told || event.version == 1 {
                state.told = event.version;
                if let Some(change) = change_of(&event) {
                    self.tell(event.version, change, event.trace.as_deref());
                }
                if state.kept.len() == KEPT {
                    state.kept.remove(0);
                }
                state.kept.push(event);
            }
            return false;
        };
        // A room that was written anew, at whatever version, may lack who joined it just before.
        if event.version <= mirror.version && !matches!(event.kind, Kind::Restored) {
            if event.version > state.told {
                state.told = event.version;
                if let Some(change) = change_of(&event) {
                    self.tell(event.version, change, event.trace.as_deref());
                }
            }
            return false;
        }
        if event.version == mirror.version + 1 && !state.is_doubtful(&event) {
            self.follow(&mut state, &event);
            return false;
        }
        state.behind = true;
        state.kept = vec![event];
        !std::mem::replace(&mut state.repairing, true)
    }

    fn follow(&self, state: &mut State, event: &Event) {
        let Some(mirror) = &mut state.mirror else {
            return;
        };
        if let Some(change) = mirror.follow(event) {
            if let Change::TrackUnpublished { id, .. } = &change {
                state.ending.remove(id);
            }
            self.tell(event.version, change, event.trace.as_deref());
        }
        state.told = event.version;
    }

    /// A member of this node has joined, and this is the room as it found it. True if the caller is to
    /// have the room repaired.
    #[must_use]
    pub(crate) fn joined(&self, member: &MemberId, found: Mirror) -> bool {
        let mut state = self.state();
        if let Some(seated) = found.members.get(member) {
            state.own.insert(member.clone(), seated.member.clone());
        }
        if let Some(mirror) = &state.mirror {
            // It joined a room that was written back since, which a repair may have found without it.
            let old = found.version <= mirror.version && !mirror.members.contains_key(member);
            return old && state.doubt();
        }
        let version = found.version;
        state.mirror = Some(found);
        // These have been told; the mirror alone does not know them yet.
        for event in std::mem::take(&mut state.kept) {
            let mirror = state.mirror.as_mut().expect("it was just set");
            if event.version == mirror.version + 1 && event.version > version {
                mirror.follow(&event);
            }
        }
        false
    }

    /// A member of this node is leaving: that it goes is as it should be.
    pub(crate) fn leaving(&self, member: &MemberId) {
        let mut state = self.state();
        state.own.remove(member);
        let tracks = state.mirror.as_ref().map(|mirror| {
            let tracks = mirror.tracks_of(member);
            tracks.map(|track| track.id).collect::<Vec<_>>()
        });
        state.ending.extend(tracks.unwrap_or_default());
    }

    /// A track is taken back by its publisher.
    pub(crate) fn unpublishing(&self, track: TrackId) {
        self.state().ending.insert(track);
    }

    /// A member as this node knows it.
    pub(crate) fn member(&self, id: &MemberId) -> Option<Member> {
        let state = self.state();
        let seated = state.mirror.as_ref()?.members.get(id)?;
        Some(seated.member.clone())
    }

    /// A track as this node knows it.
    pub(crate) fn track(&self, id: TrackId) -> Option<Track> {
        self.state().mirror.as_ref()?.tracks.get(&id).cloned()
    }

    /// Whether it is a member of this node.
    pub(crate) fn has(&self, id: &MemberId) -> bool {
        self.state().own.contains_key(id)
    }

    /// The members of this node.
    pub(crate) fn own(&self) -> Vec<MemberId> {
        self.state().own.keys().cloned().collect()
    }

    /// Redis may have lost events, or all of it. True if the caller is to have the room repaired.
    #[must_use]
    pub(crate) fn doubt(&self) -> bool {
        self.state().doubt()
    }

    /// Whether a repair has failed. True if the caller is to try again.
    #[must_use]
    pub(crate) fn is_left_behind(&self) -> bool {
        let mut state = self.state();
        state.behind && !std::mem::replace(&mut state.repairing, true)
    }

    /// A repair has failed; somebody may try again.
    pub(crate) fn give_up(&self) {
        self.state().repairing = false;
    }

    /// The state as this node knows it, with those of its own members and their tracks that `found`
    /// does not have, or has on another node than `node`.
    pub(crate) fn compare(
        &self,
        found: Option<&Mirror>,
        node: &str,
    ) -> Option<(Mirror, Vec<Member>)> {
        let state = self.state();
        let mirror = state.mirror.clone()?;
        let missing = state.own.iter().filter(|(id, _)| {
            let Some(found) = found else { return true };
            let seated = found.members.get(*id);
            let tracks = || {
                mirror.tracks_of(id).all(|track| {
                    state.ending.contains(&track.id) || found.tracks.contains_key(&track.id)
                })
            };
            !(seated.is_some_and(|seated| seated.node() == node) && tracks())
        });
        let latest = |(id, joined): (&MemberId, &Member)| {
            let seated = mirror.members.get(id);
            seated.map_or(joined, |seated| &seated.member).clone()
        };
        let missing = missing.map(latest).collect();
        Some((mirror, missing))
    }

    /// Tells all that `found` is different in from what is known, then what came meanwhile.
    pub(crate) fn repair(&self, found: Mirror) -> Repaired {
        let mut state = self.state();
        let Some(mirror) = &state.mirror else {
            state.behind = false;
            state.repairing = false;
            return Repaired::Done;
        };
        let changes = mirror.changes_to(&found);
        let room = found.version.saturating_sub(mirror.version);
        if (changes.len() as u64) > room {
            return Repaired::Short(changes.len());
        }
        let first = found.version + 1 - changes.len() as u64;
        for (version, change) in (first..).zip(changes) {
            self.tell(version, change, None);
        }
        state.told = found.version;
        state.mirror = Some(found);
        for event in std::mem::take(&mut state.kept) {
            let known = state.mirror.as_ref().map_or(0, |mirror| mirror.version);
            if event.version <= known {
                continue;
            }
            if event.version > known + 1 || state.is_doubtful(&event) {
                return Repaired::Behind;
            }
            self.follow(&mut state, &event);
        }
        if std::mem::take(&mut state.again) {
            return Repaired::Behind;
        }
        state.behind = false;
        state.repairing = false;
        Repaired::Done
    }
}

impl State {
    /// What is known may be wrong. True if nobody repairs it yet.
    fn doubt(&mut self) -> bool {
        if self.mirror.is_none() {
            return false;
        }
        self.behind = true;
        self.again = self.repairing;
        !std::mem::replace(&mut self.repairing, true)
    }

    /// Whether an event must not simply be followed: the state was written anew, or somebody took
    /// this node for dead.
    fn is_doubtful(&self, event: &Event) -> bool {
        match &event.kind {
            Kind::Restored => true,
            Kind::Change(Change::MemberLeft { id, reason }) => {
                *reason == LeaveReason::NodeLost && self.own.contains_key(id)
            }
            Kind::Change(Change::TrackUnpublished { id, member }) => {
                self.own.contains_key(member) && !self.ending.contains(id)
            }
            Kind::Joined { .. } | Kind::Change(_) => false,
        }
    }
}

fn change_of(event: &Event) -> Option<Change> {
    match &event.kind {
        Kind::Joined { member, .. } => Some(Change::MemberJoined(member.clone())),
        Kind::Change(change) => Some(change.clone()),
        Kind::Restored => None,
    }
}

/// The rooms that a node watches.
pub(crate) type Rooms = HashMap<RoomId, Entry>;

/// A watched room, and how many guards there are.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) watched: Arc<Watched>,
    pub(crate) guards: usize,
}

#[cfg(test)]
mod tests;
