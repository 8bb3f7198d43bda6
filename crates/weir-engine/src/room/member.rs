//! A member of a room that is connected to this node.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use weir_core::IngestQuota;
use weir_protocol::{Fault, Limits, MemberId, TrackId};

use crate::{Outlet, track::IngestTrack};

/// A member, with its connection and the tracks that it publishes.
#[derive(Debug)]
pub(crate) struct ConnectedMember {
    pub(crate) id: MemberId,
    pub(crate) outlet: Arc<dyn Outlet>,
    /// Whether it subscribes to every track of the others.
    pub(crate) auto_subscribe: bool,
    /// Whether it was removed without having left.
    removed: AtomicBool,
    /// Locked for a moment per chunk, by the task of its own connection.
    publishing: Mutex<Publishing>,
}

/// Tracks that a member publishes.
#[derive(Debug)]
struct Publishing {
    quota: IngestQuota,
    tracks: Vec<Arc<IngestTrack>>,
}

impl ConnectedMember {
    pub(crate) fn new(
        id: MemberId,
        outlet: Arc<dyn Outlet>,
        auto_subscribe: bool,
        limits: &Limits,
    ) -> Self {
        Self {
            id,
            outlet,
            auto_subscribe,
            removed: AtomicBool::new(false),
            publishing: Mutex::new(Publishing {
                quota: IngestQuota::new(limits),
                tracks: Vec::new(),
            }),
        }
    }

    /// Marks the member as removed: its room was closed, or its seat was removed.
    pub(super) fn set_removed(&self) {
        self.removed.store(true, Ordering::Release);
    }

    /// Returns whether the member was removed without having left.
    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// Permits the member to publish chunks of `track`.
    pub(super) fn add_track(&self, track: &Arc<IngestTrack>) {
        self.publishing.lock().tracks.push(Arc::clone(track));
    }

    /// Withdraws the permission to publish chunks of `track`.
    pub(super) fn remove_track(&self, track: TrackId) {
        let tracks = &mut self.publishing.lock().tracks;
        tracks.retain(|own| own.id != track);
    }

    /// Returns whether the member publishes a track.
    pub(crate) fn publishes(&self) -> bool {
        !self.publishing.lock().tracks.is_empty()
    }

    /// Admits a chunk of `bytes` bytes of one of the member's tracks, and returns the track; `None`
    /// if it is not one of its own.
    ///
    /// # Errors
    /// `rate_limited` over the member's quota.
    pub(crate) fn admit(
        &self,
        track: TrackId,
        now: Duration,
        bytes: usize,
    ) -> Result<Option<Arc<IngestTrack>>, Fault> {
        let Publishing { quota, tracks } = &mut *self.publishing.lock();
        let Some(track) = tracks.iter().find(|own| own.id == track) else {
            return Ok(None);
        };
        quota.take(now, bytes)?;
        Ok(Some(Arc::clone(track)))
    }
}
