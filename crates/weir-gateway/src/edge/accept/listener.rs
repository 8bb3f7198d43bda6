//! Bound listeners.

use std::{io, net::SocketAddr, time::Duration};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tracing::warn;
use weir_cluster::LogThrottle;

/// Backlog: connections that wait to be accepted. The system may allow fewer.
const BACKLOG: u32 = 4096;

/// Backoff after a failed accept, usually because the process is at its limit of open files.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Throttle of the log line, since a client can cause failures at will.
static FAILURES: LogThrottle = LogThrottle::new();

/// Listener with its address, which differs from the configured one in its port if that is 0.
#[derive(Debug)]
pub(crate) struct BoundListener {
    listener: TcpListener,
    address: SocketAddr,
}

impl BoundListener {
    /// Binds a listener, on which connections wait from now on.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        // Otherwise a restarted node could not bind until the old connections have expired.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Returns the bound address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts the next connection. Logs errors and retries.
    pub(crate) async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    if let Some(held_back) = FAILURES.pass() {
                        warn!(%error, held_back, "cannot accept connections");
                    }
                    // The system does not notify when accepting is possible again.
                    #[allow(clippy::disallowed_methods)]
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }
}

/// Whether an error concerns only the connection that was to be accepted.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
