//! Expiry of empty rooms.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

/// Key of a room in the table: its deadline, and a number that makes it unique.
pub(super) type Ticket = (Instant, u64);

/// Empty rooms, ordered by deadline.
#[derive(Debug)]
pub(super) struct Expiry<R> {
    /// Time until an empty room expires.
    ttl: Duration,
    table: Mutex<Table<R>>,
    /// Notified when the first deadline has changed.
    changed: Notify,
}

#[derive(Debug)]
struct Table<R> {
    rooms: BTreeMap<Ticket, Arc<R>>,
    tickets: u64,
}

impl<R> Expiry<R> {
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            table: Mutex::new(Table {
                rooms: BTreeMap::new(),
                tickets: 0,
            }),
            changed: Notify::new(),
        }
    }

    /// Adds a room that has become empty. Returns `None` if its deadline overflows the clock.
    pub(super) fn enter(&self, room: &Arc<R>) -> Option<Ticket> {
        let deadline = Instant::now().checked_add(self.ttl)?;
        let mut table = self.table.lock();
        table.tickets += 1;
        let ticket = (deadline, table.tickets);
        table.rooms.insert(ticket, Arc::clone(room));
        let first = table.rooms.first_key_value().map(|(first, _)| *first);
        drop(table);
        if first == Some(ticket) {
            self.changed.notify_one();
        }
        Some(ticket)
    }

    /// Removes a room that is no longer empty.
    pub(super) fn cancel(&self, ticket: Ticket) {
        self.table.lock().rooms.remove(&ticket);
    }

    /// Waits until a room expires, and removes it.
    pub(super) async fn due(&self) -> (Ticket, Arc<R>) {
        loop {
            // A change before the wait leaves a permit.
            let next = match self.table.lock().rooms.first_entry() {
                Some(entry) if entry.key().0 <= Instant::now() => return entry.remove_entry(),
                Some(entry) => Some(entry.key().0),
                None => None,
            };
            match next {
                // Ends at the deadline, or at an earlier one.
                Some(deadline) => {
                    let _ = tokio::time::timeout_at(deadline, self.changed.notified()).await;
                }
                None => self.changed.notified().await,
            }
        }
    }
}
