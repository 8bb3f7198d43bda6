//! Reconciling a room with Redis after either has missed something.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt, stream};
use tracing::{debug, warn};
use weir_cluster::{DirectoryError, LogThrottle};
use weir_protocol::{Member, MemberId, RoomId};

use super::{
    counts::count,
    directory_core::{ATTEMPTS, DirectoryCore},
    node::incarnation::Incarnation,
    room::{
        mirror::Mirror,
        seated::Seated,
        watched::{FollowUp, Reconciled, WatchedRoom},
    },
    store::Reclaimed,
};
use crate::keys::Keys;

/// Maximum number of rooms reconciled at a time.
const CONCURRENCY: usize = 32;

/// Limits the log: many rooms may fail at once.
static FAILURES: LogThrottle = LogThrottle::new();

/// Starts what an event or a join has made necessary.
pub(crate) fn follow_up(core: &Arc<DirectoryCore>, watched: Arc<WatchedRoom>, needed: FollowUp) {
    let core = Arc::clone(core);
    match needed {
        FollowUp::None => {}
        FollowUp::Reconcile => {
            tokio::spawn(reconcile(core, watched));
        }
        FollowUp::RemoveGhosts(ghosts) => {
            tokio::spawn(async move {
                let room = &watched.room;
                let ghosts = ghosts.into_iter().map(|ghost| (room.clone(), ghost));
                let removed = core
                    .remove_ghosts(&core.seats.owner(), ghosts.collect())
                    .await;
                if removed.is_err() && watched.doubt() {
                    reconcile(core, watched).await;
                }
            });
        }
    }
}

/// Reconciles every room.
pub(crate) async fn reconcile_all(core: &Arc<DirectoryCore>) {
    reconcile_where(core, WatchedRoom::doubt).await;
}

/// Reconciles the rooms that an interruption or a failed reconciliation has left in doubt.
pub(crate) async fn reconcile_doubtful(core: &Arc<DirectoryCore>) {
    reconcile_where(core, WatchedRoom::is_left_in_doubt).await;
}

async fn reconcile_where(core: &Arc<DirectoryCore>, needed: fn(&WatchedRoom) -> bool) {
    let rooms = core.rooms.all().into_iter().filter(|room| needed(room));
    let rooms: Vec<_> = rooms.collect();
    if rooms.is_empty() {
        return;
    }
    debug!(rooms = rooms.len(), "rooms are compared with Redis");
    let mut reconciliations = Vec::new();
    for room in rooms {
        reconciliations.push(reconcile(Arc::clone(core), room));
    }
    let reconciliations = stream::iter(reconciliations).buffer_unordered(CONCURRENCY);
    reconciliations.count().await;
}

/// Reconciles a room: restores what Redis has lost, seats this node's members again, removes ghosts, and sends the
/// differences to the inbox.
pub(crate) async fn reconcile(core: Arc<DirectoryCore>, watched: Arc<WatchedRoom>) {
    let counts = &core.counts;
    match core.try_reconcile(&watched).await {
        Ok(()) => count(&counts.repairs, 1),
        Err(error) => {
            count(&counts.repairs_failed, 1);
            if let Some(held_back) = FAILURES.pass() {
                let room = &watched.room;
                warn!(%error, %room, held_back, "a room could not be compared with Redis");
            }
            watched.give_up();
        }
    }
}

impl DirectoryCore {
    async fn try_reconcile(&self, watched: &WatchedRoom) -> Result<(), DirectoryError> {
        for _ in 0..ATTEMPTS {
            let found = match self.store.snapshot(&watched.room).await {
                Ok(found) => Some(found),
                Err(DirectoryError::RoomNotFound(_)) => None,
                Err(error) => return Err(error),
            };
            let Some((known, missing)) = watched.compare(found.as_ref()) else {
                watched.give_up();
                return Ok(());
            };
            let Some(found) = found.filter(|found| found.version >= known.version) else {
                if self.seats.held(&watched.room).is_empty() {
                    // Whoever has members in the room restores it. Without any, it may have expired.
                    watched.forget();
                    return Ok(());
                }
                self.restore(known).await?;
                continue;
            };
            if !missing.is_empty() {
                if self.reclaim(&watched.room, missing, &known).await? {
                    continue;
                }
                // The next heartbeat starts another incarnation, and reconciles again.
                watched.give_up();
                return Ok(());
            }
            let ghosts = self.ghosts(&watched.room, &found);
            if !ghosts.is_empty() {
                self.remove_ghosts(&self.seats.owner(), ghosts).await?;
                continue;
            }
            match watched.reconcile(found) {
                Reconciled::Done => return Ok(()),
                Reconciled::Short(changes) => self.store.raise(&watched.room, changes).await?,
                Reconciled::Behind => {}
            }
        }
        let why = "the room changes too fast".to_owned();
        Err(DirectoryError::Unavailable(why))
    }

    /// Restores a room that Redis has lost, with the seats of all nodes. Each seat is in its owner's ledger before, so
    /// that the owner, or its reaper, removes those that are ghosts by now.
    async fn restore(&self, mut known: Mirror) -> Result<(), DirectoryError> {
        let owner = self.seats.owner();
        let room = known.room.id.clone();
        let seats = &self.seats;
        let is_ghost = |id: &MemberId, seated: &Seated| seats.is_ghost(&room, id, &seated.owner);
        known.members.retain(|id, seated| !is_ghost(id, seated));
        let mut entries: BTreeMap<String, (Incarnation, Vec<String>)> = BTreeMap::new();
        for (id, seated) in &mut known.members {
            if owner.owns(&seated.owner) {
                seated.owner = owner.clone();
            }
            let of = entries.entry(seated.owner.to_string());
            let (_, entries) = of.or_insert_with(|| (seated.owner.clone(), Vec::new()));
            entries.push(Keys::held_entry(&room, id));
        }
        for (other, entries) in entries.into_values() {
            if other == owner {
                self.store.hold(&owner, entries).await?;
            } else {
                self.store.vouch(&other, entries).await?;
            }
        }
        self.store.restore(&known).await
    }

    /// Seats members of this node again, or moves their seats to its current incarnation. Returns false if this
    /// incarnation was reaped.
    async fn reclaim(
        &self,
        room: &RoomId,
        members: Vec<Member>,
        known: &Mirror,
    ) -> Result<bool, DirectoryError> {
        let owner = self.seats.owner();
        let entries = members.iter();
        let entries = entries.map(|member| Keys::held_entry(room, &member.id));
        self.store.hold(&owner, entries.collect()).await?;
        for member in members {
            let id = &member.id;
            if !self.seats.start_reclaim(room, id) {
                continue;
            }
            let tracks = known.tracks_of(id);
            match self.store.reclaim(room, &owner, &member, tracks).await {
                Ok(Reclaimed::Seated) => self.seats.reclaimed(room, id),
                // Its departure has overtaken the reclaim.
                Ok(Reclaimed::Reaped) if !self.seats.holds(room, id) => {}
                Ok(Reclaimed::Reaped) => return Ok(false),
                Ok(Reclaimed::OtherNode) => {
                    warn!(%room, member = %id, "another node has taken over a member");
                    self.seats.lose(room, id);
                }
                // Lost again since the snapshot, which the caller repeats.
                Err(DirectoryError::RoomNotFound(_)) => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Returns the seats that name this node and that it does not hold.
    fn ghosts(&self, room: &RoomId, found: &Mirror) -> Vec<(RoomId, MemberId)> {
        let members = found.members.iter();
        let ghosts = members.filter(|(id, seated)| self.seats.is_ghost(room, id, &seated.owner));
        ghosts.map(|(id, _)| (room.clone(), id.clone())).collect()
    }
}
