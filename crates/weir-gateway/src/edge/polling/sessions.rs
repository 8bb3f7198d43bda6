//! The sessions that began with long-polling, by the id that their requests carry.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use crate::edge::transport::Link;

/// Sessions by id. Clones are the same table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Polled(Arc<Mutex<HashMap<Arc<str>, Weak<Link>>>>);

/// A session's place in the table, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    polled: Polled,
    id: Arc<str>,
}

impl Polled {
    fn table(&self) -> MutexGuard<'_, HashMap<Arc<str>, Weak<Link>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of that id, if it began with long-polling and is still there.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Link>> {
        self.table().get(id)?.upgrade()
    }

    /// Has a session found by `id` for as long as the link lives.
    pub(crate) fn enter(&self, id: &str, link: &Arc<Link>) {
        let id: Arc<str> = id.into();
        self.table().insert(Arc::clone(&id), Arc::downgrade(link));
        link.keep(Place {
            polled: self.clone(),
            id,
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.polled.table().remove(&self.id);
    }
}
