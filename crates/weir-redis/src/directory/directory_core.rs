//! State shared by a directory's operations and tasks.

use std::sync::{Arc, atomic::AtomicBool};

use tokio::sync::{Notify, watch};
use tracing::info;
use weir_cluster::DirectoryError;

use super::{
    counts::DirectoryCounts, node::seats::OwnSeats, room::rooms::WatchedRooms, store::RoomStore,
};
use crate::{Health, connection::subscriber::Subscriber};

/// Maximum number of attempts of an operation whose record others change at the same time.
pub(crate) const ATTEMPTS: usize = 8;

/// State shared by a directory's operations and tasks.
#[derive(Debug)]
pub(crate) struct DirectoryCore {
    pub(crate) store: RoomStore,
    pub(crate) subscriber: Subscriber,
    pub(crate) rooms: WatchedRooms,
    pub(crate) seats: Arc<OwnSeats>,
    pub(crate) health: watch::Sender<Health>,
    pub(crate) counts: Arc<DirectoryCounts>,
    /// Notified when subscriptions that were lost hold again: events may be missing.
    pub(crate) interrupted: Notify,
    /// The next heartbeat is to audit the ledger.
    pub(crate) audit_due: AtomicBool,
}

impl DirectoryCore {
    pub(crate) fn set_health(&self, health: Health) {
        self.health.send_if_modified(|known| {
            let changed = *known != health;
            if changed && health.works() {
                info!("the directory is reached");
            }
            *known = health;
            changed
        });
    }
}

/// Returns the cause of an error, without the context that the caller already gives.
pub(crate) fn cause(error: &DirectoryError) -> String {
    match error {
        DirectoryError::Unavailable(why) => why.clone(),
        other => other.to_string(),
    }
}
