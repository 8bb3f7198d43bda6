//! A node's engine, and what all of it shares.

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
use opentelemetry::Context;
use tokio::{sync::watch, time::Instant};
use tracing::{debug, warn};
use weir_cluster::{Bus, Directory, DirectoryError, Inbox, MemoryHub, Sample, Seldom};
use weir_protocol::{LeaveReason, Limits, MemberId, RoomId};

use crate::{
    ByKind, Counters, Origin, Outlet, Session,
    counters::Samples,
    registry::{Registry, RoomUse},
    room::Room,
};

/// How many members leave at a time when the node ends.
const LEAVING: usize = 64;

/// There may be many members, and one reason for all.
pub(crate) static STAYED: Seldom = Seldom::new();

/// How an engine behaves.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What a client may send.
    pub limits: Limits,
    /// Default of a join request's `create`: whether joining a missing room creates it.
    pub create_on_join: bool,
    /// The way of one in so many chunks of a track is traced; 0 for none.
    pub chunk_sampling: u64,
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
    /// How many sessions there are.
    sessions: watch::Sender<usize>,
    /// Whether the node takes members no more.
    draining: AtomicBool,
    /// What times are counted from.
    start: Instant,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// Creates an engine on the backend that `backend` makes for the node's inbox.
    ///
    /// # Errors
    /// Those of `backend`.
    pub fn new<E>(
        options: Options,
        backend: impl FnOnce(Arc<dyn Inbox>) -> Result<Backend, E>,
    ) -> Result<Self, E> {
        let registry = Arc::new(Registry::default());
        let Backend { directory, bus } = backend(registry.clone())?;
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

    /// An engine on a node's rooms in memory.
    pub fn in_memory(options: Options, hub: &MemoryHub) -> Self {
        let made = Self::new(options, |inbox| {
            Ok::<_, Infallible>(Backend {
                directory: Arc::new(hub.directory(inbox)),
                bus: Arc::new(hub.bus()),
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

    /// What this node has and has counted, as metrics.
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

    /// Creates a session for a connection, which receives its notices through `outlet`. Its
    /// requests are traced under the span of `context`, and logged with `origin`.
    pub fn session(&self, outlet: Arc<dyn Outlet>, context: Context, origin: Origin) -> Session {
        Session::new(self.clone(), outlet, context, origin)
    }

    /// Takes no more members from now on: who asks to join is told that the node is `draining`.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// Whether it takes members no more.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// How many sessions there are, whenever that changes.
    pub fn sessions(&self) -> watch::Receiver<usize> {
        self.0.sessions.subscribe()
    }

    pub(crate) fn count_sessions(&self, change: impl FnOnce(&mut usize)) {
        self.0.sessions.send_modify(change);
    }

    /// Has every member of this node leave its room, and the node the cluster, since the node ends.
    pub async fn vacate(&self) {
        let rooms = self.0.registry.rooms();
        let members = rooms.iter().flat_map(|room| {
            let members = room.vacate().into_iter();
            members.map(move |member| (room, member))
        });
        let leave = async |(room, member): (&Arc<Room>, MemberId)| {
            let (room, reason) = (&room.link.room, LeaveReason::Disconnected);
            debug!(%member, %room, reason = reason.as_str(), "member left");
            let left = self.directory().leave(room, &member, reason).await;
            if let Err(error @ DirectoryError::Unavailable(_)) = left
                && let Some(held_back) = STAYED.pass()
            {
                warn!(%error, %room, %member, held_back, "a member could not leave");
            }
        };
        stream::iter(members)
            .for_each_concurrent(LEAVING, leave)
            .await;
        if let Err(error) = self.directory().resign().await {
            warn!(%error, "the node could not give its lease back; other nodes will find it dead");
        }
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
