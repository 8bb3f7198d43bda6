//! A node: binds its listeners, serves until it is told to stop.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::Router;
use opentelemetry_sdk::error::OTelSdkError;
use socketioxide::{ParserConfig, SocketIo, service::SocketIoService};
use tokio::{
    net::{TcpListener, TcpSocket},
    time::timeout,
};
use tracing::{info, warn};
use weir_cluster::{DirectoryError, Sample};
use weir_core::ConnectionLimits;
use weir_engine::Engine;

use super::{
    cluster::Cluster,
    drain::{self, Drain},
};
use crate::{
    config::{Config, Server},
    edge::{
        accept::gate::{Gate, accept},
        adapter::{Direct, DirectAdapter},
        client,
        client_address::proxies::Proxies,
        clients::Clients,
        http::{
            cors,
            service::{Edge, PATH},
            timeouts::RequestTimes,
        },
        polling::{queue::CHANNEL_ENTRIES, sessions::Polled},
        websocket::{admission::Intake, probe::ProbeTimes},
    },
    ops::{self, Readiness},
    telemetry::{metrics::Metrics, otlp::Collector, process::Process, resource},
    web,
};

/// How long clients may take to hear that the node stops, and then members to leave.
const FAREWELL: Duration = Duration::from_secs(5);

/// Logged reason of sessions that end with the node.
const STOPPED: &str = "the node stopped";

/// Connections that may wait to be accepted, when many come at once. The system may allow fewer.
const BACKLOG: u32 = 4096;

/// What the library reads at a time. It keeps a buffer of this size for each connection; the
/// socket itself is read in larger pieces.
const READ_BUFFER_BYTES: usize = 512;

/// The most attachments of one packet.
const ATTACHMENTS: usize = 1_024;

/// How long a packet's attachments may follow it.
const ATTACHMENTS_TIMEOUT: Duration = Duration::from_secs(10);

/// Readiness reason of a node that does not serve yet.
pub(crate) const STARTING: &str = "starting";

/// How a node ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Its clients are moved to other nodes first, as the configuration's `[drain]` says.
    Drain,
    /// At once; clients and other members are told.
    Now,
}

/// Why a node could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// An address to listen on is taken, is not this machine's, or needs a privilege.
    #[error("{key}: cannot listen on {address}")]
    Listen {
        /// The key that holds the address.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// Nothing can be measured.
    #[error("telemetry")]
    Telemetry(#[source] OTelSdkError),
    /// The Redis that is configured cannot be used.
    #[error("redis")]
    Redis(#[source] DirectoryError),
}

/// A node whose listeners are bound, so that connections wait, but are not yet served.
#[derive(Debug)]
pub struct Node {
    config: Config,
    /// Where clients connect.
    public: Bound,
    /// Where operators ask.
    ops: Bound,
    readiness: Readiness,
    metrics: Metrics,
    collector: Collector,
    cluster: Cluster,
}

/// A listener with the address that it got, which differs from the configured one in its port if
/// that was 0.
#[derive(Debug)]
struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    fn bind(key: &'static str, address: SocketAddr) -> Result<Self, BuildError> {
        let refused = |source| BuildError::Listen {
            key,
            address,
            source,
        };
        let listener = Self::listen(address).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }

    fn listen(address: SocketAddr) -> io::Result<TcpListener> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        // Or a node that is started again would wait for the connections of the one before.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    }
}

impl Node {
    /// Binds both listeners; what the node says of itself goes to `collector`, too.
    ///
    /// # Errors
    /// If an address cannot be listened on, or the Redis that is configured cannot be used; it need
    /// not be there.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn build(config: Config, mut collector: Collector) -> Result<Self, BuildError> {
        let readiness = Readiness::new();
        readiness.set_ready(false, STARTING);
        Ok(Self {
            public: Bound::bind("server.listen", config.server.listen)?,
            ops: Bound::bind("server.ops_listen", config.server.ops_listen)?,
            // Before anything that is measured.
            metrics: Metrics::new(resource(), |builder| collector.read(builder))
                .map_err(BuildError::Telemetry)?,
            cluster: Cluster::new(&config).map_err(BuildError::Redis)?,
            readiness,
            collector,
            config,
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

    /// Serves until `shutdown` says how to end, then ends every connection. Liveness and readiness
    /// are answered to the last.
    pub async fn run(self, shutdown: impl Future<Output = Shutdown>) {
        let Self {
            config,
            public,
            ops,
            readiness,
            cluster,
            metrics,
            collector,
        } = self;
        let engine = cluster.engine.clone();
        info!(
            version = env!("CARGO_PKG_VERSION"),
            node = cluster.node(),
            cluster = cluster.kind(),
            // Tokens come with a later version.
            access = "open",
            "starting"
        );
        cluster.report_to(&readiness);
        let (edge, socketio) = edge(&config, &engine);
        let gate = edge.gate.clone();
        let clients = Clients(socketio.clone());
        let phase = Arc::new(AtomicU64::new(0));
        measure(&metrics, cluster, &readiness, &gate, &clients, &phase);
        let collector = Arc::new(collector);
        let delivered = Arc::clone(&collector);
        metrics.read(move || delivered.samples());
        let metrics = Arc::new(metrics);
        let scraped = Arc::clone(&metrics);
        let scrape = move || scraped.text().map_err(|error| error.to_string());
        let operations = ops::router(readiness.clone(), scrape);
        let operations = ops::serve(ops.listener, operations, config.server.header_timeout);
        let operations = tokio::spawn(operations);
        let serve = |connection| {
            tokio::spawn(edge.clone().serve(connection));
        };

        readiness.set_ready(true, STARTING);
        log_address_limit(&config.server);
        info!(listen = %public.address, ops_listen = %ops.address, "listening");
        let end = async {
            if shutdown.await == Shutdown::Drain {
                let drain = Drain {
                    config: config.drain.clone(),
                    readiness: readiness.clone(),
                    engine: engine.clone(),
                    clients,
                    phase,
                };
                drain.run().await;
            }
        };
        tokio::select! {
            // An order to stop is obeyed even where clients keep the listener busy.
            biased;
            () = end => {}
            () = accept(&public.listener, &gate, config.egress.unsent_bytes, serve) => {}
        }
        readiness.set_ready(false, drain::REASON);
        info!("stopping");
        drop(public.listener);
        let last: Vec<_> = Clients(socketio.clone()).all().collect();
        if timeout(FAREWELL, socketio.close()).await.is_err() {
            warn!("clients were still being told");
        }
        // The library tells nobody of the sockets that it closes in the end.
        for (link, session) in last {
            session.log_end(&link.cause().unwrap_or(STOPPED));
        }
        if timeout(FAREWELL, engine.vacate()).await.is_err() {
            warn!("members were still leaving; other nodes will see that they are gone");
        }
        operations.abort();
        info!("stopped");
        // Pending telemetry is flushed by separate blocking threads, in parallel. An unresponsive
        // collector must not keep the process alive.
        let measured = tokio::task::spawn_blocking(move || metrics.shutdown());
        let told = tokio::task::spawn_blocking(move || collector.shutdown());
        let _ = timeout(FAREWELL, async { tokio::join!(measured, told) }).await;
    }
}

/// Logs that the limit per address is below the total: behind an untrusted proxy, it applies to all
/// clients together.
fn log_address_limit(server: &Server) {
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

/// Has all parts of a node read for its metrics.
fn measure(
    metrics: &Metrics,
    cluster: Cluster,
    readiness: &Readiness,
    gate: &Gate,
    clients: &Clients,
    phase: &Arc<AtomicU64>,
) {
    let (readiness, gate, phase) = (readiness.clone(), gate.clone(), Arc::clone(phase));
    let clients = clients.clone();
    let process = Process::new();
    metrics.read(move || cluster.samples());
    metrics.read(move || clients.samples());
    metrics.read(move || process.samples());
    metrics.read(move || {
        let phase = phase.load(Ordering::Relaxed);
        vec![
            Sample::new("weir.connections", &[], gate.connections() as u64),
            Sample::new("weir.ready", &[], readiness.is_ready().into()),
            Sample::new("weir.drain.phase", &[], phase),
        ]
    });
}

/// What serves clients with `engine`.
fn edge(config: &Config, engine: &Engine) -> (Edge, SocketIo<DirectAdapter>) {
    let server = &config.server;
    let limits = ConnectionLimits {
        total: server.max_connections,
        per_address: server
            .max_connections_per_address
            .map_or(usize::MAX, usize::from),
    };
    let direct = Direct::default();
    let (service, io) = library(config, direct.clone());
    let terms = client::Terms {
        direct,
        engine: engine.clone(),
        limits: config.limits,
        connect_timeout: config.socketio.connect_timeout,
    };
    client::serve(&io, terms);
    let longest = config.limits.websocket_message_bytes as u64;
    let edge = Edge {
        socketio: service,
        gate: Gate::new(limits, Proxies::new(server), engine.clone()),
        intake: Intake::new(longest, engine.clone()),
        polled: Polled::default(),
        egress: config.egress.clone(),
        answer_bytes: config.limits.websocket_message_bytes,
        times: RequestTimes {
            header: server.header_timeout,
            keep_alive: server.keep_alive,
        },
        cors: cors::layer(&server.cors_origins),
        probe: ProbeTimes::new(
            config.socketio.upgrade_timeout,
            config.socketio.connect_timeout,
        ),
    };
    (edge, io)
}

/// The library, with its limits set to ours.
fn library(
    config: &Config,
    direct: Direct,
) -> (
    SocketIoService<Router, DirectAdapter>,
    SocketIo<DirectAdapter>,
) {
    let longest = config.limits.websocket_message_bytes;
    let parser = ParserConfig::common()
        .max_incoming_binary_buf_size(longest)
        .max_incoming_binaries(ATTACHMENTS)
        .packet_completion_timeout(ATTACHMENTS_TIMEOUT);
    SocketIo::builder()
        .req_path(PATH)
        .ping_interval(config.socketio.ping_interval)
        .ping_timeout(config.socketio.ping_timeout)
        .connect_timeout(config.socketio.connect_timeout)
        .upgrade_timeout(config.socketio.upgrade_timeout)
        .max_payload(longest as u64)
        .ws_max_message_size(longest)
        .ws_max_frame_size(longest)
        .ws_read_buffer_size(READ_BUFFER_BYTES)
        .max_buffer_size(CHANNEL_ENTRIES)
        .with_parser(parser)
        .with_adapter::<DirectAdapter>(direct)
        .build_with_inner_svc(web::router())
}
