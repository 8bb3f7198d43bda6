//! A member of a room that is connected to this node.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use weir_core::IngestQuota;
use weir_protocol::{Limits, MemberId, TrackId};

use crate::{Outlet, lock, track::Track};

/// A member, with the way to its client and the tracks that it publishes.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: MemberId,
    pub(crate) outlet: Arc<dyn Outlet>,
    /// Whether it receives every track of the others without asking.
    pub(crate) auto_subscribe: bool,
    /// Its room was closed, or it was removed: it is a member no more.
    gone: AtomicBool,
    /// What it publishes. Locked for a moment per chunk, by its own connection's task.
    pub(crate) publishing: Mutex<Publishing>,
}

/// What a member publishes.
#[derive(Debug)]
pub(crate) struct Publishing {
    pub(crate) quota: IngestQuota,
    tracks: Vec<Arc<Track>>,
}

impl Member {
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
            gone: AtomicBool::new(false),
            publishing: Mutex::new(Publishing {
                quota: IngestQuota::new(limits),
                tracks: Vec::new(),
            }),
        }
    }

    /// It is a member no more, without having left.
    pub(crate) fn set_gone(&self) {
        self.gone.store(true, Ordering::Release);
    }

    /// Whether it is a member no more, without having left.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// From now on it may send chunks of `track`.
    pub(crate) fn add_track(&self, track: &Arc<Track>) {
        lock(&self.publishing).tracks.push(Arc::clone(track));
    }

    /// It may send no more chunks of the track.
    pub(crate) fn remove_track(&self, track: TrackId) {
        lock(&self.publishing).tracks.retain(|own| own.id != track);
    }
}

impl Publishing {
    /// Whether it publishes something.
    pub(crate) fn publishes(&self) -> bool {
        !self.tracks.is_empty()
    }

    /// The member's own track of that id.
    pub(crate) fn track(&self, id: TrackId) -> Option<&Arc<Track>> {
        self.tracks.iter().find(|own| own.id == id)
    }
}
