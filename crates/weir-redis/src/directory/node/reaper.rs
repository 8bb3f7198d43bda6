//! Removal of the members of dead nodes.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tracing::{debug, info, warn};
use weir_cluster::DirectoryError;
use weir_protocol::{LeaveReason, MemberId, RoomId};

use super::incarnation::Incarnation;
use crate::{
    directory::{counts::count, directory_core::DirectoryCore},
    keys::Keys,
};

/// Maximum number of members removed at a time.
const CONCURRENCY: usize = 64;

/// Maximum number of ledger entries per command.
const BATCH: usize = 1_000;

/// Removes the members of nodes whose leases have expired.
pub(crate) async fn reap(core: &Arc<DirectoryCore>) {
    let dead = match core.store.claim().await {
        Ok(dead) => dead,
        Err(error) => return warn!(%error, "expired leases could not be claimed"),
    };
    for node in dead {
        match reap_node(core, &node).await {
            Ok(Reaped { entries, members }) if entries == 0 || members > 0 => {
                count(&core.counts.nodes_reaped, 1);
                count(&core.counts.members_reaped, members);
                info!(%node, members, "a dead node was reaped");
            }
            // The node lives on in a later incarnation.
            Ok(_) => debug!(%node, "an earlier incarnation was cleared"),
            Err(error) => warn!(%error, %node, "a dead node could not be reaped yet"),
        }
    }
}

/// Result of reaping a node.
struct Reaped {
    /// Entries in the ledger.
    entries: usize,
    /// Members removed.
    members: usize,
}

/// Removes the members in a dead node's ledger, then their entries.
async fn reap_node(core: &DirectoryCore, node: &Incarnation) -> Result<Reaped, DirectoryError> {
    let entries = core.store.held(node).await?;
    let mut removals = Vec::new();
    for (room, member) in entries.iter().filter_map(|entry| Keys::held_member(entry)) {
        removals.push(reap_member(core, node, room, member));
    }
    let mut outcomes = stream::iter(removals).buffer_unordered(CONCURRENCY);
    let mut members = 0;
    let mut failed = None;
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(was_there) => members += usize::from(was_there),
            Err(error) => failed = Some(error),
        }
    }
    drop(outcomes);
    if let Some(error) = failed {
        return Err(error);
    }
    for batch in entries.chunks(BATCH) {
        core.store.settle(node, batch.to_vec()).await?;
    }
    if entries.is_empty() {
        core.store.settle(node, Vec::new()).await?;
    }
    let entries = entries.len();
    Ok(Reaped { entries, members })
}

/// Removes a member of a dead node. Returns false if there was nothing to remove.
async fn reap_member(
    core: &DirectoryCore,
    node: &Incarnation,
    room: RoomId,
    member: MemberId,
) -> Result<bool, DirectoryError> {
    let reason = LeaveReason::NodeLost;
    core.store.evict(&room, node, &member, reason).await
}
