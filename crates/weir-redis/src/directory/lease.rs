//! A node's lease, and the reaper of those whose lease has run out.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use rand::Rng;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{info, warn};
use weir_cluster::DirectoryError;
use weir_protocol::{LeaveReason, MemberId, RoomId};

use super::{
    counts::count,
    redis_directory::{Shared, cause},
    store::LIVE_TTL,
};
use crate::{connection::health::Health, keys::Keys};

/// How often a node says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// How often it tries to while Redis does not answer.
const PROBE: Duration = Duration::from_millis(250);

/// After so many failures in a row it is told why.
const LASTING: u32 = 2;

/// How long a node counts as alive after it said so.
const LEASE: Duration = Duration::from_secs(8);

/// How long one who reaps may take before another goes on with it.
const REAPING: Duration = Duration::from_secs(10);

/// How many members are reaped at a time.
const AT_ONCE: usize = 64;

/// How often a node touches what it holds.
const TOUCH: Duration = Duration::from_secs(LIVE_TTL.as_secs() / 4);

/// An id that no other node has.
pub(crate) fn node_id() -> String {
    format!("{:016x}", rand::rng().random::<u64>())
}

/// Keeps this node's lease, reaps the dead, and has the rooms repaired after Redis was away.
pub(crate) async fn keep(shared: Arc<Shared>) {
    let mut ticks = interval(PROBE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut new = true;
    let mut failures = 0;
    // Since when Redis has answered without a pause.
    let mut since = None;
    let mut next = Instant::now();
    let mut touched = Instant::now();
    loop {
        ticks.tick().await;
        if Instant::now() < next {
            continue;
        }
        match beat(&shared, new).await {
            Ok(kept) => {
                let counts = &shared.counts;
                count(
                    if kept {
                        &counts.renewed
                    } else {
                        &counts.leases_lost
                    },
                    1,
                );
                failures = 0;
                let back = since.is_none() && !new;
                let stable: Instant = *since.get_or_insert_with(Instant::now);
                next = Instant::now() + HEARTBEAT;
                new = false;
                shared.set_health(Health::Works);
                if back || !kept {
                    shared.repair_all().await;
                } else {
                    shared.finish().await;
                }
                // All who are alive must have had the time to say so.
                if stable.elapsed() > LEASE {
                    reap(&shared).await;
                }
                if touched.elapsed() > TOUCH {
                    touched = Instant::now();
                    touch(&shared).await;
                }
            }
            Err(error) => {
                since = None;
                count(&shared.counts.renewals_failed, 1);
                failures += 1;
                if failures == LASTING {
                    warn!(%error, "the directory cannot be reached");
                }
                shared.set_health(Health::fails(&cause(&error)));
            }
        }
    }
}

/// Says that this node is alive; false if it was taken for dead and has a new id now.
async fn beat(shared: &Shared, new: bool) -> Result<bool, DirectoryError> {
    if shared.store.heartbeat(&shared.node(), LEASE, new).await? {
        return Ok(true);
    }
    let id = shared.renew_node();
    warn!(
        node = id,
        "this node was taken for dead; it takes another id"
    );
    shared.store.heartbeat(&id, LEASE, true).await?;
    Ok(false)
}

/// Lets everything that this node holds live on.
async fn touch(shared: &Shared) {
    let node = shared.node();
    for watched in shared.all() {
        let entries = watched
            .own()
            .iter()
            .map(|id| Keys::held_entry(&watched.room, id))
            .collect::<Vec<_>>();
        if !entries.is_empty() {
            // What fails now is tried again long before anything has gone.
            let _ = shared.store.touch(&watched.room).await;
            let _ = shared.store.hold(&node, entries).await;
        }
    }
}

/// Removes the members of dead nodes.
async fn reap(shared: &Arc<Shared>) {
    let dead = match shared.store.claim(REAPING).await {
        Ok(dead) => dead,
        Err(error) => return warn!(%error, "the dead could not be looked for"),
    };
    for node in dead {
        match reap_node(shared, &node).await {
            Ok(members) => {
                count(&shared.counts.nodes_reaped, 1);
                count(&shared.counts.members_reaped, members);
                info!(node, members, "a dead node was reaped");
            }
            Err(error) => warn!(%error, node, "a dead node could not be reaped yet"),
        }
    }
}

async fn reap_node(shared: &Arc<Shared>, node: &str) -> Result<usize, DirectoryError> {
    let held = shared.store.held(node).await?;
    let mut members = Vec::new();
    for entry in &held {
        if let Some((room, member)) = Keys::held_member(entry) {
            members.push(reap_member(
                Arc::clone(shared),
                node.to_owned(),
                room,
                member,
            ));
        }
    }
    let mut reaping = stream::iter(members).buffer_unordered(AT_ONCE);
    let mut reaped = 0;
    let mut failed = None;
    while let Some(outcome) = reaping.next().await {
        match outcome {
            Ok(was_there) => reaped += usize::from(was_there),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) => Err(error),
        None => shared.store.reaped(node).await.map(|()| reaped),
    }
}

/// Removes a member of a dead node; false if there was nothing to remove.
async fn reap_member(
    shared: Arc<Shared>,
    node: String,
    room: RoomId,
    member: MemberId,
) -> Result<bool, DirectoryError> {
    let reason = LeaveReason::NodeLost;
    match shared
        .store
        .leave(&room, &member, reason, Some(&node))
        .await
    {
        Ok(()) => Ok(true),
        // It left before its node died, or is on another node by now.
        Err(DirectoryError::MemberNotFound(_) | DirectoryError::RoomNotFound(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
