//! Table of the rooms that this node watches.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use weir_cluster::Inbox;
use weir_protocol::RoomId;

use super::watched::WatchedRoom;
use crate::{connection::wire::MessageSink, directory::node::seats::OwnSeats};

/// Rooms that this node watches, each as long as there is a guard.
#[derive(Debug)]
pub(crate) struct WatchedRooms {
    inbox: Arc<dyn Inbox>,
    seats: Arc<OwnSeats>,
    /// Held only to look up, insert or remove a room.
    table: Mutex<HashMap<RoomId, Guarded>>,
}

/// A watched room, the receiver of its events, and the number of its guards.
#[derive(Debug)]
struct Guarded {
    room: Arc<WatchedRoom>,
    events: Arc<dyn MessageSink>,
    guards: usize,
}

impl WatchedRooms {
    pub(crate) fn new(inbox: Arc<dyn Inbox>, seats: Arc<OwnSeats>) -> Self {
        Self {
            inbox,
            seats,
            table: Mutex::default(),
        }
    }

    /// Adds a guard of a room, and returns the receiver of its events, which `receiver` makes for
    /// the first guard.
    pub(crate) fn enter(
        &self,
        room: &RoomId,
        receiver: impl FnOnce(Arc<WatchedRoom>) -> Arc<dyn MessageSink>,
    ) -> Arc<dyn MessageSink> {
        let mut table = self.table.lock();
        let guarded = table.entry(room.clone()).or_insert_with(|| {
            let (inbox, seats) = (Arc::clone(&self.inbox), Arc::clone(&self.seats));
            let room = Arc::new(WatchedRoom::new(room.clone(), inbox, seats));
            Guarded {
                events: receiver(Arc::clone(&room)),
                room,
                guards: 0,
            }
        });
        guarded.guards += 1;
        Arc::clone(&guarded.events)
    }

    /// Removes a guard of a room.
    pub(crate) fn exit(&self, room: &RoomId) {
        let mut table = self.table.lock();
        if let Some(guarded) = table.get_mut(room) {
            guarded.guards -= 1;
            if guarded.guards == 0 {
                table.remove(room);
            }
        }
    }

    pub(crate) fn get(&self, room: &RoomId) -> Option<Arc<WatchedRoom>> {
        let table = self.table.lock();
        table.get(room).map(|guarded| Arc::clone(&guarded.room))
    }

    pub(crate) fn all(&self) -> Vec<Arc<WatchedRoom>> {
        let table = self.table.lock();
        let rooms = table.values();
        rooms.map(|guarded| Arc::clone(&guarded.room)).collect()
    }
}
