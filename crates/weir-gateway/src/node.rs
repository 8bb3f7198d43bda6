//! A node: binds its listeners, serves until it is told to stop.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::config::Config;
use crate::{ops, web};

/// How long requests that are under way may take once the node is told to stop.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why a node could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// An address to listen on is taken, is not this machine's, or needs a privilege.
    #[error("{key}: cannot listen on {address}: {source}")]
    Listen {
        /// The key that holds the address.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
}

/// A node whose listeners are bound, so that connections wait, but are not yet served.
#[derive(Debug)]
pub struct Node {
    /// Where clients connect.
    public: Bound,
    /// Where `/livez` and `/readyz` answer.
    ops: Bound,
    readiness: ops::Readiness,
}

/// A listener with the address that it got, which differs from the configured one in its port if
/// that was 0.
#[derive(Debug)]
struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    async fn bind(key: &'static str, address: SocketAddr) -> Result<Self, BuildError> {
        let refused = |source| BuildError::Listen {
            key,
            address,
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }
}

impl Node {
    /// Binds both listeners.
    ///
    /// # Errors
    /// If an address cannot be listened on.
    #[allow(clippy::needless_pass_by_value)] // The node owns its configuration from here on.
    pub async fn build(config: Config) -> Result<Self, BuildError> {
        let readiness = ops::Readiness::new();
        readiness.set_ready(false, "starting");
        Ok(Self {
            public: Bound::bind("server.listen", config.server.listen).await?,
            ops: Bound::bind("server.ops_listen", config.server.ops_listen).await?,
            readiness,
        })
    }

    /// Where clients connect.
    pub fn listen(&self) -> SocketAddr {
        self.public.address
    }

    /// Where `/livez` and `/readyz` answer.
    pub fn ops_listen(&self) -> SocketAddr {
        self.ops.address
    }

    /// Serves until `shutdown` completes, then lets requests that are under way end, for at most
    /// five seconds. Liveness and readiness are answered to the last.
    ///
    /// # Errors
    /// If a listener fails for good.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let Self {
            public,
            ops,
            readiness,
        } = self;
        let (stop, stopping) = watch::channel(false);
        let clients =
            axum::serve(public.listener, web::router()).with_graceful_shutdown(stopped(stopping));
        let operations = axum::serve(ops.listener, ops::router(readiness.clone()));
        let mut clients = tokio::spawn(clients.into_future());
        let operations = tokio::spawn(operations.into_future());

        readiness.set_ready(true, "starting");
        info!(listen = %public.address, ops_listen = %ops.address, "listening");
        tokio::select! {
            // An order to stop is obeyed even where clients keep the listener busy.
            biased;
            () = shutdown => {}
            ended = &mut clients => return ended?,
        }
        readiness.set_ready(false, "stopping");
        info!("stopping");
        stop.send_replace(true);
        let ended = tokio::time::timeout(FAREWELL, &mut clients).await;
        operations.abort();
        match ended {
            Ok(ended) => ended??,
            Err(_) => {
                warn!("requests were still under way");
                clients.abort();
            }
        }
        info!("stopped");
        Ok(())
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // A sender that is gone has stopped, too.
    let _ = stopping.wait_for(|stop| *stop).await;
}
