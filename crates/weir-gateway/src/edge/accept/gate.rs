//! Takes connections in, as many as are allowed.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use http::HeaderMap;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tracing::{debug, warn};
use weir_cluster::Seldom;
use weir_core::{ConnectionLimits, Connections, Refused};
use weir_engine::Engine;

use super::refusals::{Reason, Refusals};
use crate::edge::client_address::{proxies::Proxies, proxy_header};

/// How long to wait when the operating system gives no more connections, usually because the
/// process has all the files open that it may.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Whoever opens many connections must not fill the log.
static EXHAUSTIONS: Seldom = Seldom::new();

/// Counts connections. Clones are the same gate.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    /// Locked to count.
    connections: Arc<Mutex<Connections>>,
    refusals: Refusals,
    proxies: Proxies,
    engine: Engine,
}

/// Admission of a connection to the total, to the count of its address, or to both. Dropping it
/// releases them.
#[derive(Debug)]
pub(crate) struct Permit {
    connections: Arc<Mutex<Connections>>,
    /// Whether the connection counts towards the total.
    entered: bool,
    /// Address whose count the connection is in, once known.
    address: Option<IpAddr>,
}

impl Gate {
    pub(crate) fn new(limits: ConnectionLimits, proxies: Proxies, engine: Engine) -> Self {
        Self {
            connections: Arc::new(Mutex::new(Connections::new(limits))),
            refusals: Refusals::new(engine.clone()),
            proxies,
            engine,
        }
    }

    /// Whether sessions are begun no more. Connections are still taken, since sessions that poll open
    /// new ones.
    pub(crate) fn is_draining(&self) -> bool {
        self.engine.is_draining()
    }

    /// A session was refused since none are begun any more.
    pub(crate) fn count_draining(&self) {
        self.engine.counters().connections_draining.add_one();
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        lock(&self.connections).total()
    }

    /// Returns the address of the client that sent a request with these headers.
    pub(crate) fn client_address(&self, source: Source, headers: &HeaderMap) -> IpAddr {
        match source {
            Source::Client(client) => client.to_canonical(),
            Source::Proxy(proxy) => self.proxies.client_address(proxy, headers),
        }
    }

    /// Admits a connection from `address`.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Permit, Refused> {
        let admitted = lock(&self.connections).admit(address);
        self.permit(admitted, true, Some(address), address)
    }

    /// Admits a connection from a proxy to the total only: its client is not known yet.
    fn enter(&self, proxy: IpAddr) -> Result<Permit, Refused> {
        let entered = lock(&self.connections).enter();
        self.permit(entered, true, None, proxy)
    }

    /// Admits a connection that is already in the total to the count of `address`.
    pub(crate) fn claim(&self, address: IpAddr) -> Result<Permit, Refused> {
        let claimed = lock(&self.connections).claim(address);
        self.permit(claimed, false, Some(address), address)
    }

    fn permit(
        &self,
        outcome: Result<(), Refused>,
        entered: bool,
        address: Option<IpAddr>,
        whose: IpAddr,
    ) -> Result<Permit, Refused> {
        if let Err(refused) = outcome {
            self.refusals.count(Reason::Limit(refused), whose);
            return Err(refused);
        }
        if entered {
            self.engine.counters().connections_accepted.add_one();
        }
        Ok(Permit {
            connections: Arc::clone(&self.connections),
            entered,
            address,
        })
    }

    /// Reads the PROXY protocol header of a connection that must have one. Returns `None` if the
    /// connection was refused.
    pub(crate) async fn read_proxy_header(
        &self,
        mut connection: Connection,
        patience: Duration,
    ) -> Option<Connection> {
        let proxy = connection.peer.ip();
        if !self.proxies.requires_header(proxy) {
            return Some(connection);
        }
        let said = timeout(patience, proxy_header::read(&mut connection.stream)).await;
        match said.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(client) => {
                if let Some(client) = client {
                    let ip = client.ip().to_canonical();
                    connection.peer = SocketAddr::new(ip, client.port());
                    // Another proxy, whose requests carry the client's address.
                    if self.proxies.trusts(ip) {
                        return Some(connection);
                    }
                }
                // The proxy's own connection: the headers of its requests are not trusted.
                match self.claim(connection.peer.ip()) {
                    Ok(claim) => connection.permit.merge(claim),
                    Err(refused) => {
                        self.refusals.responder.respond(connection.stream, &refused);
                        return None;
                    }
                }
                Some(connection)
            }
            Err(error) => {
                debug!(%error, peer = %proxy, "no PROXY protocol header");
                self.refusals.count(Reason::ProxyHeader, proxy);
                None
            }
        }
    }
}

impl Permit {
    /// Merges the claim of another permit of the same connection into this one.
    fn merge(&mut self, mut claim: Self) {
        debug_assert!(!claim.entered && self.address.is_none());
        self.address = claim.address.take();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut connections = lock(&self.connections);
        if let Some(address) = self.address {
            connections.disclaim(address);
        }
        if self.entered {
            connections.leave();
        }
    }
}

fn lock(connections: &Mutex<Connections>) -> MutexGuard<'_, Connections> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes connections in and hands them to `serve`, until it is dropped.
pub(crate) async fn accept(
    listener: &TcpListener,
    gate: &Gate,
    unsent_bytes: u32,
    serve: impl Fn(Connection),
) {
    loop {
        let (stream, peer) = next(listener).await;
        // The client behind a proxy's connection is not known yet.
        let admitted = if gate.proxies.trusts(peer.ip()) {
            gate.enter(peer.ip())
        } else {
            gate.admit(peer.ip())
        };
        match admitted {
            Ok(permit) => {
                prepare(&stream, unsent_bytes);
                serve(Connection {
                    stream,
                    peer,
                    permit,
                });
            }
            Err(refused) => gate.refusals.responder.respond(stream, &refused),
        }
    }
}

/// Accepts the next connection. Logs errors and retries.
pub(crate) async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if let Some(held_back) = EXHAUSTIONS.pass() {
                    warn!(%error, held_back, "no connection can be accepted now");
                }
                // No signal exists for when accepting is possible again.
                #[allow(clippy::disallowed_methods)]
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// Has the kernel send at once, and hold little that is not sent: it cannot be taken back.
fn prepare(stream: &TcpStream, unsent_bytes: u32) {
    // A connection that has ended meanwhile refuses both, and is noticed when it is read.
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(unsent_bytes);
    #[cfg(not(target_os = "linux"))]
    let _ = (SockRef::from(stream), unsent_bytes);
}

/// Source of a connection's requests.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// One client, in whose count the connection is.
    Client(IpAddr),
    /// A trusted proxy, whose requests carry the addresses of their clients.
    Proxy(IpAddr),
}

/// A connection that counts among those that are allowed.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    permit: Permit,
}

impl Connection {
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Returns the address of the client, or of the nearest proxy.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Returns the source of its requests.
    pub(crate) fn source(&self) -> Source {
        match self.permit.address {
            Some(client) => Source::Client(client),
            None => Source::Proxy(self.peer.ip()),
        }
    }

    /// Counts the connection for its client from now on.
    pub(crate) fn claim(&mut self, claim: Permit) {
        self.permit.merge(claim);
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
