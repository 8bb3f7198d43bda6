//! The directory on real Redis.

mod common;

use std::{sync::Arc, time::Duration};

use common::Server;
use futures_util::future::BoxFuture;
use weir_cluster::{
    Bus, BusInbox, Directory, Inbox, MemoryHub, MemoryOptions,
    contract::{Backend, Store, StoreOptions},
    contract_suite,
};
use weir_redis::{DirectoryOptions, RedisDirectory};

struct Redis;
struct RedisStore {
    server: Server,
    options: StoreOptions,
    hub: MemoryHub,
}

impl Backend for Redis {
    fn store(&self, options: StoreOptions) -> BoxFuture<'_, Arc<dyn Store>> {
        Box::pin(async move {
            let hub = MemoryHub::new(MemoryOptions::default());
            Arc::new(RedisStore {
                server: Server::start(),
                options,
                hub,
            }) as Arc<dyn Store>
        })
    }
}

impl Store for RedisStore {
    fn directory(&self, inbox: Arc<dyn Inbox>) -> BoxFuture<'_, Arc<dyn Directory>> {
        Box::pin(async move {
            let options = DirectoryOptions {
                prefix: "test".into(),
                empty_ttl: self.options.empty_ttl,
            };
            let directory =
                RedisDirectory::new(&self.server.target(), &options, inbox).expect("a good target");
            let mut healthy = directory.healthy();
            healthy
                .wait_for(|healthy| *healthy)
                .await
                .expect("it lives");
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

contract_suite!(directory:
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    Redis
);
