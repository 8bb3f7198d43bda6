//! Sessions that started with long-polling, by the id that their requests carry.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

/// Clients of type `T` by session id. Clones are the same table.
#[derive(Debug)]
pub(crate) struct PollingSessions<T>(Arc<Mutex<HashMap<Arc<str>, Weak<T>>>>);

/// Entry of a session in the table, which is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct SessionEntry<T> {
    sessions: PollingSessions<T>,
    id: Arc<str>,
}

impl<T> PollingSessions<T> {
    /// Finds the client of a session that started with long-polling and has not ended.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<T>> {
        self.0.lock().get(id)?.upgrade()
    }

    /// Adds a client's session to the table. The client must keep the entry.
    pub(crate) fn add(&self, id: &str, client: &Arc<T>) -> SessionEntry<T> {
        let id: Arc<str> = id.into();
        self.0
            .lock()
            .insert(Arc::clone(&id), Arc::downgrade(client));
        SessionEntry {
            sessions: self.clone(),
            id,
        }
    }
}

impl<T> Clone for PollingSessions<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for PollingSessions<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Drop for SessionEntry<T> {
    fn drop(&mut self) {
        self.sessions.0.lock().remove(&self.id);
    }
}
