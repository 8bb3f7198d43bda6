//! State and events of a room that this node watches.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use opentelemetry::{KeyValue, trace::SpanKind};
use parking_lot::Mutex;
use weir_cluster::{Inbox, trace};
use weir_protocol::{Change, LeaveReason, Member, MemberId, RoomEvent, RoomId, Track, TrackId};

use super::{
    event::{Event, EventKind},
    mirror::Mirror,
    seated::Seated,
};
use crate::directory::node::seats::OwnSeats;

/// Maximum number of events kept while the state is unknown. Beyond these, the state is read again.
const KEPT: usize = 4_096;

/// A room that this node watches.
#[derive(Debug)]
pub(crate) struct WatchedRoom {
    pub(crate) room: RoomId,
    inbox: Arc<dyn Inbox>,
    seats: Arc<OwnSeats>,
    /// Held while the inbox is called, so that events keep their order.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// State of the room, once a member of this node has joined.
    mirror: Option<Mirror>,
    /// Version of the last event sent to the inbox. The mirror may be ahead at first: the answer to a join
    /// overtakes the events before it.
    told: u64,
    /// Last events without a mirror, or events that wait for a reconciliation.
    kept: Vec<Event>,
    /// The mirror may be wrong; events wait until it is reconciled.
    in_doubt: bool,
    /// A task reconciles the mirror.
    reconciling: bool,
    /// A doubt arose during the reconciliation, which may not have seen its cause.
    again: bool,
    /// Tracks that their publishers are unpublishing.
    ending: HashSet<TrackId>,
}

/// Action that an event or a join requires of the caller.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum FollowUp {
    /// Nothing.
    None,
    /// Reconcile the room.
    Reconcile,
    /// Remove these members, whose seats name this node and which it does not hold.
    RemoveGhosts(Vec<MemberId>),
}

impl FollowUp {
    fn reconcile(needed: bool) -> Self {
        if needed { Self::Reconcile } else { Self::None }
    }
}

/// Outcome of a reconciliation.
#[derive(Debug)]
pub(crate) enum Reconciled {
    /// The mirror is up to date, and the inbox knows all differences.
    Done,
    /// There are more changes, this many, than versions to number them with.
    Short(usize),
    /// Events later than the snapshot are missing.
    Behind,
}

impl WatchedRoom {
    pub(crate) fn new(room: RoomId, inbox: Arc<dyn Inbox>, seats: Arc<OwnSeats>) -> Self {
        Self {
            room,
            inbox,
            seats,
            state: Mutex::default(),
        }
    }

    /// Sends a change to the inbox, in the trace that it belongs to.
    fn tell(&self, version: u64, change: Change, trace: Option<&str>) {
        let event = Arc::new(RoomEvent { version, change });
        if trace.is_none() {
            return self.inbox.room_event(&self.room, &event);
        }
        let attributes = vec![
            KeyValue::new("weir.room", self.room.as_str().to_owned()),
            KeyValue::new("weir.event", event.change.event()),
        ];
        let parent = trace::extract(trace);
        let span = trace::start("room event", SpanKind::Consumer, &parent, attributes);
        let _current = span.clone().attach();
        self.inbox.room_event(&self.room, &event);
        trace::end(&span, None);
    }

    /// Applies an event from Redis.
    pub(crate) fn receive(&self, event: Event) -> FollowUp {
        // A delayed join may have seated a member that is not here any more.
        let ghost = match &event.kind {
            EventKind::Joined(seated) if self.is_ghost(seated) => Some(seated.member.id.clone()),
            _ => None,
        };
        match (self.advance(event), ghost) {
            (true, _) => FollowUp::Reconcile,
            (false, Some(ghost)) => FollowUp::RemoveGhosts(vec![ghost]),
            (false, None) => FollowUp::None,
        }
    }

    /// Applies an event, or keeps it. Returns whether the room is to be reconciled.
    fn advance(&self, event: Event) -> bool {
        let mut state = self.state.lock();
        if state.in_doubt {
            if state.kept.len() < KEPT {
                state.kept.push(event);
            }
            return false;
        }
        let Some(mirror) = &state.mirror else {
            self.receive_unmirrored(&mut state, event);
            return false;
        };
        // A restored room, of whatever version, may lack a member that joined just before.
        if event.version <= mirror.version && !matches!(event.kind, EventKind::Restored) {
            if event.version > state.told {
                state.told = event.version;
                if let Some(change) = change_of(&event) {
                    self.tell(event.version, change, event.trace.as_deref());
                }
            }
            return false;
        }
        if event.version == mirror.version + 1 && !self.is_doubtful(&state, &event) {
            self.apply(&mut state, &event);
            return false;
        }
        state.in_doubt = true;
        state.kept = vec![event];
        !std::mem::replace(&mut state.reconciling, true)
    }

    /// Forwards an event of a room without a mirror, and keeps it for the mirror.
    fn receive_unmirrored(&self, state: &mut State, event: Event) {
        // A room that is created again restarts at version 1.
        if event.version <= state.told && event.version != 1 {
            return;
        }
        state.told = event.version;
        if let Some(change) = change_of(&event) {
            self.tell(event.version, change, event.trace.as_deref());
        }
        if state.kept.len() == KEPT {
            state.kept.remove(0);
        }
        state.kept.push(event);
    }

    /// Applies the next event to the mirror and sends it to the inbox.
    fn apply(&self, state: &mut State, event: &Event) {
        let Some(mirror) = &mut state.mirror else {
            return;
        };
        if let Some(change) = mirror.apply(event) {
            if let Change::TrackUnpublished { id, .. } = &change {
                state.ending.remove(id);
            }
            self.tell(event.version, change, event.trace.as_deref());
        }
        state.told = event.version;
    }

    /// Whether an event starts a reconciliation: the room was restored, or another node has removed a seat or a
    /// track of this node.
    fn is_doubtful(&self, state: &State, event: &Event) -> bool {
        match &event.kind {
            EventKind::Restored => true,
            EventKind::Change(Change::MemberLeft { id, reason }) => {
                *reason == LeaveReason::NodeLost && self.seats.holds(&self.room, id)
            }
            EventKind::Change(Change::TrackUnpublished { id, member }) => {
                !state.ending.contains(id) && self.seats.holds(&self.room, member)
            }
            EventKind::Joined(_) | EventKind::Change(_) => false,
        }
    }

    fn is_ghost(&self, seated: &Seated) -> bool {
        let (room, member) = (&self.room, &seated.member.id);
        self.seats.is_ghost(room, member, &seated.owner)
    }

    /// Takes over the state that a member of this node found when it joined.
    pub(crate) fn joined(&self, member: &MemberId, found: Mirror) -> FollowUp {
        let mut state = self.state.lock();
        if let Some(mirror) = &state.mirror {
            // The room may have been restored since, and reconciled without the new member.
            let old = found.version <= mirror.version && !mirror.members.contains_key(member);
            return FollowUp::reconcile(old && state.doubt());
        }
        let version = found.version;
        let ghosts = found
            .members
            .values()
            .filter(|seated| self.is_ghost(seated));
        let ghosts: Vec<_> = ghosts.map(|seated| seated.member.id.clone()).collect();
        state.mirror = Some(found);
        // The inbox has these already; the mirror alone lacks them.
        for event in std::mem::take(&mut state.kept) {
            let mirror = state.mirror.as_mut().expect("it was just set");
            if event.version == mirror.version + 1 && event.version > version {
                mirror.apply(&event);
            }
        }
        match ghosts.is_empty() {
            true => FollowUp::None,
            false => FollowUp::RemoveGhosts(ghosts),
        }
    }

    /// Expects the end of all tracks of a member that leaves.
    pub(crate) fn leaving(&self, member: &MemberId) {
        let mut state = self.state.lock();
        let tracks = state.mirror.as_ref().map(|mirror| {
            let tracks = mirror.tracks_of(member);
            tracks.map(|track| track.id).collect::<Vec<_>>()
        });
        state.ending.extend(tracks.unwrap_or_default());
    }

    /// Expects the end of a track.
    pub(crate) fn unpublishing(&self, track: TrackId) {
        self.state.lock().ending.insert(track);
    }

    /// Returns a member as this node knows it.
    pub(crate) fn member(&self, id: &MemberId) -> Option<Member> {
        let state = self.state.lock();
        let seated = state.mirror.as_ref()?.members.get(id)?;
        Some(seated.member.clone())
    }

    /// Returns a track as this node knows it.
    pub(crate) fn track(&self, id: TrackId) -> Option<Track> {
        self.state.lock().mirror.as_ref()?.tracks.get(&id).cloned()
    }

    /// Puts the room in doubt: Redis may have lost events or state. Returns whether the caller is to reconcile it.
    #[must_use]
    pub(crate) fn doubt(&self) -> bool {
        self.state.lock().doubt()
    }

    /// Puts the room in doubt, until a task reconciles it: its subscription was interrupted.
    pub(crate) fn interrupted(&self) {
        let mut state = self.state.lock();
        if state.mirror.is_some() {
            state.in_doubt = true;
            state.again = state.reconciling;
        }
    }

    /// Whether the room is in doubt and no task reconciles it. If so, the caller is to reconcile it.
    #[must_use]
    pub(crate) fn is_left_in_doubt(&self) -> bool {
        let mut state = self.state.lock();
        state.in_doubt && !std::mem::replace(&mut state.reconciling, true)
    }

    /// Discards the mirror of a room in which this node has no members, and forwards the events that
    /// waited for it.
    pub(crate) fn forget(&self) {
        let mut state = self.state.lock();
        state.mirror = None;
        state.in_doubt = false;
        state.reconciling = false;
        state.again = false;
        for event in std::mem::take(&mut state.kept) {
            self.receive_unmirrored(&mut state, event);
        }
    }

    /// Ends a failed reconciliation; another one may start.
    pub(crate) fn give_up(&self) {
        self.state.lock().reconciling = false;
    }

    /// Returns the mirror, and this node's members that `found` lacks: without a seat of the current incarnation,
    /// or without all of their tracks. Returns `None` for a room without a mirror.
    pub(crate) fn compare(&self, found: Option<&Mirror>) -> Option<(Mirror, Vec<Member>)> {
        let owner = self.seats.owner();
        let state = self.state.lock();
        let mirror = state.mirror.clone()?;
        let held = self.seats.held(&self.room).into_iter();
        let missing = held.filter(|member| {
            let Some(found) = found else { return true };
            let seated = found.members.get(&member.id);
            let tracks = || {
                mirror.tracks_of(&member.id).all(|track| {
                    state.ending.contains(&track.id) || found.tracks.contains_key(&track.id)
                })
            };
            !(seated.is_some_and(|seated| seated.owner == owner) && tracks())
        });
        let latest = |joined: Member| {
            let seated = mirror.members.get(&joined.id);
            seated.map_or(joined, |seated| seated.member.clone())
        };
        let missing = missing.map(latest).collect();
        Some((mirror, missing))
    }

    /// Replaces the mirror with `found` and sends all differences to the inbox, then the events since.
    pub(crate) fn reconcile(&self, found: Mirror) -> Reconciled {
        let mut state = self.state.lock();
        let Some(mirror) = &state.mirror else {
            state.in_doubt = false;
            state.reconciling = false;
            return Reconciled::Done;
        };
        let mut changes = mirror.changes_to(&found);
        let versions = found.version.saturating_sub(mirror.version);
        if (changes.len() as u64) > versions {
            return Reconciled::Short(changes.len());
        }
        add_reasons(&mut changes, &state.kept);
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
            if event.version > known + 1 || self.is_doubtful(&state, &event) {
                return Reconciled::Behind;
            }
            self.apply(&mut state, &event);
        }
        if std::mem::take(&mut state.again) {
            return Reconciled::Behind;
        }
        state.in_doubt = false;
        state.reconciling = false;
        Reconciled::Done
    }
}

impl State {
    /// Puts a mirror in doubt. Returns whether no task reconciles it yet.
    fn doubt(&mut self) -> bool {
        if self.mirror.is_none() {
            return false;
        }
        self.in_doubt = true;
        self.again = self.reconciling;
        !std::mem::replace(&mut self.reconciling, true)
    }
}

fn change_of(event: &Event) -> Option<Change> {
    match &event.kind {
        EventKind::Joined(seated) => Some(Change::MemberJoined(seated.member.clone())),
        EventKind::Change(change) => Some(change.clone()),
        EventKind::Restored => None,
    }
}

/// Adds the reasons of departures from the events that a snapshot has overtaken.
fn add_reasons(changes: &mut [Change], overtaken: &[Event]) {
    let reasons = overtaken.iter().filter_map(|event| match &event.kind {
        EventKind::Change(Change::MemberLeft { id, reason }) => Some((id, *reason)),
        _ => None,
    });
    let reasons: HashMap<_, _> = reasons.collect();
    for change in changes {
        if let Change::MemberLeft { id, reason } = change
            && let Some(known) = reasons.get(id)
        {
            *reason = *known;
        }
    }
}

#[cfg(test)]
mod tests;
