//! Permission of a session's member to publish chunks.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use weir_core::IngestQuota;
use weir_protocol::{Fault, Limits, TrackId};

use crate::track::IngestTrack;

/// Tracks that a session's member publishes, within its quota. A session has one for all members
/// that it becomes, so that a chunk finds its track under one lock.
#[derive(Debug, Default)]
pub(crate) struct Publishing(Mutex<Option<Permission>>);

#[derive(Debug)]
struct Permission {
    quota: IngestQuota,
    tracks: Vec<Arc<IngestTrack>>,
}

impl Publishing {
    /// Starts the quota of a new member, which publishes no track yet.
    pub(super) fn open(&self, limits: &Limits) {
        *self.0.lock() = Some(Permission {
            quota: IngestQuota::new(limits),
            tracks: Vec::new(),
        });
    }

    /// Withdraws the permission to publish, since the member has left or was removed.
    pub(crate) fn close(&self) {
        *self.0.lock() = None;
    }

    /// Permits to publish chunks of `track`.
    pub(super) fn add(&self, track: &Arc<IngestTrack>) {
        if let Some(permission) = &mut *self.0.lock() {
            permission.tracks.push(Arc::clone(track));
        }
    }

    /// Withdraws the permission to publish chunks of `track`.
    pub(super) fn remove(&self, track: TrackId) {
        if let Some(permission) = &mut *self.0.lock() {
            permission.tracks.retain(|own| own.id != track);
        }
    }

    /// Returns whether there is no track to publish.
    pub(crate) fn is_empty(&self) -> bool {
        let permission = self.0.lock();
        permission.as_ref().is_none_or(|one| one.tracks.is_empty())
    }

    /// Admits a chunk of `bytes` bytes, and returns its track; `None` if it is not one of the
    /// member's own.
    ///
    /// # Errors
    /// `rate_limited` over the member's quota.
    pub(crate) fn admit(
        &self,
        track: TrackId,
        now: Duration,
        bytes: usize,
    ) -> Result<Option<Arc<IngestTrack>>, Fault> {
        let Some(Permission { quota, tracks }) = &mut *self.0.lock() else {
            return Ok(None);
        };
        let Some(track) = tracks.iter().find(|own| own.id == track) else {
            return Ok(None);
        };
        quota.take(now, bytes)?;
        Ok(Some(Arc::clone(track)))
    }
}
