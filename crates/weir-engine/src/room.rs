//! A room, as far as this node has to do with it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use tokio::sync::OnceCell;
use weir_cluster::{Directory, DirectoryError, Joined, Watch};
use weir_protocol::{Ack, Code, Fault, Frame, MemberId, RoomEvent, RoomId, TrackId};

use crate::{
    Counters, lock,
    member::Member,
    reply::{Reply, notify},
    state::State,
    track::Track,
};

/// A room and those of its members who are connected to this node.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) id: RoomId,
    counters: Arc<Counters>,
    /// Held while members are told of a change, so that all are told in one order. Nobody calls
    /// the directory with it.
    state: Mutex<State>,
    /// Has the directory tell the room's events, from before the first member of this node joins.
    watch: OnceCell<Watch>,
}

/// The place of a member that is about to join: what happens meanwhile is kept for it.
///
/// Dropped without being taken, it is free again.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    room: &'a Room,
    member: Arc<Member>,
}

impl Room {
    pub(crate) fn new(id: RoomId, counters: Arc<Counters>) -> Self {
        Self {
            id,
            counters,
            state: Mutex::default(),
            watch: OnceCell::new(),
        }
    }

    /// Has the room's events told to this node, if they are not yet.
    pub(crate) async fn watch(&self, directory: &dyn Directory) -> Result<(), DirectoryError> {
        let watch = || directory.watch(&self.id);
        self.watch.get_or_try_init(watch).await.map(|_| ())
    }

    /// Takes an event of the room; they come one at a time, in order.
    pub(crate) fn event(&self, event: &Arc<RoomEvent>) {
        lock(&self.state).take(event, &self.counters);
    }

    /// Keeps a place for a member from before it asks the directory to join.
    pub(crate) fn reserve(&self, member: &Arc<Member>) -> Seat<'_> {
        lock(&self.state).reserve(member.id.clone());
        Seat {
            room: self,
            member: Arc::clone(member),
        }
    }

    /// Tells a member nothing more.
    pub(crate) fn remove(&self, member: &MemberId) {
        lock(&self.state).remove(member);
    }

    /// A member that is connected to this node.
    pub(crate) fn member(&self, id: &MemberId) -> Option<Arc<Member>> {
        lock(&self.state).seated(id).cloned()
    }

    /// A track of the room.
    ///
    /// # Errors
    /// `track_not_found`.
    pub(crate) fn track(&self, id: TrackId) -> Result<Arc<Track>, Fault> {
        let track = lock(&self.state).tracks.get(&id).cloned();
        track.ok_or_else(|| DirectoryError::TrackNotFound(id).into())
    }

    /// Has a track's chunks sent to a member, right after it was `told` so, unless one of both is
    /// gone by now.
    pub(crate) fn subscribe(&self, track: TrackId, member: &MemberId, told: impl FnOnce()) {
        let state = lock(&self.state);
        if let (Some(track), Some(member)) = (state.tracks.get(&track), state.seated(member)) {
            let hold = track.hold();
            told();
            hold.subscribe(member);
        } else {
            told();
        }
    }

    /// Why a member may not send chunks of a track that is not among its own.
    pub(crate) fn not_own(&self, track: TrackId) -> Fault {
        match self.track(track) {
            Ok(_) => DirectoryError::NotTrackOwner(track).into(),
            Err(missing) => missing,
        }
    }

    /// Hands an encoded message to those whom it is for: without `to`, everybody but its sender.
    ///
    /// # Errors
    /// `member_not_found` for an id in `to` that is nobody's in the room; then nobody gets it.
    pub(crate) fn send(
        &self,
        from: &MemberId,
        to: Option<&[MemberId]>,
        message: &Frame,
    ) -> Result<(), Fault> {
        let state = lock(&self.state);
        let Some(to) = to else {
            let others = state.members().filter(|member| member.id != *from);
            others.for_each(|member| notify(&*member.outlet, &self.counters, message));
            return Ok(());
        };
        if let Some(unknown) = to.iter().find(|id| !state.is_present(id)) {
            let shown: String = unknown.as_str().chars().take(64).collect();
            let message = format!("to: no member {shown:?} in this room");
            return Err(Fault::new(Code::MemberNotFound, message));
        }
        let distinct: HashSet<_> = to.iter().collect();
        for member in distinct.into_iter().filter_map(|id| state.seated(id)) {
            notify(&*member.outlet, &self.counters, message);
        }
        Ok(())
    }
}

impl Seat<'_> {
    /// The member has joined: tells it the state that it joined at, then all that happened since.
    pub(crate) fn take(self, joined: &Joined, reply: &Reply<'_>) {
        let Joined { member, snapshot } = joined;
        let mut state = lock(&self.room.state);
        state.learn(snapshot);
        // Whoever sends a chunk after the member was told that it has joined sends it to it, too.
        let held = state.hold(&self.member, snapshot);
        reply.done(Ack::Joined { member, snapshot });
        held.into_iter()
            .for_each(|hold| hold.subscribe(&self.member));
        state.seat(&self.member, snapshot.version, &self.room.counters);
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        lock(&self.room.state).give_up(&self.member.id);
    }
}
