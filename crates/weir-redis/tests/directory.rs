//! The directory on real Redis.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use weir_cluster::{
    Bus, BusInbox, Directory, Inbox, MemoryHub, MemoryOptions,
    contract::{Backend, Store, StoreOptions},
    contract_suite,
};
use weir_redis::{DirectoryOptions, RedisDirectory, Target};

struct Server(Child, u16);
impl Server {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server; install it with: apt-get install redis-server");
        Self(child, port)
    }
}
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

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
            let target: Target = format!("redis://127.0.0.1:{}", self.server.1)
                .parse()
                .unwrap();
            let options = DirectoryOptions {
                prefix: "test".into(),
                empty_ttl: self.options.empty_ttl,
            };
            let directory = RedisDirectory::new(&target, &options, inbox).unwrap();
            let mut healthy = directory.healthy();
            healthy.wait_for(|healthy| *healthy).await.unwrap();
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
