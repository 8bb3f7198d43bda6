//! The directory on real Redis of every kind keeps the contract.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::Server;
use tokio::{runtime::Handle, task::spawn_blocking};
use weir_cluster::{
    BoxFuture, Bus, BusInbox, Directory, Inbox, MemoryHub, MemoryOptions,
    contract::{Backend, Store, StoreOptions},
    contract_suite,
};
use weir_redis::{DirectoryOptions, RedisDirectory};

/// Which kind of Redis.
#[derive(Clone, Copy)]
enum Kind {
    Standalone,
    Cluster,
    Sentinel,
}

/// Names that no other test uses on the same Redis.
static PREFIXES: AtomicUsize = AtomicUsize::new(0);

struct RedisStore {
    server: Server,
    prefix: String,
    options: StoreOptions,
    /// The cases of the directory do not use the bus.
    hub: MemoryHub,
}

impl Backend for Kind {
    fn store(&self, options: StoreOptions) -> BoxFuture<'_, Arc<dyn Store>> {
        Box::pin(async move {
            let (kind, runtime) = (*self, Handle::current());
            // What waits for servers cannot be sent between threads, which a store's future must.
            let server = spawn_blocking(move || {
                runtime.block_on(async {
                    match kind {
                        Self::Standalone => Server::standalone().await,
                        Self::Cluster => Server::cluster().await,
                        Self::Sentinel => Server::sentinel().await,
                    }
                })
            });
            let server = server.await.expect("the servers start");
            let number = PREFIXES.fetch_add(1, Ordering::Relaxed);
            Arc::new(RedisStore {
                server,
                prefix: format!("test{number}"),
                options,
                hub: MemoryHub::new(MemoryOptions::default()),
            }) as Arc<dyn Store>
        })
    }
}

impl Store for RedisStore {
    fn directory(&self, inbox: Arc<dyn Inbox>) -> BoxFuture<'_, Arc<dyn Directory>> {
        Box::pin(async move {
            let options = DirectoryOptions {
                prefix: self.prefix.clone(),
                empty_ttl: self.options.empty_ttl,
            };
            let directory = RedisDirectory::new(&self.server.target(), &options, inbox);
            let directory = directory.expect("a good target");
            let mut healthy = directory.healthy();
            let healthy = healthy.wait_for(|healthy| *healthy).await;
            healthy.expect("the directory lives");
            Arc::new(directory) as Arc<dyn Directory>
        })
    }

    fn bus(&self, inbox: Arc<dyn BusInbox>) -> BoxFuture<'_, Arc<dyn Bus>> {
        Box::pin(async move { Arc::new(self.hub.bus(inbox)) as Arc<dyn Bus> })
    }

    fn advance(&self, _: Duration) -> BoxFuture<'_, ()> {
        unreachable!("no case of these lets time pass")
    }
}

mod standalone {
    use super::*;

    contract_suite!(directory:
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        Kind::Standalone
    );
}

mod cluster {
    use super::*;

    contract_suite!(directory:
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        Kind::Cluster
    );
}

mod sentinel {
    use super::*;

    contract_suite!(directory:
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        Kind::Sentinel
    );
}
