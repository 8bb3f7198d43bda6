//! Rooms in use on this node.

use std::{collections::HashMap, ops::Deref, sync::Arc};

use parking_lot::Mutex;
use weir_cluster::{Bus, Inbox};
use weir_protocol::{RoomEvent, RoomId};

use crate::{Counters, relay::RoomAddress, room::ActiveRoom};

/// Rooms that a member of this node is in, or is about to join.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub(crate) counters: Arc<Counters>,
    /// Locked to look a room up, to insert one or to remove one.
    rooms: Mutex<HashMap<RoomId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    room: Arc<ActiveRoom>,
    /// Number of [`RoomUse`]s. The room is removed with the last.
    uses: usize,
}

/// Use of a room: the node keeps it, and receives its events, until this is dropped.
#[derive(Debug)]
pub(crate) struct RoomUse {
    registry: Arc<Registry>,
    room: Arc<ActiveRoom>,
}

impl RoomUse {
    /// Takes a room into use.
    pub(crate) fn new(registry: &Arc<Registry>, id: &RoomId, bus: &Arc<dyn Bus>) -> Self {
        let mut rooms = registry.rooms.lock();
        let entry = rooms.entry(id.clone()).or_insert_with(|| Entry {
            room: Arc::new(ActiveRoom::new(RoomAddress::new(
                id,
                bus,
                &registry.counters,
            ))),
            uses: 0,
        });
        entry.uses += 1;
        Self {
            registry: Arc::clone(registry),
            room: Arc::clone(&entry.room),
        }
    }
}

impl Deref for RoomUse {
    type Target = Arc<ActiveRoom>;

    fn deref(&self) -> &Arc<ActiveRoom> {
        &self.room
    }
}

impl Drop for RoomUse {
    fn drop(&mut self) {
        let id = &self.room.address.room;
        let mut rooms = self.registry.rooms.lock();
        if let Some(entry) = rooms.get_mut(id) {
            entry.uses -= 1;
            if entry.uses == 0 {
                rooms.remove(id);
            }
        }
    }
}

impl Registry {
    /// Returns all rooms in use.
    pub(crate) fn rooms(&self) -> Vec<Arc<ActiveRoom>> {
        let rooms = self.rooms.lock();
        rooms
            .values()
            .map(|entry| Arc::clone(&entry.room))
            .collect()
    }
}

impl Inbox for Registry {
    fn room_event(&self, id: &RoomId, event: &Arc<RoomEvent>) {
        let room = {
            let rooms = self.rooms.lock();
            rooms.get(id).map(|entry| Arc::clone(&entry.room))
        };
        // An event of a room that is no longer in use is late.
        if let Some(room) = room {
            room.event(event);
        }
    }
}
