//! How a room is brought in line with Redis after one of both has missed something.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::time::Instant;
use tracing::{debug, warn};
use weir_cluster::{DirectoryError, Seldom};
use weir_protocol::{LeaveReason, MemberId, RoomId};

use super::{
    counts::count,
    redis_directory::{ATTEMPTS, Shared, lock},
    watched::{Repaired, Watched},
};
use crate::keys::Keys;

/// How many rooms are repaired at a time.
const REPAIRS: usize = 32;

/// For how long a member that shall be gone, and is not there, is looked for: a node that was away from
/// Redis for longer, and knows the member, may write a lost room back with it.
const LOOKED_FOR: Duration = Duration::from_secs(30);

/// A member that shall be gone from a room.
#[derive(Debug, Clone)]
pub(crate) struct Left {
    pub(crate) room: RoomId,
    pub(crate) member: MemberId,
    pub(crate) reason: LeaveReason,
    /// Since when it is not there.
    pub(crate) missing: Option<Instant>,
}

impl Left {
    pub(crate) fn new(room: &RoomId, member: &MemberId, reason: LeaveReason) -> Self {
        Self {
            room: room.clone(),
            member: member.clone(),
            reason,
            missing: None,
        }
    }
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
        for left in left {
            let watched = self.watched(&left.room);
            // It has come again.
            if watched.is_some_and(|watched| watched.has(&left.member)) {
                continue;
            }
            let Left { room, member, .. } = left.clone();
            if let Err(DirectoryError::Unavailable(_)) = self.remove(left).await {
                debug!(%room, %member, "a member that left is still to be removed");
            }
        }
    }

    /// Has a member gone from a room; if Redis is away, when it is back. As long as a node may write the room
    /// back that knows the member, it is looked for.
    pub(crate) async fn remove(&self, mut left: Left) -> Result<(), DirectoryError> {
        let (room, member) = (&left.room, &left.member);
        let removed = self.store.leave(room, member, left.reason, None).await;
        let again = match &removed {
            Err(DirectoryError::Unavailable(_)) => true,
            Err(DirectoryError::RoomNotFound(_) | DirectoryError::MemberNotFound(_)) => {
                left.missing.get_or_insert_with(Instant::now).elapsed() < LOOKED_FOR
            }
            _ => false,
        };
        if again {
            lock(&self.left).push(left);
        } else {
            let entry = Keys::held_entry(room, member);
            // What stays behind is found gone by whoever reaps this node.
            let _ = self.store.let_go(&self.node(), entry).await;
        }
        removed
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
