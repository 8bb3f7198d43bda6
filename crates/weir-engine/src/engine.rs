//! A node's engine, and what all of it shares.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use weir_cluster::{Directory, Inbox};
use weir_protocol::{Limits, RoomId};

use crate::{
    Counters, Outlet, Session,
    registry::{Registry, RoomUse},
};

/// How an engine behaves.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What a client may send.
    pub limits: Limits,
    /// Whether joining a room that does not exist creates it.
    pub create_on_join: bool,
}

/// A node's rooms, members and tracks. Clones are the same engine.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    options: Options,
    directory: Arc<dyn Directory>,
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
    /// An engine on the directory that `directory` makes for the given inbox.
    pub fn new(
        options: Options,
        directory: impl FnOnce(Arc<dyn Inbox>) -> Arc<dyn Directory>,
    ) -> Self {
        let registry = Arc::new(Registry::default());
        let inbox: Arc<dyn Inbox> = registry.clone();
        Self(Arc::new(Shared {
            options,
            directory: directory(inbox),
            registry,
            start: Instant::now(),
        }))
    }

    /// What this node counts.
    pub fn counters(&self) -> &Counters {
        &self.0.registry.counters
    }

    /// A session for a connection that is told things through `outlet`.
    pub fn session(&self, outlet: Arc<dyn Outlet>) -> Session {
        Session::new(self.clone(), outlet)
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn directory(&self) -> &dyn Directory {
        &*self.0.directory
    }

    /// Takes the room of that id into use.
    pub(crate) fn room(&self, id: &RoomId) -> RoomUse {
        RoomUse::new(&self.0.registry, id)
    }

    /// How long the engine has been there.
    pub(crate) fn now(&self) -> Duration {
        self.0.start.elapsed()
    }
}
