//! Accepted connections.

use std::net::{IpAddr, SocketAddr};

use socket2::SockRef;
use tokio::net::TcpStream;

use super::gate::Permit;

/// Source of a connection's requests.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// Client whose count includes the connection.
    Client(IpAddr),
    /// Trusted proxy, whose requests carry the addresses of their clients.
    Proxy(IpAddr),
}

/// Peer of a connection, and the connection's admission.
#[derive(Debug)]
pub(crate) struct Admission {
    peer: SocketAddr,
    permit: Permit,
}

impl Admission {
    /// Returns the address of the client, or of the nearest proxy.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Returns the source of the connection's requests.
    pub(crate) fn source(&self) -> Source {
        match self.permit.address() {
            Some(client) => Source::Client(client),
            None => Source::Proxy(self.peer.ip()),
        }
    }
}

/// Accepted connection, which counts towards the limits until it is dropped.
#[derive(Debug)]
pub(crate) struct AcceptedConnection {
    stream: TcpStream,
    admission: Admission,
}

impl AcceptedConnection {
    /// Configures the socket of an admitted connection. The kernel sends at once, and holds up to
    /// `unsent_bytes` of unsent data, which cannot be taken back.
    pub(super) fn new(
        stream: TcpStream,
        peer: SocketAddr,
        permit: Permit,
        unsent_bytes: u32,
    ) -> Self {
        // Both fail only for a connection that has ended. The next read reports that.
        let _ = stream.set_nodelay(true);
        #[cfg(target_os = "linux")]
        let _ = SockRef::from(&stream).set_tcp_notsent_lowat(unsent_bytes);
        #[cfg(not(target_os = "linux"))]
        let _ = (SockRef::from(&stream), unsent_bytes);
        let admission = Admission { peer, permit };
        Self { stream, admission }
    }

    /// Joins the parts of a connection again.
    pub(crate) fn from_parts(stream: TcpStream, admission: Admission) -> Self {
        Self { stream, admission }
    }

    /// Splits the connection into its stream and its admission.
    pub(crate) fn into_parts(self) -> (TcpStream, Admission) {
        (self.stream, self.admission)
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) fn stream_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Returns the address of the client, or of the nearest proxy.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.admission.peer
    }

    /// Sets the address that a proxy reported for the connection.
    pub(super) fn set_peer(&mut self, peer: SocketAddr) {
        self.admission.peer = peer;
    }

    /// Counts the connection for its client from now on.
    pub(crate) fn claim(&mut self, claim: Permit) {
        self.admission.permit.merge(claim);
    }
}
