//! What joins a node with others: Redis, or nothing.

use std::{fmt, sync::Arc};

use tokio::sync::watch;
use weir_cluster::{DirectoryError, MemoryHub, MemoryOptions};
use weir_engine::{Backend, Engine, Options};
use weir_redis::{BusOptions, DirectoryOptions, RedisBus, RedisDirectory, Target};

use crate::{config::Config, ops::Readiness};

/// A node's engine, and what is known of the Redis that it stands on. Clones are of the same node.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) engine: Engine,
    redis: Option<Redis>,
}

/// The connections to Redis.
#[derive(Clone)]
struct Redis {
    bus: Arc<RedisBus>,
    /// What does not work, while the receiver says `false`.
    planes: [(&'static str, watch::Receiver<bool>); 3],
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redis = self.redis.is_some();
        f.debug_struct("Cluster").field("redis", &redis).finish()
    }
}

impl Cluster {
    /// The cluster of the configuration; of this node alone if there is no Redis.
    ///
    /// # Errors
    /// If the Redis that is configured cannot be used at all; not if it cannot be reached now.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn new(config: &Config) -> Result<Self, DirectoryError> {
        let options = Options {
            limits: config.limits,
            create_on_join: config.rooms.create_on_join,
        };
        match config.redis.targets() {
            Some(targets) => Self::on_redis(options, config, &targets),
            None => Ok(Self::in_memory(options, config)),
        }
    }

    fn in_memory(options: Options, config: &Config) -> Self {
        let hub = MemoryHub::new(MemoryOptions {
            empty_ttl: config.rooms.empty_ttl,
            max_rooms: config.rooms.max_rooms,
            ..MemoryOptions::default()
        });
        let engine = Engine::in_memory(options, &hub);
        Self {
            engine,
            redis: None,
        }
    }

    fn on_redis(
        options: Options,
        config: &Config,
        (directory_target, bus_target): &(Target, Target),
    ) -> Result<Self, DirectoryError> {
        let directory_options = DirectoryOptions {
            prefix: config.redis.prefix.clone(),
            empty_ttl: config.rooms.empty_ttl,
        };
        let bus_options = BusOptions {
            prefix: config.redis.prefix.clone(),
            batch: config.redis.batch,
        };
        let mut redis = None;
        let engine = Engine::new(options, |inbox, bus_inbox| {
            let directory = RedisDirectory::new(directory_target, &directory_options, inbox)?;
            let bus = Arc::new(RedisBus::new(bus_target, &bus_options, bus_inbox));
            let [subscriptions, publishing] = bus.healthy();
            redis = Some(Redis {
                bus: Arc::clone(&bus),
                planes: [
                    ("redis: the directory is unavailable", directory.healthy()),
                    ("redis: the bus cannot be subscribed to", subscriptions),
                    ("redis: the bus cannot be published to", publishing),
                ],
            });
            Ok::<_, DirectoryError>(Backend {
                directory: Arc::new(directory),
                bus,
            })
        })?;
        Ok(Self { engine, redis })
    }

    /// Has `readiness` follow the state of Redis from now on.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn report_to(&self, readiness: &Readiness) {
        let planes = self.redis.iter().flat_map(|redis| &redis.planes);
        for (reason, healthy) in planes {
            let (reason, mut healthy) = (*reason, healthy.clone());
            readiness.set_ready(*healthy.borrow_and_update(), reason);
            let readiness = readiness.clone();
            tokio::spawn(async move {
                while healthy.changed().await.is_ok() {
                    readiness.set_ready(*healthy.borrow_and_update(), reason);
                }
            });
        }
    }

    /// All that the node counts: each counter's name and its value now.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        let mut counts = self.engine.counters().values();
        counts.extend(self.redis.iter().flat_map(|redis| redis.bus.counts()));
        counts
    }
}
