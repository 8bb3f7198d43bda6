//! How a room is brought in line with Redis after one of both has missed something.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tracing::{debug, warn};
use weir_cluster::{DirectoryError, Seldom};
use weir_protocol::{LeaveReason, MemberId, RoomId};

use crate::{
    counts::count,
    directory::{ATTEMPTS, Shared, lock},
    keys::Keys,
    watched::{Repaired, Watched},
};

/// How many rooms are repaired at a time.
const REPAIRS: usize = 32;

/// A member that shall be gone from a room.
#[derive(Debug, Clone)]
pub(crate) struct Left {
    pub(crate) room: RoomId,
    pub(crate) member: MemberId,
    pub(crate) reason: LeaveReason,
}

/// There may be many rooms.
static FAILURES: Seldom = Seldom::new();

impl Shared {
    /// Repairs every room, then has those gone who left meanwhile.
    pub(crate) async fn repair_all(self: &Arc<Self>) {
        self.repair_where(Watched::doubt).await;
        self.finish().await;
    }

    /// Does what has failed before: repairs, and leavings.
    pub(crate) async fn finish(self: &Arc<Self>) {
        self.repair_where(Watched::is_left_behind).await;
        let left = std::mem::take(&mut *lock(&self.left));
        for Left {
            room,
            member,
            reason,
        } in left
        {
            if let Err(DirectoryError::Unavailable(_)) = self.remove(&room, &member, reason).await {
                debug!(%room, %member, "a member that left is still to be removed");
            }
        }
    }

    async fn repair_where(self: &Arc<Self>, needed: fn(&Watched) -> bool) {
        let mut repairs = Vec::new();
        for watched in self.all() {
            if needed(&watched) {
                repairs.push(Arc::clone(self).repair(watched));
            }
        }
        let repaired = stream::iter(repairs)
            .buffer_unordered(REPAIRS)
            .count()
            .await;
        if repaired > 0 {
            debug!(repaired, "rooms were compared with Redis");
        }
    }

    /// Gives Redis what it has lost of a room, and tells the inbox what it has missed.
    pub(crate) async fn repair(self: Arc<Self>, watched: Arc<Watched>) {
        let repaired = self.try_repair(&watched).await;
        let counts = &self.counts;
        count(
            if repaired.is_ok() {
                &counts.repairs
            } else {
                &counts.repairs_failed
            },
            1,
        );
        if let Err(error) = repaired {
            if let Some(held_back) = FAILURES.pass() {
                let room = &watched.room;
                warn!(%error, %room, held_back, "a room could not be compared with Redis");
            }
            watched.give_up();
        }
    }

    async fn try_repair(&self, watched: &Watched) -> Result<(), DirectoryError> {
        for _ in 0..ATTEMPTS {
            let found = match self.store.snapshot(&watched.room).await {
                Ok(found) => Some(found),
                Err(DirectoryError::RoomNotFound(_)) => None,
                Err(error) => return Err(error),
            };
            let node = self.node();
            let Some((known, missing)) = watched.compare(found.as_ref(), &node) else {
                watched.give_up();
                return Ok(());
            };
            let older = found
                .as_ref()
                .is_none_or(|found| found.version < known.version);
            if older {
                self.store.restore(&known).await?;
                continue;
            }
            if !missing.is_empty() {
                let entries = missing
                    .iter()
                    .map(|member| Keys::held_entry(&watched.room, &member.id));
                self.store.hold(&node, entries.collect()).await?;
                for member in missing {
                    let tracks = known.tracks_of(&member.id);
                    let reclaimed = self.store.reclaim(&watched.room, &member, &node, tracks);
                    reclaimed.await?;
                }
                continue;
            }
            match found.map(|found| watched.repair(found)) {
                Some(Repaired::Done) | None => return Ok(()),
                Some(Repaired::Short(changes)) => self.store.raise(&watched.room, changes).await?,
                Some(Repaired::Behind) => {}
            }
        }
        Err(DirectoryError::Unavailable(
            "the room changes too fast".to_owned(),
        ))
    }
}
