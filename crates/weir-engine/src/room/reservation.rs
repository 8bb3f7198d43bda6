//! Reservation of a seat for a member that is about to join.

use std::sync::Arc;

use futures_util::future::join_all;
use weir_cluster::Joined;
use weir_protocol::{Ack, Fault};

use super::{
    active_room::{ActiveRoom, PATIENCE},
    member::ConnectedMember,
};
use crate::{session::Reply, track::Claim};

/// A reserved seat: events and messages are kept for its member. Dropped without being taken, it is
/// free again.
#[derive(Debug)]
pub(crate) struct Reservation<'a> {
    room: &'a ActiveRoom,
    member: Arc<ConnectedMember>,
}

impl ActiveRoom {
    /// Reserves a seat for a member, before it joins in the directory.
    pub(crate) fn reserve(&self, member: &Arc<ConnectedMember>) -> Reservation<'_> {
        self.mirror().seats.reserve(member.id.clone());
        Reservation {
            room: self,
            member: Arc::clone(member),
        }
    }
}

impl Reservation<'_> {
    /// Adopts the state with which the member has joined. Waits for a limited time until other
    /// nodes publish the tracks to which it subscribes automatically.
    pub(crate) async fn learn(&self, joined: &Joined) -> Vec<Claim> {
        let wanted = {
            let mut mirror = self.room.mirror();
            mirror.learn(&self.member.id, &joined.snapshot);
            mirror.wanted(&self.member, &joined.snapshot)
        };
        let claims: Vec<_> = wanted.iter().filter_map(|track| track.claim()).collect();
        join_all(claims.iter().map(|claim| claim.started(PATIENCE))).await;
        claims
    }

    /// Takes the seat: sends the member the state with which it has joined, then everything since.
    ///
    /// # Errors
    /// `unavailable` if too much has happened since.
    pub(crate) fn take(self, joined: &Joined, reply: &Reply<'_>) -> Result<(), Fault> {
        let Joined { member, snapshot } = joined;
        let mut mirror = self.room.mirror();
        let kept = mirror.seats.take_backlog(&self.member.id)?;
        // A chunk that is published after the acknowledgement reaches the member.
        let tracks = mirror.wanted(&self.member, snapshot);
        let holds: Vec<_> = tracks.iter().map(|track| track.hold()).collect();
        reply.done(Ack::Joined { member, snapshot });
        for hold in holds {
            hold.subscribe(&self.member.id, &self.member.outlet);
        }
        mirror.seat(&self.member, snapshot.version, kept);
        Ok(())
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.room.mirror().seats.cancel(&self.member.id);
    }
}
