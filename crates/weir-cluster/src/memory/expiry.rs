//! When empty rooms go.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

/// A room's place in the table: its deadline, and a number that tells apart those of one instant.
pub(super) type Ticket = (Instant, u64);

/// The deadlines of the empty rooms, in order.
#[derive(Debug)]
pub(super) struct Expiry<R> {
    /// How long an empty room is kept.
    ttl: Duration,
    table: Mutex<Table<R>>,
    /// Told when the first deadline has changed.
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

    /// Enters a room that is empty from now on; `None` if that lasts longer than clocks go.
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

    /// Takes a room out that is no longer empty.
    pub(super) fn cancel(&self, ticket: Ticket) {
        self.table.lock().rooms.remove(&ticket);
    }

    /// Waits for the next room to be due and takes it out.
    pub(super) async fn due(&self) -> (Ticket, Arc<R>) {
        loop {
            // A change between looking and waiting is kept by the notification's permit.
            let next = match self.table.lock().rooms.first_entry() {
                Some(entry) if entry.key().0 <= Instant::now() => return entry.remove_entry(),
                Some(entry) => Some(entry.key().0),
                None => None,
            };
            match next {
                // A new first deadline or this one: either way the table is looked at again.
                Some(deadline) => {
                    let _ = tokio::time::timeout_at(deadline, self.changed.notified()).await;
                }
                None => self.changed.notified().await,
            }
        }
    }
}
