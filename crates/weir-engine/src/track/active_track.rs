//! A track of a room in use on this node.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use parking_lot::MutexGuard;
use weir_cluster::EarlierChunks;
use weir_protocol::{MemberId, Track, TrackId, TrackKind};

use super::{
    ingest::{IngestHold, IngestTrack},
    relayed::{RelayedMedia, RelayedTrack},
    subscription::{self, Claim},
};
use crate::{Outlet, relay::TrackAddress};

/// A track and its subscribers on this node.
#[derive(Debug)]
pub(crate) struct ActiveTrack {
    pub(crate) id: TrackId,
    /// Publisher.
    pub(crate) owner: MemberId,
    pub(crate) kind: TrackKind,
    source: Source,
}

/// Source of a track's chunks.
#[derive(Debug)]
enum Source {
    /// A member of this node.
    Ingest(Arc<IngestTrack>),
    /// Another node.
    Relayed(Arc<RelayedTrack>),
}

/// Blocks the stream of a track until it is dropped, so that a member can be sent something before
/// its first chunk and misses none after it.
#[derive(Debug)]
pub(crate) struct Hold<'a>(Held<'a>);

#[derive(Debug)]
enum Held<'a> {
    Ingest(IngestHold<'a>),
    Relayed(&'a Arc<RelayedTrack>, MutexGuard<'a, RelayedMedia>),
}

impl Hold<'_> {
    /// Subscribes a member as [`ActiveTrack::subscribe`] does.
    pub(crate) fn subscribe(self, member: &MemberId, outlet: &Arc<dyn Outlet>) {
        match self.0 {
            Held::Ingest(hold) => hold.subscribe(member, outlet),
            Held::Relayed(track, mut media) => {
                subscription::subscribe(track, &mut media, member, outlet);
            }
        }
    }
}

impl ActiveTrack {
    /// Creates a track of a member of this node. `elsewhere` tells whether the room has members on
    /// other nodes.
    pub(crate) fn ingest(
        record: &Track,
        address: &TrackAddress,
        elsewhere: &Arc<AtomicBool>,
    ) -> Self {
        let ingest = IngestTrack::new(record.id, record.spec.kind, address, elsewhere);
        Self::new(record, Source::Ingest(Arc::new(ingest)))
    }

    /// Creates a track of another node. `new` says that its first chunk may be yet to come.
    pub(crate) fn relayed(record: &Track, address: TrackAddress, new: bool) -> Self {
        let relayed = RelayedTrack::new(record.id, record.spec.kind, address, new);
        Self::new(record, Source::Relayed(Arc::new(relayed)))
    }

    fn new(record: &Track, source: Source) -> Self {
        Self {
            id: record.id,
            owner: record.member.clone(),
            kind: record.spec.kind,
            source,
        }
    }

    /// Returns the track's ingest, if its publisher is a member of this node.
    pub(crate) fn as_ingest(&self) -> Option<&Arc<IngestTrack>> {
        match &self.source {
            Source::Ingest(ingest) => Some(ingest),
            Source::Relayed(_) => None,
        }
    }

    fn as_relayed(&self) -> Option<&Arc<RelayedTrack>> {
        match &self.source {
            Source::Ingest(_) => None,
            Source::Relayed(relayed) => Some(relayed),
        }
    }

    /// Subscribes a member: from the beginning if there was no chunk yet, otherwise from the next
    /// key chunk. Has no effect for a subscribed member.
    pub(crate) fn subscribe(&self, member: &MemberId, outlet: &Arc<dyn Outlet>) {
        self.hold().subscribe(member, outlet);
    }

    /// Blocks the stream.
    pub(crate) fn hold(&self) -> Hold<'_> {
        Hold(match &self.source {
            Source::Ingest(ingest) => Held::Ingest(ingest.hold()),
            Source::Relayed(relayed) => Held::Relayed(relayed, relayed.media()),
        })
    }

    /// Unsubscribes a member.
    pub(crate) fn unsubscribe(&self, member: &MemberId) {
        match &self.source {
            Source::Ingest(ingest) => ingest.unsubscribe(member),
            Source::Relayed(relayed) => relayed.unsubscribe(member),
        }
    }

    /// Ends the track, after the chunks that have come before.
    pub(crate) fn close(&self) {
        match &self.source {
            Source::Ingest(ingest) => ingest.close(),
            Source::Relayed(relayed) => relayed.close(),
        }
    }

    /// Keeps the track subscribed, if it is another node's.
    pub(crate) fn claim(&self) -> Option<Claim> {
        self.as_relayed().map(Claim::new)
    }

    /// Expects the track from its first chunk, unless it is already being received.
    pub(crate) fn expect_beginning(&self) {
        if let Some(relayed) = self.as_relayed() {
            relayed.expect_beginning();
        }
    }

    /// Returns whether this node is subscribed to the track on the bus.
    pub(crate) fn is_subscribed(&self) -> bool {
        let relayed = self.as_relayed();
        relayed.is_some_and(|relayed| relayed.media().subscribed.is_some())
    }

    /// Handles the position of the publisher's node: it publishes all chunks after `last` on the
    /// bus.
    pub(crate) fn position(&self, last: u64, earlier: EarlierChunks, arrival: Instant) {
        if let Some(relayed) = self.as_relayed() {
            relayed.position(last, earlier, arrival);
        }
    }
}
