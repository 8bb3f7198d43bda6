//! This node's ledger in Redis: an entry for each of its seats, made before the seat and deleted after it.

use futures_util::{StreamExt, stream};
use tracing::debug;
use weir_cluster::DirectoryError;
use weir_protocol::{MemberId, RoomId};

use super::{incarnation::Incarnation, seats::Departing};
use crate::{
    directory::{counts::count, directory_core::DirectoryCore},
    keys::Keys,
};

/// Maximum number of seats removed at a time.
const CONCURRENCY: usize = 64;

/// Maximum number of entries per command.
const BATCH: usize = 1_000;

impl DirectoryCore {
    /// Removes the seat of a departed member, then its entry.
    pub(crate) async fn depart(&self, departing: Departing) -> Result<(), DirectoryError> {
        let owner = self.seats.owner();
        let (room, member) = (&departing.room, &departing.member);
        let (reason, fence) = (departing.reason, departing.uncertain);
        let left = self.store.leave(room, &owner, member, reason, fence).await;
        if let Err(DirectoryError::Unavailable(_)) = &left {
            return left;
        }
        let entry = Keys::held_entry(room, member);
        match &left {
            Ok(()) => departing.confirmed(),
            Err(_) => departing.missing(),
        }
        // An entry that stays is deleted by the next audit or by this node's reaper.
        let _ = self.store.let_go(&owner, entry).await;
        left
    }

    /// Tries pending departures again.
    pub(crate) async fn finish_departures(&self) {
        let mut departures = Vec::new();
        for departing in self.seats.pending() {
            departures.push(self.finish_departure(departing));
        }
        let departures = stream::iter(departures).buffer_unordered(CONCURRENCY);
        departures.count().await;
    }

    async fn finish_departure(&self, departing: Departing) {
        let (room, member) = (departing.room.clone(), departing.member.clone());
        if let Err(error @ DirectoryError::Unavailable(_)) = self.depart(departing).await {
            debug!(%error, %room, %member, "a departure is still pending");
        }
    }

    /// Enters all seats of this node into its ledger.
    pub(crate) async fn hold_all(&self) -> Result<(), DirectoryError> {
        let owner = self.seats.owner();
        let mut entries = Vec::new();
        for (room, members) in self.seats.all() {
            entries.extend(members.iter().map(|member| Keys::held_entry(&room, member)));
        }
        for batch in entries.chunks(BATCH) {
            self.store.hold(&owner, batch.to_vec()).await?;
        }
        Ok(())
    }

    /// Compares the ledgers of all incarnations of this node with the seats that it holds, and removes all others from
    /// Redis.
    pub(crate) async fn audit(&self) -> Result<(), DirectoryError> {
        let owner = self.seats.owner();
        // Precedes the reading: a node that enters more requests another audit.
        self.store.start_audit(&owner).await?;
        self.hold_all().await?;
        for ledger in owner.all() {
            let entries = self.store.held(&ledger).await?;
            let seats = entries.iter().filter_map(|entry| Keys::held_member(entry));
            let ghosts = seats.filter(|(room, member)| !self.seats.knows(room, member));
            self.remove_ghosts(&ledger, ghosts.collect()).await?;
        }
        Ok(())
    }

    /// Removes seats that name this node and that it does not hold, then their entries in a ledger.
    pub(crate) async fn remove_ghosts(
        &self,
        ledger: &Incarnation,
        ghosts: Vec<(RoomId, MemberId)>,
    ) -> Result<(), DirectoryError> {
        let mut removals = Vec::new();
        for (room, member) in ghosts {
            removals.push(self.remove_ghost(ledger, room, member));
        }
        let mut removals = stream::iter(removals).buffer_unordered(CONCURRENCY);
        let mut outcome = Ok(());
        while let Some(removed) = removals.next().await {
            outcome = outcome.and(removed);
        }
        outcome
    }

    async fn remove_ghost(
        &self,
        ledger: &Incarnation,
        room: RoomId,
        member: MemberId,
    ) -> Result<(), DirectoryError> {
        let owner = self.seats.owner();
        let reason = self.seats.reason(&room, &member);
        if self.store.evict(&room, &owner, &member, reason).await? {
            debug!(%room, %member, "a ghost was removed");
            count(&self.counts.ghosts, 1);
        }
        let entry = Keys::held_entry(&room, &member);
        self.store.let_go(ledger, entry).await
    }

    /// Restarts the lifetime of everything that this node holds.
    pub(crate) async fn touch(&self) {
        // The next attempt comes long before anything expires.
        let _ = self.hold_all().await;
        for (room, _) in self.seats.all() {
            let _ = self.store.touch(&room).await;
        }
    }
}
