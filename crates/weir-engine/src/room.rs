//! A room, as far as this node has to do with it.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::{join_all, try_join};
use tokio::{
    sync::{OnceCell, watch},
    time::{Instant, timeout},
};
use weir_cluster::{BusError, Directory, DirectoryError, Joined, Signal, Subscription, Watch};
use weir_protocol::{Ack, Code, Fault, MemberId, RoomEvent, SendMessage, TrackId};

use crate::{
    ByKind,
    follow::Claim,
    inflow::{AbortOnDrop, Inflow},
    link::{FromBus, InflowSink, Link},
    lock,
    member::Member,
    reply::Reply,
    state::State,
    track::Track,
};

/// How long whoever subscribes to tracks of other nodes waits until these nodes know.
const PATIENCE: Duration = Duration::from_secs(1);

/// What other nodes may have to say to a room's members before these are told, in bytes.
const SIGNALS_BYTES: usize = 8 * 1024 * 1024;

/// How long a change that was made may take to be heard of.
const ECHO: Duration = Duration::from_millis(1_500);

/// A room and those of its members who are connected to this node.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) link: Link,
    /// Reference time of [`age`](Self::age).
    start: Instant,
    /// Held while members are told of a change, so that all are told in one order. Nobody calls
    /// the directory or the bus with it.
    state: Mutex<State>,
    /// Whether the room has members on other nodes.
    elsewhere: Arc<AtomicBool>,
    /// Raised with every event.
    events: watch::Sender<u64>,
    /// Subscriptions to the room, from before the first member of this node joins.
    told: OnceCell<(Watch, Subscription, AbortOnDrop)>,
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
    pub(crate) fn new(link: Link) -> Self {
        let state = State::new(link.clone());
        Self {
            elsewhere: state.is_elsewhere(),
            state: Mutex::new(state),
            link,
            start: Instant::now(),
            events: watch::Sender::new(0),
            told: OnceCell::new(),
        }
    }

    /// Returns a member that is connected to this node.
    pub(crate) fn seated(&self, id: &MemberId) -> Option<Arc<Member>> {
        self.state().seated(id).cloned()
    }

    /// Returns the time since this node started to track the room.
    pub(crate) fn age(&self) -> Duration {
        self.start.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Has everything that happens in the room told to this node, if it is not yet.
    pub(crate) async fn listen(self: &Arc<Self>, directory: &dyn Directory) -> Result<(), Fault> {
        let Link { room, bus, .. } = &self.link;
        let listen = || async {
            let inflow = Arc::new(Inflow::new(SIGNALS_BYTES));
            let (this, drained) = (Arc::downgrade(self), Arc::clone(&inflow));
            let handle = move |message| {
                if let Some(room) = this.upgrade() {
                    room.receive(message);
                }
            };
            let handling = tokio::spawn(async move { drained.drain(handle).await });
            let handling = AbortOnDrop(handling.abort_handle());
            let counters = Arc::clone(&self.link.counters);
            let sink = Arc::new(InflowSink { inflow, counters });
            let listening = async {
                let listening = bus.listen(room, sink).await;
                listening.map_err(|error| unavailable(&error))
            };
            let watching = async { directory.watch(room).await.map_err(Fault::from) };
            let (watch, subscription) = try_join(watching, listening).await?;
            Ok((watch, subscription, handling))
        };
        self.told.get_or_try_init(listen).await.map(|_| ())
    }

    /// Takes an event of the room; they come one at a time, in order.
    pub(crate) fn event(&self, event: &Arc<RoomEvent>) {
        self.state().take(event);
        self.events.send_modify(|count| *count += 1);
    }

    /// Handles a message from the bus.
    fn receive(self: &Arc<Self>, message: FromBus) {
        let signal = match message {
            FromBus::Signal(signal) => signal,
            FromBus::Interrupted => return self.want_again(),
        };
        match &*signal {
            Signal::Message { .. } => self.state().message(&signal),
            Signal::KeyframeRequested(track) => {
                if let Ok(track) = self.track(*track) {
                    self.request_keyframe_here(&track);
                }
            }
            Signal::Wanted { track, beginning } => self.announce(*track, *beginning),
            Signal::Position {
                track,
                last,
                beginning,
            } => {
                if let Ok(track) = self.track(*track) {
                    track.position(*last, *beginning);
                }
            }
        }
    }

    /// Another node wants a track: puts what it has missed on the bus, then the position.
    fn announce(&self, id: TrackId, beginning: bool) {
        let Ok(track) = self.track(id) else { return };
        let Some((last, chunks)) = track.announce(beginning) else {
            return;
        };
        chunks.iter().for_each(|relayed| track.relay(relayed));
        let position = Signal::Position {
            track: id,
            last,
            beginning,
        };
        // Without it, the other node asks again.
        let _ = self.link.signals.send(&position);
    }

    /// Tells the nodes of all tracks that are wanted here that they are: they may believe otherwise.
    fn want_again(&self) {
        let tracks: Vec<_> = self.state().tracks.values().cloned().collect();
        for track in tracks {
            if track.following(|following, _| following.is_subscribed()) == Some(true) {
                let (track, beginning) = (track.id, false);
                let wanted = Signal::Wanted { track, beginning };
                // Without it, they see it by their next probe.
                let _ = self.link.signals.send(&wanted);
            }
        }
    }

    /// Whether the room has members on other nodes.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.elsewhere.load(Ordering::Acquire)
    }

    /// Keeps a place for a member from before it asks the directory to join.
    pub(crate) fn reserve(&self, member: &Arc<Member>) -> Seat<'_> {
        self.state().reserve(member.id.clone());
        Seat {
            room: self,
            member: Arc::clone(member),
        }
    }

    /// Tells a member nothing more.
    pub(crate) fn remove(&self, member: &MemberId) {
        self.state().remove(member);
    }

    /// Takes all members of this node out, and answers with who they were.
    pub(crate) fn vacate(&self) -> Vec<MemberId> {
        self.state().vacate()
    }

    /// How many members of this node are in it; adds the tracks that they publish to `tracks`.
    pub(crate) fn census(&self, tracks: &ByKind) -> u64 {
        self.state().census(tracks)
    }

    /// A track of the room.
    ///
    /// # Errors
    /// `track_not_found`.
    pub(crate) fn track(&self, id: TrackId) -> Result<Arc<Track>, Fault> {
        let track = self.state().tracks.get(&id).cloned();
        track.ok_or_else(|| DirectoryError::TrackNotFound(id).into())
    }

    /// Waits until a track that was published is known here, which is when its chunks are taken.
    ///
    /// # Errors
    /// `unavailable` if that takes too long.
    pub(crate) async fn published(&self, id: TrackId) -> Result<(), Fault> {
        let mut events = self.events.subscribe();
        let known = events.wait_for(|_| self.state().tracks.contains_key(&id));
        match timeout(ECHO, known).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Fault::new(
                Code::Unavailable,
                format!("track {id} was published, but the rooms' events do not come in"),
            )),
        }
    }

    /// Has a track's chunks sent to a member, right after it was `told` so, unless one of both is
    /// gone by now.
    pub(crate) async fn subscribe(
        &self,
        track: &Arc<Track>,
        member: &MemberId,
        told: impl FnOnce(),
    ) {
        let claim = Claim::new(track);
        if let Some(claim) = &claim {
            claim.begun(PATIENCE).await;
        }
        let state = self.state();
        if let (Some(track), Some(member)) = (state.tracks.get(&track.id), state.seated(member)) {
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

    /// Sends a message to the members in `to`; without `to`, to everybody but the sender. Members
    /// of this node receive it after it is on its way to the others: if that fails, nobody receives
    /// it.
    ///
    /// # Errors
    /// `member_not_found` for an id in `to` without a member in the room. `unavailable` if other
    /// nodes have recipients but cannot be reached; then nobody receives the message.
    pub(crate) async fn send(&self, from: &MemberId, message: &SendMessage) -> Result<(), Fault> {
        let to = message.to.as_ref().map(|to| {
            let distinct: HashSet<_> = to.iter().map(|id| MemberId::new(id)).collect();
            distinct.into_iter().collect::<Vec<_>>()
        });
        let (elsewhere, version) = self.state().audience(to.as_deref())?;
        let message = Arc::new(Signal::Message {
            version,
            from: from.clone(),
            to,
            topic: message.topic.clone(),
            data: message.data.clone(),
            attachments: message.attachments.clone(),
        });
        if elsewhere {
            let delivered = self.link.signals.deliver(&message).await;
            delivered.map_err(|error| unavailable(&error))?;
        }
        self.state().message(&message);
        Ok(())
    }
}

pub(crate) fn unavailable(error: &BusError) -> Fault {
    Fault::new(Code::Unavailable, error.to_string())
}

impl Seat<'_> {
    /// The member has joined, and this is what it found. Waits until other nodes send the tracks
    /// that it is to receive, if they are not slow.
    pub(crate) async fn learn(&self, joined: &Joined) -> Vec<Claim> {
        let wanted = {
            let mut state = self.room.state();
            state.learn(&self.member.id, &joined.snapshot);
            state.wanted(&self.member, &joined.snapshot)
        };
        let claims: Vec<_> = wanted.iter().filter_map(Claim::new).collect();
        join_all(claims.iter().map(|claim| claim.begun(PATIENCE))).await;
        claims
    }

    /// Tells the member the state that it joined at, then all that happened since.
    ///
    /// # Errors
    /// `unavailable` if too much has happened since.
    pub(crate) fn take(self, joined: &Joined, reply: &Reply<'_>) -> Result<(), Fault> {
        let Joined { member, snapshot } = joined;
        let mut state = self.room.state();
        let kept = state.kept(&self.member.id)?;
        // Whoever sends a chunk after the member was told that it has joined sends it to it, too.
        let tracks = state.wanted(&self.member, snapshot);
        let holds: Vec<_> = tracks.iter().map(Track::hold).collect();
        reply.done(Ack::Joined { member, snapshot });
        let receive = holds.into_iter();
        receive.for_each(|hold| hold.subscribe(&self.member));
        state.seat(&self.member, snapshot.version, kept);
        Ok(())
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.room.state().give_up(&self.member.id);
    }
}
