//! The rooms that this node has to do with.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Mutex},
    time::Instant,
};

use weir_cluster::{Bus, BusInbox, Hop, Inbox, Relayed, Signal, TrackKey};
use weir_protocol::{RoomEvent, RoomId};

use crate::{
    Counters,
    link::{FromBus, Link, RoomInflows, TrackInflows},
    lock,
    room::Room,
};

/// The rooms that a member of this node is in, or is about to join.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub(crate) counters: Arc<Counters>,
    signals: Arc<RoomInflows>,
    chunks: Arc<TrackInflows>,
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
            room: Arc::new(Room::new(Link {
                room: id.clone(),
                bus: Arc::clone(bus),
                counters: Arc::clone(&registry.counters),
                signals: Arc::clone(&registry.signals),
                chunks: Arc::clone(&registry.chunks),
            })),
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

impl BusInbox for Registry {
    fn chunk(&self, track: &TrackKey, relayed: &Arc<Relayed>) {
        // Without a queue it is late: nobody wants the track any more.
        if let Some(inflow) = self.chunks.get(track) {
            let bytes = relayed.chunk.payload.len();
            let measured = Hop::is_measured(relayed.chunk.seq) || relayed.trace.is_some();
            let come = measured.then(Instant::now);
            if !inflow.push(bytes, FromBus::Chunk(Arc::clone(relayed), come)) {
                // Its number will be missing.
                self.counters.chunks_overrun.add_one();
            }
        }
    }

    fn signal(&self, room: &RoomId, signal: &Arc<Signal>) {
        if let Signal::Position {
            track,
            last,
            beginning,
        } = **signal
        {
            // It comes after the chunks before it.
            let key = TrackKey {
                room: room.clone(),
                track,
            };
            let position = FromBus::Position { last, beginning };
            if let Some(inflow) = self.chunks.get(&key)
                && !inflow.push(0, position)
            {
                self.counters.signals_overrun.add_one();
            }
        } else if let Some(inflow) = self.signals.get(room)
            && !inflow.push(signal.length(), Arc::clone(signal))
        {
            self.counters.signals_overrun.add_one();
        }
    }

    fn interrupted(&self) {
        self.rooms().iter().for_each(|room| room.want_again());
    }
}
