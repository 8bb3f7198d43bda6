//! Node: [built](Node::build) with its listeners bound, then [run](Node::run) until its shutdown.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use opentelemetry_sdk::error::OTelSdkError;
use socketioxide::SocketIo;
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};
use tracing::{info, warn};
use weir_cluster::{DirectoryError, Sample};

use super::{
    cluster::Cluster,
    drain::{self, Drain, DrainPhase},
    edge,
};
use crate::{
    config::{Config, ServerConfig},
    edge::{
        accept::listener::BoundListener, adapter::DirectAdapter, clients::Clients,
        http::service::Edge,
    },
    ops,
    readiness::Readiness,
    telemetry::{metrics::Metrics, otlp::Collector, process::ProcessMetrics, resource::resource},
};

/// Deadline of each step of a shutdown: closing the clients, removing the members, flushing the
/// telemetry.
const STEP_DEADLINE: Duration = Duration::from_secs(5);

/// Logged reason of sessions that end with the node.
const STOPPED: &str = "the node stopped";

/// Readiness reason of a node that does not serve yet.
const STARTING: &str = "starting";

/// Kind of shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Moves the clients to other nodes first, as `[drain]` configures.
    Drain,
    /// Ends at once. Clients and other members are notified.
    Now,
}

/// Error of building a node.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A listen address is in use, is not local, or requires a privilege.
    #[error("{key}: cannot listen on {address}")]
    Listen {
        /// Configuration key of the address.
        key: &'static str,
        /// Configured address.
        address: SocketAddr,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The metrics cannot be set up.
    #[error("telemetry")]
    Telemetry(#[source] OTelSdkError),
    /// The configured Redis cannot be used.
    #[error("redis")]
    Redis(#[source] DirectoryError),
}

/// Node whose listeners are bound. Connections wait there until it runs.
#[derive(Debug)]
pub struct Node {
    config: Config,
    /// Listener for clients.
    public: BoundListener,
    /// Listener for operators.
    ops: BoundListener,
    readiness: Readiness,
    metrics: Metrics,
    collector: Collector,
    cluster: Cluster,
}

impl Node {
    /// Builds a node and binds its listeners. Its telemetry also goes to `collector`.
    ///
    /// # Errors
    /// If a listener cannot be bound, or the configured Redis cannot be used. A Redis that cannot be
    /// reached is no error.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn build(config: Config, mut collector: Collector) -> Result<Self, BuildError> {
        let readiness = Readiness::new();
        readiness.set_ready(false, STARTING);
        Ok(Self {
            public: bind("server.listen", config.server.listen)?,
            ops: bind("server.ops_listen", config.server.ops_listen)?,
            // First, since the other parts create their histograms in this provider.
            metrics: Metrics::new(resource(), |builder| collector.add_reader(builder))
                .map_err(BuildError::Telemetry)?,
            cluster: Cluster::new(&config).map_err(BuildError::Redis)?,
            readiness,
            collector,
            config,
        })
    }

    /// Returns the address for clients.
    pub fn listen(&self) -> SocketAddr {
        self.public.address()
    }

    /// Returns the address of the operations listener.
    pub fn ops_listen(&self) -> SocketAddr {
        self.ops.address()
    }

    /// Serves clients until `shutdown`, then ends every connection. Answers liveness and readiness
    /// requests until the end.
    pub async fn run(self, shutdown: impl Future<Output = Shutdown>) {
        let node = self.start();
        node.serve(shutdown).await;
        node.stop().await;
    }

    /// Starts the operations listener and the metrics, and becomes ready.
    fn start(self) -> RunningNode {
        info!(
            version = env!("CARGO_PKG_VERSION"),
            node = self.cluster.node(),
            cluster = self.cluster.kind(),
            // Authentication is not implemented.
            access = "open",
            "starting"
        );
        self.cluster.report_to(&self.readiness);
        let (edge, socketio) = edge::build(&self.config, &self.cluster.engine);
        let metrics = Arc::new(self.metrics);
        let scraped = Arc::clone(&metrics);
        let scrape = move || scraped.text().map_err(|error| error.to_string());
        let router = ops::router(self.readiness.clone(), scrape);
        let (listen, ops_listen) = (self.public.address(), self.ops.address());
        let operations = ops::serve(self.ops, router, self.config.server.header_timeout);
        let node = RunningNode {
            operations: tokio::spawn(operations),
            public: self.public,
            readiness: self.readiness,
            cluster: self.cluster,
            edge,
            socketio,
            drain_phase: DrainPhase::default(),
            metrics,
            collector: Arc::new(self.collector),
            config: self.config,
        };
        node.register_metrics();
        node.readiness.set_ready(true, STARTING);
        log_address_limit(&node.config.server);
        info!(%listen, %ops_listen, "listening");
        node
    }
}

fn bind(key: &'static str, address: SocketAddr) -> Result<BoundListener, BuildError> {
    BoundListener::bind(address).map_err(|source| BuildError::Listen {
        key,
        address,
        source,
    })
}

/// Logs that the limit per address is below the total: behind an untrusted proxy, it applies to all
/// clients together.
fn log_address_limit(server: &ServerConfig) {
    if let Some(limit) = server.max_connections_per_address
        && limit.get() < server.max_connections
        && server.trusted_proxies.is_empty()
    {
        info!(
            limit,
            max_connections = server.max_connections,
            "the limit per address is below max_connections; behind a proxy, set server.trusted_proxies"
        );
    }
}

/// Node that serves.
struct RunningNode {
    config: Config,
    public: BoundListener,
    /// Task of the operations listener.
    operations: JoinHandle<()>,
    readiness: Readiness,
    cluster: Cluster,
    edge: Edge,
    socketio: SocketIo<DirectAdapter>,
    drain_phase: DrainPhase,
    metrics: Arc<Metrics>,
    collector: Arc<Collector>,
}

impl RunningNode {
    /// Registers the sources of the polled metrics.
    fn register_metrics(&self) {
        let cluster = self.cluster.clone();
        self.metrics.add_source(move || cluster.samples());
        let clients = self.clients();
        self.metrics.add_source(move || clients.samples());
        let process = ProcessMetrics::new();
        self.metrics.add_source(move || process.samples());
        let collector = Arc::clone(&self.collector);
        self.metrics.add_source(move || collector.samples());
        let gate = self.edge.acceptor.gate.clone();
        let (readiness, phase) = (self.readiness.clone(), self.drain_phase.clone());
        self.metrics.add_source(move || {
            vec![
                Sample::new("weir.connections", &[], gate.connections() as u64),
                Sample::new("weir.ready", &[], readiness.is_ready().into()),
                Sample::new("weir.drain.phase", &[], phase.value()),
            ]
        });
    }

    /// Serves clients until `shutdown`, and during the drain that it may ask for.
    async fn serve(&self, shutdown: impl Future<Output = Shutdown>) {
        let end = async {
            if shutdown.await == Shutdown::Drain {
                self.drain().run().await;
            }
        };
        let serve = |connection| {
            tokio::spawn(self.edge.clone().serve(connection));
        };
        tokio::select! {
            // Shutdown takes priority over new connections.
            biased;
            () = end => {}
            () = self.edge.acceptor.run(&self.public, serve) => {}
        }
    }

    fn drain(&self) -> Drain {
        Drain {
            config: self.config.drain.clone(),
            readiness: self.readiness.clone(),
            engine: self.cluster.engine.clone(),
            clients: self.clients(),
            phase: self.drain_phase.clone(),
        }
    }

    fn clients(&self) -> Clients {
        Clients(self.socketio.clone())
    }

    /// Closes the listeners, the clients' connections and their members' seats, and flushes the
    /// telemetry.
    async fn stop(self) {
        self.readiness.set_ready(false, drain::REASON);
        info!("stopping");
        let (clients, responder) = (self.clients(), self.edge.acceptor.responder);
        drop(self.public);
        // Sessions that the library ends by closing have no disconnect handler, and log here.
        let remaining: Vec<_> = clients.all().collect();
        let closed = async { tokio::join!(self.socketio.close(), responder.finish()) };
        if timeout(STEP_DEADLINE, closed).await.is_err() {
            warn!("clients did not close in time");
        }
        for (transport, session) in remaining {
            session.log_end(&transport.cause().unwrap_or(STOPPED));
        }
        if timeout(STEP_DEADLINE, self.cluster.engine.vacate())
            .await
            .is_err()
        {
            warn!("members did not leave in time; they leave when this node's lease expires");
        }
        self.operations.abort();
        info!("stopped");
        // Flushes in parallel, on blocking threads: an unresponsive collector must not keep the
        // process alive.
        let (metrics, collector) = (self.metrics, self.collector);
        let metrics = spawn_blocking(move || metrics.shutdown());
        let collector = spawn_blocking(move || collector.shutdown());
        let _ = timeout(STEP_DEADLINE, async { tokio::join!(metrics, collector) }).await;
    }
}

#[cfg(test)]
mod tests {
    use crate::node::{cluster::PLANES, drain};

    #[test]
    fn documented_readiness_reasons_are_those_of_the_code() {
        let documented = include_str!("../../../../docs/operations.md");
        let table = documented.split("Reasons against readiness").nth(1);
        let table = table.and_then(|rest| rest.split("\n\n").nth(1));
        let rows = table.expect("the table").lines().skip(2);
        let documented: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
        let mut known = vec![super::STARTING, drain::REASON];
        known.extend(PLANES.map(|(_, reason)| reason));
        assert_eq!(documented, known);
    }
}
