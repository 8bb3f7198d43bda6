//! Current session of a connection.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use tokio::{pin, sync::Notify};
use weir_engine::Session;

/// Session of a client, while the client is connected to the namespace.
#[derive(Debug, Default)]
pub(crate) struct CurrentSession {
    /// Locked to set or to clone it.
    session: Mutex<Option<Arc<Session>>>,
    /// Number of changes of `session`.
    version: AtomicU64,
    /// Notification of a new session.
    started: Notify,
}

impl CurrentSession {
    /// Returns the session.
    pub(crate) fn get(&self) -> Option<Arc<Session>> {
        self.session.lock().clone()
    }

    /// Sets a new session.
    pub(crate) fn start(&self, session: Arc<Session>) {
        *self.session.lock() = Some(session);
        self.version.fetch_add(1, Ordering::Release);
        self.started.notify_waiters();
    }

    /// Removes `session`, unless a new one has replaced it.
    pub(crate) fn end(&self, session: &Arc<Session>) {
        self.session
            .lock()
            .take_if(|current| Arc::ptr_eq(current, session));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Waits until there is a session.
    pub(crate) async fn started(&self) {
        let started = self.started.notified();
        pin!(started);
        started.as_mut().enable();
        if self.session.lock().is_none() {
            started.await;
        }
    }
}

/// View of a connection's current session, which is read without a lock. It does not keep the session
/// alive.
#[derive(Debug, Default)]
pub(crate) struct SessionView {
    session: Weak<Session>,
    version: u64,
}

impl SessionView {
    /// Returns the current session.
    pub(crate) fn get(&mut self, current: &CurrentSession) -> Option<Arc<Session>> {
        let version = current.version.load(Ordering::Acquire);
        if version != self.version {
            self.version = version;
            self.session = current
                .get()
                .as_ref()
                .map(Arc::downgrade)
                .unwrap_or_default();
        }
        self.session.upgrade()
    }
}
