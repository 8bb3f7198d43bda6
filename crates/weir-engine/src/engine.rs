//! A node's engine, and what all of it shares.

use std::{convert::Infallible, fmt, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::time::Instant;
use tracing::warn;
use weir_cluster::{Bus, BusInbox, Directory, DirectoryError, Inbox, MemoryHub};
use weir_protocol::{LeaveReason, Limits, MemberId, RoomId};

use crate::{
    Counters, Outlet, Session,
    registry::{Registry, RoomUse},
    room::Room,
};

/// How many members leave at a time when the node ends.
const LEAVING: usize = 64;

/// How an engine behaves.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What a client may send.
    pub limits: Limits,
    /// Whether joining a room that does not exist creates it.
    pub create_on_join: bool,
}

/// What joins a node with the others.
#[derive(Debug)]
pub struct Backend {
    /// What is true about rooms.
    pub directory: Arc<dyn Directory>,
    /// What is happening in them.
    pub bus: Arc<dyn Bus>,
}

/// A node's rooms, members and tracks. Clones are the same engine.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    options: Options,
    directory: Arc<dyn Directory>,
    bus: Arc<dyn Bus>,
    registry: Arc<Registry>,
    /// What times are counted from.
    start: Instant,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// An engine on the directory and the bus that `backend` makes for the given inboxes.
    ///
    /// # Errors
    /// Those of `backend`.
    pub fn new<E>(
        options: Options,
        backend: impl FnOnce(Arc<dyn Inbox>, Arc<dyn BusInbox>) -> Result<Backend, E>,
    ) -> Result<Self, E> {
        let registry = Arc::new(Registry::default());
        let Backend { directory, bus } = backend(registry.clone(), registry.clone())?;
        Ok(Self(Arc::new(Shared {
            options,
            directory,
            bus,
            registry,
            start: Instant::now(),
        })))
    }

    /// An engine on a node's rooms in memory.
    pub fn in_memory(options: Options, hub: &MemoryHub) -> Self {
        let made = Self::new(options, |inbox, bus_inbox| {
            Ok::<_, Infallible>(Backend {
                directory: Arc::new(hub.directory(inbox)),
                bus: Arc::new(hub.bus(bus_inbox)),
            })
        });
        match made {
            Ok(engine) => engine,
        }
    }

    /// What this node counts.
    pub fn counters(&self) -> &Counters {
        &self.0.registry.counters
    }

    /// A session for a connection that is told things through `outlet`.
    pub fn session(&self, outlet: Arc<dyn Outlet>) -> Session {
        Session::new(self.clone(), outlet)
    }

    /// Has every member of this node leave its room, since the node ends.
    pub async fn vacate(&self) {
        let rooms = self.0.registry.rooms();
        let members = rooms.iter().flat_map(|room| {
            let members = room.vacate().into_iter();
            members.map(move |member| (room, member))
        });
        let leave = async |(room, member): (&Arc<Room>, MemberId)| {
            let (room, reason) = (&room.link.room, LeaveReason::Disconnected);
            let left = self.directory().leave(room, &member, reason).await;
            if let Err(error @ DirectoryError::Unavailable(_)) = left {
                warn!(%error, %room, %member, "member could not leave");
            }
        };
        stream::iter(members)
            .for_each_concurrent(LEAVING, leave)
            .await;
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn directory(&self) -> &dyn Directory {
        &*self.0.directory
    }

    pub(crate) fn bus(&self) -> &dyn Bus {
        &*self.0.bus
    }

    /// Takes the room of that id into use.
    pub(crate) fn room(&self, id: &RoomId) -> RoomUse {
        RoomUse::new(&self.0.registry, id, &self.0.bus)
    }

    /// How long the engine has been there.
    pub(crate) fn now(&self) -> Duration {
        self.0.start.elapsed()
    }
}
