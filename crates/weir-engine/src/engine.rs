//! A node's engine: what its sessions and rooms share.

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::{sync::watch, time::Instant};
use tracing::{debug, warn};
use weir_cluster::{Bus, Directory, DirectoryError, Inbox, LogThrottle, MemoryHub, Sample};
use weir_protocol::{LeaveReason, Limits, MemberId, RoomId};

use crate::{
    ByKind, Counters,
    counters::Samples,
    registry::{Registry, RoomUse},
    room::ActiveRoom,
};

/// Maximum number of concurrent departures when the node ends.
const LEAVING: usize = 64;

/// Throttle of log lines about failed departures: one outage fails those of many members.
pub(crate) static LEAVE_FAILED: LogThrottle = LogThrottle::new();

/// Configuration of an engine.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// Limits on requests and chunks.
    pub limits: Limits,
    /// Default of a join request's `create`: whether joining a missing room creates it.
    pub create_on_join: bool,
    /// One in this many chunks of a track is traced; 0 for none.
    pub chunk_sampling: u64,
}

/// Ports that connect a node with the others.
#[derive(Debug)]
pub struct Ports {
    /// State of rooms.
    pub directory: Arc<dyn Directory>,
    /// Transport of chunks and signals.
    pub bus: Arc<dyn Bus>,
}

/// A node's rooms, members and tracks. Clones refer to the same engine.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    options: EngineOptions,
    directory: Arc<dyn Directory>,
    bus: Arc<dyn Bus>,
    registry: Arc<Registry>,
    /// Number of sessions.
    sessions: watch::Sender<usize>,
    /// Whether the node refuses new members.
    draining: AtomicBool,
    /// Reference time of [`now`](Engine::now).
    start: Instant,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// Creates an engine on the ports that `connect` makes for the node's inbox.
    ///
    /// # Errors
    /// Those of `connect`.
    pub fn new<E>(
        options: EngineOptions,
        connect: impl FnOnce(Arc<dyn Inbox>) -> Result<Ports, E>,
    ) -> Result<Self, E> {
        let registry = Arc::new(Registry::default());
        let Ports { directory, bus } = connect(registry.clone())?;
        Ok(Self(Arc::new(Shared {
            options,
            directory,
            bus,
            registry,
            sessions: watch::Sender::new(0),
            draining: AtomicBool::new(false),
            start: Instant::now(),
        })))
    }

    /// Creates an engine on rooms in memory.
    pub fn in_memory(options: EngineOptions, hub: &MemoryHub) -> Self {
        let made = Self::new(options, |inbox| {
            Ok::<_, Infallible>(Ports {
                directory: Arc::new(hub.directory(inbox)),
                bus: Arc::new(hub.bus()),
            })
        });
        match made {
            Ok(engine) => engine,
        }
    }

    /// Returns the node's counters.
    pub fn counters(&self) -> &Counters {
        &self.0.registry.counters
    }

    /// Returns the node's gauges and counters as metrics.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = self.counters().samples();
        let sessions = *self.0.sessions.borrow() as u64;
        samples.push(Sample::new("weir.sessions", &[], sessions));
        let rooms = self.0.registry.rooms();
        samples.push(Sample::new("weir.rooms", &[], rooms.len() as u64));
        let (mut members, tracks) = (0, ByKind::default());
        for room in rooms {
            members += room.census(&tracks);
        }
        samples.push(Sample::new("weir.members", &[], members));
        tracks.sample("weir.tracks", &[], &mut samples);
        samples
    }

    /// Refuses new members from now on, with `draining`.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// Returns whether new members are refused.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// Returns a receiver of the number of sessions.
    pub fn sessions(&self) -> watch::Receiver<usize> {
        self.0.sessions.subscribe()
    }

    /// Changes the number of sessions.
    pub(crate) fn count_sessions(&self, change: impl FnOnce(&mut usize)) {
        self.0.sessions.send_modify(change);
    }

    /// Removes all members of this node from their rooms, then the node from the cluster.
    pub async fn vacate(&self) {
        let rooms = self.0.registry.rooms();
        let members = rooms.iter().flat_map(|room| {
            let members = room.vacate().into_iter();
            members.map(move |member| (room, member))
        });
        let leave = async |(room, member): (&Arc<ActiveRoom>, MemberId)| {
            let (room, reason) = (&room.address.room, LeaveReason::Disconnected);
            debug!(%member, %room, reason = reason.as_str(), "member left");
            let left = self.directory().leave(room, &member, reason).await;
            if let Err(error @ DirectoryError::Unavailable(_)) = left
                && let Some(held_back) = LEAVE_FAILED.pass()
            {
                warn!(%error, %room, %member, held_back, "a member could not leave");
            }
        };
        stream::iter(members)
            .for_each_concurrent(LEAVING, leave)
            .await;
        if let Err(error) = self.directory().resign().await {
            warn!(%error, "the node could not give up its lease; other nodes will wait until it expires");
        }
    }

    pub(crate) fn options(&self) -> &EngineOptions {
        &self.0.options
    }

    pub(crate) fn directory(&self) -> &dyn Directory {
        &*self.0.directory
    }

    pub(crate) fn bus(&self) -> &dyn Bus {
        &*self.0.bus
    }

    /// Takes a room into use.
    pub(crate) fn room(&self, id: &RoomId) -> RoomUse {
        RoomUse::new(&self.0.registry, id, &self.0.bus)
    }

    /// Returns the time since the engine was created.
    pub(crate) fn now(&self) -> Duration {
        self.0.start.elapsed()
    }
}
