//! The rooms that this node has to do with.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Mutex},
};

use weir_cluster::{Bus, Inbox};
use weir_protocol::{RoomEvent, RoomId};

use crate::{Counters, link::Link, lock, room::Room};

/// The rooms that a member of this node is in, or is about to join.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub(crate) counters: Arc<Counters>,
    /// Locked to look a room up, to put one in or to take one out.
    rooms: Mutex<HashMap<RoomId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    room: Arc<Room>,
    /// How many [`RoomUse`]s there are; the room is forgotten with the last.
    uses: usize,
}

/// A room in use: this node keeps it, and is told of its events, for as long as this lives.
#[derive(Debug)]
pub(crate) struct RoomUse {
    registry: Arc<Registry>,
    room: Arc<Room>,
}

impl RoomUse {
    /// Takes the room of that id into use.
    pub(crate) fn new(registry: &Arc<Registry>, id: &RoomId, bus: &Arc<dyn Bus>) -> Self {
        let mut rooms = lock(&registry.rooms);
        let entry = rooms.entry(id.clone()).or_insert_with(|| Entry {
            room: Arc::new(Room::new(Link::new(id, bus, &registry.counters))),
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
    type Target = Arc<Room>;

    fn deref(&self) -> &Arc<Room> {
        &self.room
    }
}

impl Drop for RoomUse {
    fn drop(&mut self) {
        let mut rooms = lock(&self.registry.rooms);
        if let Some(entry) = rooms.get_mut(&self.room.link.room) {
            entry.uses -= 1;
            if entry.uses == 0 {
                rooms.remove(&self.room.link.room);
            }
        }
    }
}

impl Registry {
    /// All rooms that are in use.
    pub(crate) fn rooms(&self) -> Vec<Arc<Room>> {
        let rooms = lock(&self.rooms);
        rooms
            .values()
            .map(|entry| Arc::clone(&entry.room))
            .collect()
    }

    /// A room that is in use. Without one, what comes for it is late.
    fn room(&self, id: &RoomId) -> Option<Arc<Room>> {
        let rooms = lock(&self.rooms);
        rooms.get(id).map(|entry| Arc::clone(&entry.room))
    }
}

impl Inbox for Registry {
    fn room_event(&self, id: &RoomId, event: &Arc<RoomEvent>) {
        if let Some(room) = self.room(id) {
            room.event(event);
        }
    }
}
