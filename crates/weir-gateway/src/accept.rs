//! Takes connections in, as many as are allowed.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tracing::warn;
use weir_cluster::Seldom;
use weir_core::{ConnectionLimits, Connections, Refused};
use weir_engine::Engine;

/// How many refused connections are told why at a time; further ones are just closed.
const TOLD: usize = 64;

/// How long a refused connection may take to hear why.
const TELLING: Duration = Duration::from_secs(1);

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
    told: Arc<Semaphore>,
    engine: Engine,
}

/// A connection's place among those that are allowed, until this is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    connections: Arc<Mutex<Connections>>,
    address: IpAddr,
}

impl Gate {
    pub(crate) fn new(limits: ConnectionLimits, engine: Engine) -> Self {
        Self {
            connections: Arc::new(Mutex::new(Connections::new(limits))),
            told: Arc::new(Semaphore::new(TOLD)),
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

    /// Counts a connection in.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Permit, Refused> {
        let counters = self.engine.counters();
        match lock(&self.connections).admit(address) {
            Ok(()) => counters.connections_accepted.add_one(),
            Err(refused) => {
                counters.connections_refused.add_one();
                return Err(refused);
            }
        }
        Ok(Permit {
            connections: Arc::clone(&self.connections),
            address,
        })
    }

    /// Tells a connection that is refused why, if not too many are being told.
    fn refuse(&self, stream: TcpStream, refused: Refused) {
        if let Ok(told) = Arc::clone(&self.told).try_acquire_owned() {
            tokio::spawn(async move {
                // Whoever does not listen is not told.
                let _ = timeout(TELLING, tell(stream, refused)).await;
                drop(told);
            });
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.connections).release(self.address);
    }
}

fn lock(connections: &Mutex<Connections>) -> MutexGuard<'_, Connections> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers whatever is asked, and reads it first: closing a socket with unread bytes would take
/// the answer back.
async fn tell(mut stream: TcpStream, refused: Refused) -> io::Result<()> {
    let body = format!("{refused}\n");
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\
         retry-after: 5\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    let mut scrap = [0; 1024];
    while stream.read(&mut scrap).await? > 0 {}
    Ok(())
}

/// Takes connections in and hands them to `serve`, until it is dropped.
pub(crate) async fn accept(
    listener: &TcpListener,
    gate: &Gate,
    unsent_bytes: u32,
    serve: impl Fn(Connection),
) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                if let Some(held_back) = EXHAUSTIONS.pass() {
                    warn!(%error, held_back, "no connection can be accepted now");
                }
                // Nothing tells when there is something to accept with again.
                #[allow(clippy::disallowed_methods)]
                tokio::time::sleep(EXHAUSTED).await;
                continue;
            }
        };
        match gate.admit(peer.ip()) {
            Ok(permit) => {
                prepare(&stream, unsent_bytes);
                serve(Connection {
                    stream,
                    peer,
                    _permit: permit,
                });
            }
            Err(refused) => gate.refuse(stream, refused),
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

/// A connection that counts among those that are allowed.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    _permit: Permit,
}

impl Connection {
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Where it comes from.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
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
