//! State that the nodes of one process share.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use weir_protocol::{CloseReason, Limits, Room, RoomId};

use super::{
    channel::MemoryChannels,
    expiry::{Expiry, Ticket},
    room::{RoomCell, RoomState, Watchers},
};
use crate::{ChunkSink, DirectoryError, NewRoom, SignalSink, TrackKey};

/// Options of rooms in memory.
#[derive(Debug, Clone, Copy)]
pub struct MemoryOptions {
    /// Time until a room without members expires; 300 s by default.
    pub empty_ttl: Duration,
    /// Maximum number of rooms; 100,000 by default.
    pub max_rooms: usize,
    /// Maximum size of a room's state as JSON, in bytes; 4 MiB by default.
    pub room_state_bytes: usize,
    /// Wall clock in milliseconds since the Unix epoch; the system's by default.
    pub clock: fn() -> u64,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self {
            empty_ttl: Duration::from_secs(300),
            max_rooms: 100_000,
            room_state_bytes: Limits::MOST_STATE_BYTES,
            clock: system_clock,
        }
    }
}

fn system_clock() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// State that nodes in one process share, and source of their directories and buses.
///
/// It lives until the last clone, directory and bus is dropped, and with it the task that removes
/// expired rooms.
#[derive(Debug, Clone)]
pub struct MemoryHub(Arc<Sweeping>);

impl MemoryHub {
    /// Creates an empty hub.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time enabled.
    #[must_use]
    pub fn new(options: MemoryOptions) -> Self {
        let shared = Arc::new(HubState::new(options));
        let sweeper = tokio::spawn(sweep(Arc::clone(&shared)));
        Self(Arc::new(Sweeping { shared, sweeper }))
    }

    pub(super) fn shared(&self) -> &Arc<HubState> {
        &self.0.shared
    }
}

/// Shared state, and the task that removes expired rooms until the last handle is dropped.
#[derive(Debug)]
struct Sweeping {
    shared: Arc<HubState>,
    sweeper: JoinHandle<()>,
}

impl Drop for Sweeping {
    fn drop(&mut self) {
        self.sweeper.abort();
    }
}

/// Closes rooms as they expire.
async fn sweep(shared: Arc<HubState>) {
    loop {
        let (ticket, room) = shared.expiry.due().await;
        shared.expire(ticket, &room);
    }
}

/// State of the hub. Lock order: a room's, then any other. No two of the others are held together,
/// and none while an inbox is called.
#[derive(Debug)]
pub(super) struct HubState {
    options: MemoryOptions,
    /// Rooms by id. A closed one stays until its removal.
    rooms: Mutex<HashMap<RoomId, Arc<RoomCell>>>,
    pub(super) expiry: Expiry<RoomCell>,
    pub(super) watchers: Watchers,
    /// Channels of tracks.
    pub(super) tracks: Arc<MemoryChannels<TrackKey, dyn ChunkSink>>,
    /// Channels of rooms' signals.
    pub(super) signals: Arc<MemoryChannels<RoomId, dyn SignalSink>>,
    nodes: AtomicU64,
}

impl HubState {
    fn new(options: MemoryOptions) -> Self {
        Self {
            options,
            rooms: Mutex::default(),
            expiry: Expiry::new(options.empty_ttl),
            watchers: Watchers::default(),
            tracks: Arc::default(),
            signals: Arc::default(),
            nodes: AtomicU64::new(0),
        }
    }

    /// Returns a number for a node.
    pub(super) fn number(&self) -> u64 {
        self.nodes.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn now(&self) -> u64 {
        (self.options.clock)()
    }

    /// Runs `work` on an existing room.
    pub(super) fn with_room<T>(
        &self,
        id: &RoomId,
        work: impl FnOnce(&Arc<RoomCell>, &mut RoomState) -> Result<T, DirectoryError>,
    ) -> Result<T, DirectoryError> {
        let found = self.rooms.lock().get(id).cloned();
        let missing = || DirectoryError::RoomNotFound(id.clone());
        let cell = found.ok_or_else(missing)?;
        let mut room = cell.lock();
        if room.is_closed() {
            return Err(missing());
        }
        work(&cell, &mut room)
    }

    /// Creates a room, and returns its record.
    pub(super) fn create(&self, new: NewRoom) -> Result<Room, DirectoryError> {
        self.create_with(new, |room| Ok(room.record().clone()))
    }

    /// Creates a room and runs `first` on it before it becomes visible. If `first` fails, no room
    /// is created.
    pub(super) fn create_with<T>(
        &self,
        new: NewRoom,
        first: impl FnOnce(&mut RoomState) -> Result<T, DirectoryError>,
    ) -> Result<T, DirectoryError> {
        let record = Room {
            id: new.id,
            metadata: new.metadata,
            max_members: new.max_members,
            created_at: self.now(),
        };
        let id = record.id.clone();
        let cell = Arc::new(Mutex::new(RoomState::new(
            record,
            self.options.room_state_bytes,
        )?));
        // Locked before the room is visible, so that no member joins before it has its ticket.
        let mut room = cell.lock();
        while let Some(present) = self.insert(&id, &cell)? {
            if !present.lock().is_closed() {
                return Err(DirectoryError::RoomExists(id));
            }
            self.remove(&id, &present);
        }
        let done = first(&mut room);
        if done.is_err() {
            room.discard();
            self.remove(&id, &cell);
        } else if room.is_empty() {
            room.ticket = self.expiry.enter(&cell);
        }
        done
    }

    /// Inserts a room, or returns the existing one.
    fn insert(
        &self,
        id: &RoomId,
        cell: &Arc<RoomCell>,
    ) -> Result<Option<Arc<RoomCell>>, DirectoryError> {
        let mut rooms = self.rooms.lock();
        let limit = self.options.max_rooms;
        let count = rooms.len();
        match rooms.entry(id.clone()) {
            Entry::Occupied(present) => Ok(Some(Arc::clone(present.get()))),
            Entry::Vacant(_) if count >= limit => Err(DirectoryError::TooManyRooms { limit }),
            Entry::Vacant(place) => {
                place.insert(Arc::clone(cell));
                Ok(None)
            }
        }
    }

    /// Removes a closed room, unless another has its id by now.
    fn remove(&self, id: &RoomId, cell: &Arc<RoomCell>) {
        if let Entry::Occupied(present) = self.rooms.lock().entry(id.clone())
            && Arc::ptr_eq(present.get(), cell)
        {
            present.remove();
        }
    }

    /// Closes a room that has expired, unless a member has joined it.
    fn expire(&self, ticket: Ticket, cell: &Arc<RoomCell>) {
        let mut room = cell.lock();
        if room.ticket != Some(ticket) {
            return;
        }
        let id = room.record().id.clone();
        room.close(CloseReason::Expired, &self.watchers);
        drop(room);
        self.remove(&id, cell);
    }
}

#[cfg(test)]
mod tests {
    use weir_protocol::{Json, MemberId};

    use super::*;
    use crate::{Directory, NewMember, contract::Recorder};

    /// Returns a hub whose rooms the test expires.
    fn unswept() -> MemoryHub {
        let options = MemoryOptions {
            empty_ttl: Duration::ZERO,
            ..MemoryOptions::default()
        };
        MemoryHub(Arc::new(Sweeping {
            shared: Arc::new(HubState::new(options)),
            sweeper: tokio::spawn(std::future::pending()),
        }))
    }

    fn hall(max_members: u32) -> NewRoom {
        NewRoom {
            id: RoomId::made("hall"),
            metadata: Json::default(),
            max_members,
        }
    }

    #[tokio::test]
    async fn a_join_after_the_deadline_keeps_the_room() {
        let hub = unswept();
        let shared = hub.shared();
        let id = shared.create(hall(5)).expect("it is new").id;
        let (ticket, cell) = shared.expiry.due().await;
        let directory = hub.directory(Arc::new(Recorder::default()));
        let ann = NewMember {
            id: MemberId::new("ann"),
            name: String::new(),
            metadata: Json::default(),
            create_missing: None,
        };
        let joined = directory.join(&id, ann).await.expect("it is still there");
        shared.expire(ticket, &cell);
        assert_eq!(directory.snapshot(&id).await, Ok(joined.snapshot));
    }

    #[tokio::test]
    async fn a_closed_room_that_is_not_yet_removed_is_replaced() {
        let hub = unswept();
        let shared = hub.shared();
        let id = shared.create(hall(5)).expect("it is new").id;
        let (_, old) = shared.expiry.due().await;
        old.lock().close(CloseReason::Expired, &shared.watchers);
        let missing = DirectoryError::RoomNotFound(id.clone());
        assert_eq!(shared.with_room(&id, |_, _| Ok(())), Err(missing));

        let new = shared.create(hall(7)).expect("the old one is closed");
        shared.remove(&id, &old);
        let record = shared.with_room(&id, |_, room| Ok(room.record().clone()));
        assert_eq!(record, Ok(new));
    }
}
