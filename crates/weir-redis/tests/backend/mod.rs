//! Backends of the contract suite on real Redis of every kind.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::OnceCell, task::spawn_blocking};
use weir_cluster::{
    BoxFuture, Bus, Directory, Inbox,
    contract::{Backend, SharedStore, StoreOptions},
};
use weir_redis::{DirectoryOptions, Health, RedisBus, RedisDirectory};
use weir_testkit::RedisServer;

/// Kind of Redis deployment.
#[derive(Clone, Copy)]
pub(crate) enum ServerKind {
    Standalone,
    Cluster,
    Sentinel,
}

/// Counter of prefixes, so that tests on the same Redis are isolated.
static PREFIXES: AtomicUsize = AtomicUsize::new(0);

/// Servers of each kind, shared by all tests of a process.
static SERVERS: [OnceCell<Arc<RedisServer>>; 3] = [const { OnceCell::const_new() }; 3];

impl ServerKind {
    async fn server(self) -> Arc<RedisServer> {
        let server = SERVERS[self as usize].get_or_init(|| async {
            // The future that starts servers is not `Send`, as the future of a store must be.
            let runtime = Handle::current();
            let started = spawn_blocking(move || {
                runtime.block_on(async {
                    match self {
                        Self::Standalone => RedisServer::standalone().await,
                        Self::Cluster => RedisServer::cluster().await,
                        Self::Sentinel => RedisServer::sentinel().await,
                    }
                })
            });
            Arc::new(started.await.expect("the servers start"))
        });
        Arc::clone(server.await)
    }
}

struct RedisStore {
    server: Arc<RedisServer>,
    prefix: String,
    options: StoreOptions,
}

impl Backend for ServerKind {
    fn store(&self, options: StoreOptions) -> BoxFuture<'_, Arc<dyn SharedStore>> {
        Box::pin(async move {
            let server = self.server().await;
            let number = PREFIXES.fetch_add(1, Ordering::Relaxed);
            Arc::new(RedisStore {
                server,
                prefix: format!("test{number}"),
                options,
            }) as Arc<dyn SharedStore>
        })
    }
}

impl SharedStore for RedisStore {
    fn directory(&self, inbox: Arc<dyn Inbox>) -> BoxFuture<'_, Arc<dyn Directory>> {
        Box::pin(async move {
            let options = DirectoryOptions {
                prefix: self.prefix.clone(),
                empty_ttl: self.options.empty_ttl,
                room_state_bytes: self.options.room_state_bytes,
            };
            let directory = RedisDirectory::new(
                &self.server.url().parse().expect("a Redis"),
                &options,
                inbox,
            );
            let directory = directory.expect("a good target");
            for mut health in [directory.health(), directory.hears()] {
                let works = health.wait_for(Health::works).await;
                works.expect("the directory lives");
            }
            Arc::new(directory) as Arc<dyn Directory>
        })
    }

    fn bus(&self) -> BoxFuture<'_, Arc<dyn Bus>> {
        Box::pin(async move {
            let bus = RedisBus::new(&self.server.url().parse().expect("a Redis"), &self.prefix);
            for mut health in [bus.hears(), bus.publishes()] {
                health.wait_for(Health::works).await.expect("the bus lives");
            }
            Arc::new(bus) as Arc<dyn Bus>
        })
    }

    fn advance(&self, _: Duration) -> BoxFuture<'_, ()> {
        unreachable!("no case of these lets time pass")
    }
}
