//! All clients of a node.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use socketioxide::SocketIo;
use weir_cluster::Sample;
use weir_engine::Session;

use super::{
    adapter::DirectAdapter,
    client::{ConnectedClient, NAMESPACE},
    transport::ClientTransport,
};

/// A node's clients. Clones share the same clients.
#[derive(Debug, Clone)]
pub(crate) struct Clients(pub(crate) SocketIo<DirectAdapter>);

impl Clients {
    /// Iterates over the clients' transports and sessions. Empty once the library is closed: its
    /// namespace is gone by then, but metrics may still be read.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Arc<ClientTransport>, Arc<Session>)> {
        let sockets = self.0.of(NAMESPACE).map(|namespace| namespace.sockets());
        sockets.into_iter().flatten().filter_map(|socket| {
            let client = ConnectedClient::of(&socket)?;
            Some((Arc::clone(&client.transport), client.session.get()?))
        })
    }

    /// Samples the clients' egress queues as metrics.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let (mut bytes, mut lagging, mut oldest) = (0, 0, None);
        for (transport, _) in self.all() {
            let (queued, since) = transport.queued();
            bytes += queued as u64;
            lagging += u64::from(since.is_some());
            oldest = since.into_iter().chain(oldest).min();
        }
        let age = oldest.map_or(Duration::ZERO, |oldest: Instant| oldest.elapsed());
        vec![
            Sample::new("weir.egress.queue.size", &[], bytes),
            Sample::new("weir.egress.queue.sessions", &[], lagging),
            Sample::seconds("weir.egress.queue.age", &[], age),
        ]
    }
}
