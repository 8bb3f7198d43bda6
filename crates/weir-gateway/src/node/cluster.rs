//! Backend of a node: Redis, or memory.

use std::{convert::Infallible, fmt, sync::Arc};

use tokio::sync::watch;
use weir_cluster::{DirectoryError, MemoryHub, MemoryOptions, Sample};
use weir_engine::{Engine, EngineOptions, Ports};
use weir_redis::{DirectoryOptions, Health, RedisBus, RedisDirectory, Target};

use crate::{
    config::Config,
    readiness::Readiness,
    telemetry::{observed::ObservedDirectory, resource},
};

/// Engine of a node with the backend that it runs on. Clones share them.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) engine: Engine,
    redis: Option<RedisBackend>,
    /// Kind of Redis, or `memory`.
    kind: &'static str,
}

/// Redis planes: metric label, and readiness reason while the plane fails. In the order of
/// [`RedisBackend::planes`].
pub(crate) const PLANES: [(&str, &str); 4] = [
    ("directory", "redis: the directory is unavailable"),
    ("events", "redis: room events are not heard"),
    ("subscriptions", "redis: the bus is not heard"),
    ("publishing", "redis: the bus cannot be published to"),
];

/// Bus and directory on Redis, with the health of each plane.
#[derive(Clone)]
struct RedisBackend {
    bus: Arc<RedisBus>,
    directory: Arc<RedisDirectory>,
    planes: [watch::Receiver<Health>; 4],
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redis = self.redis.is_some();
        f.debug_struct("Cluster").field("redis", &redis).finish()
    }
}

impl Cluster {
    /// Creates the configured backend: Redis if it has a URL, memory otherwise.
    ///
    /// # Errors
    /// If the configured Redis cannot be used. A Redis that cannot be reached is no error.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn new(config: &Config) -> Result<Self, DirectoryError> {
        let options = EngineOptions {
            limits: config.limits,
            create_on_join: config.rooms.create_on_join,
            chunk_sampling: config.telemetry.chunk_sampling,
        };
        match config.redis.targets() {
            Some(targets) => Self::on_redis(options, config, &targets),
            None => Ok(Self::in_memory(options, config)),
        }
    }

    fn in_memory(options: EngineOptions, config: &Config) -> Self {
        let hub = MemoryHub::new(MemoryOptions {
            empty_ttl: config.rooms.empty_ttl,
            max_rooms: config.rooms.max_rooms,
            room_state_bytes: config.limits.room_state_bytes,
            ..MemoryOptions::default()
        });
        let made = Engine::new(options, |inbox| {
            let directory = Arc::new(hub.directory(inbox));
            Ok::<_, Infallible>(Ports {
                directory: Arc::new(ObservedDirectory::new(directory)),
                bus: Arc::new(hub.bus()),
            })
        });
        let Ok(engine) = made;
        Self {
            engine,
            redis: None,
            kind: "memory",
        }
    }

    fn on_redis(
        options: EngineOptions,
        config: &Config,
        (directory_target, bus_target): &(Target, Target),
    ) -> Result<Self, DirectoryError> {
        let directory_options = DirectoryOptions {
            prefix: config.redis.prefix.clone(),
            empty_ttl: config.rooms.empty_ttl,
            room_state_bytes: config.limits.room_state_bytes,
        };
        let mut redis = None;
        let engine = Engine::new(options, |inbox| {
            let directory = RedisDirectory::new(directory_target, &directory_options, inbox)?;
            let directory = Arc::new(directory);
            let bus = Arc::new(RedisBus::new(bus_target, &config.redis.prefix));
            redis = Some(RedisBackend {
                planes: [
                    directory.health(),
                    directory.hears(),
                    bus.hears(),
                    bus.publishes(),
                ],
                bus: Arc::clone(&bus),
                directory: Arc::clone(&directory),
            });
            Ok::<_, DirectoryError>(Ports {
                directory: Arc::new(ObservedDirectory::new(directory)),
                bus,
            })
        })?;
        let kind = directory_target.kind();
        Ok(Self {
            engine,
            redis,
            kind,
        })
    }

    /// Returns the node's id in the cluster, or its telemetry instance id without Redis.
    pub(crate) fn node(&self) -> String {
        self.redis
            .as_ref()
            .map_or_else(resource::instance, |redis| redis.directory.node_id())
    }

    /// Returns the kind of cluster: `memory`, `redis`, `redis-sentinel` or `redis-cluster`.
    pub(crate) const fn kind(&self) -> &'static str {
        self.kind
    }

    /// Reports the health of each Redis plane to `readiness` from now on.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn report_to(&self, readiness: &Readiness) {
        let planes = self.redis.iter().flat_map(|redis| &redis.planes);
        for ((_, reason), health) in PLANES.into_iter().zip(planes) {
            let mut health = health.clone();
            let readiness = readiness.clone();
            let report = move |health: &Health| match health.cause() {
                Some(cause) => readiness.set_cause(reason, cause),
                None => readiness.set_ready(true, reason),
            };
            report(&health.borrow_and_update());
            tokio::spawn(async move {
                while health.changed().await.is_ok() {
                    report(&health.borrow_and_update());
                }
            });
        }
    }

    /// Returns the metrics of the engine and of Redis.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let mut samples = self.engine.samples();
        let Some(redis) = &self.redis else {
            return samples;
        };
        samples.extend(redis.bus.samples());
        samples.extend(redis.directory.samples());
        for ((plane, _), health) in PLANES.into_iter().zip(&redis.planes) {
            let up = u64::from(health.borrow().works());
            samples.push(Sample::new("weir.redis.up", &[("plane", plane)], up));
        }
        samples
    }
}
