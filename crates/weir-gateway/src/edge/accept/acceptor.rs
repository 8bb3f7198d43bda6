//! Accept loop of the public listener.

use std::{io, net::SocketAddr, time::Duration};

use tokio::time::timeout;
use tracing::debug;

use super::{
    connection::AcceptedConnection, gate::Gate, listener::BoundListener, responder::Responder,
};
use crate::edge::client_address::{proxies::Proxies, proxy_header};

/// Accept loop of the public listener. Clones share their state.
#[derive(Debug, Clone)]
pub(crate) struct Acceptor {
    pub(crate) gate: Gate,
    pub(crate) proxies: Proxies,
    pub(crate) responder: Responder,
    /// Maximum time for a PROXY protocol header.
    pub(crate) header_timeout: Duration,
    /// Bound on the unsent data of one connection in the kernel, in bytes.
    pub(crate) unsent_bytes: u32,
}

impl Acceptor {
    /// Accepts connections until it is dropped. Calls `serve` with each that is admitted, and
    /// responds to the others.
    pub(crate) async fn run(&self, listener: &BoundListener, serve: impl Fn(AcceptedConnection)) {
        loop {
            let (stream, peer) = listener.accept().await;
            // The client behind a proxy's connection is not known yet.
            let admitted = if self.proxies.trusts(peer.ip()) {
                self.gate.enter(peer.ip())
            } else {
                self.gate.admit(peer.ip())
            };
            match admitted {
                Ok(permit) => {
                    let unsent_bytes = self.unsent_bytes;
                    serve(AcceptedConnection::new(stream, peer, permit, unsent_bytes));
                }
                Err(refused) => self.responder.respond(stream, &refused),
            }
        }
    }

    /// Reads the PROXY protocol header of a connection that must start with one. Returns `None` if
    /// the connection was refused.
    pub(crate) async fn identify(
        &self,
        mut connection: AcceptedConnection,
    ) -> Option<AcceptedConnection> {
        let proxy = connection.peer().ip();
        if !self.proxies.requires_header(proxy) {
            return Some(connection);
        }
        let header = proxy_header::read(connection.stream_mut());
        let header = timeout(self.header_timeout, header).await;
        match header.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(client) => self.claim(connection, client),
            Err(error) => {
                debug!(%error, peer = %proxy, "no PROXY protocol header");
                self.gate.refuse_proxy_header(proxy);
                None
            }
        }
    }

    /// Counts the connection of a proxy for `client`. A header without a client is the proxy's own
    /// connection, whose request headers are not trusted.
    fn claim(
        &self,
        mut connection: AcceptedConnection,
        client: Option<SocketAddr>,
    ) -> Option<AcceptedConnection> {
        if let Some(client) = client {
            let ip = client.ip().to_canonical();
            connection.set_peer(SocketAddr::new(ip, client.port()));
            // Another proxy, whose requests carry the client's address.
            if self.proxies.trusts(ip) {
                return Some(connection);
            }
        }
        match self.gate.claim(connection.peer().ip()) {
            Ok(claim) => {
                connection.claim(claim);
                Some(connection)
            }
            Err(refused) => {
                let (stream, _) = connection.into_parts();
                self.responder.respond(stream, &refused);
                None
            }
        }
    }
}
