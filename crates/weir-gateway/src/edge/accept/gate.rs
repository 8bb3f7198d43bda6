//! Admission control for connections and sessions.

use std::{net::IpAddr, sync::Arc};

use parking_lot::Mutex;
use weir_core::{ConnectionLimits, Connections, Refused};
use weir_engine::Engine;

use super::refusals::{RefusalReason, Refusals};

/// Admission control for connections and sessions. Clones share their counts.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    /// Guards the counts of open connections.
    connections: Arc<Mutex<Connections>>,
    refusals: Refusals,
    engine: Engine,
}

/// Admission of a connection to the total, to the count of its address, or to both. Dropping it
/// releases them.
#[derive(Debug)]
pub(crate) struct Permit {
    connections: Arc<Mutex<Connections>>,
    /// Whether the connection counts towards the total.
    entered: bool,
    /// Address whose count includes the connection, once known.
    address: Option<IpAddr>,
}

impl Gate {
    pub(crate) fn new(limits: ConnectionLimits, engine: Engine) -> Self {
        Self {
            connections: Arc::new(Mutex::new(Connections::new(limits))),
            refusals: Refusals::new(engine.clone()),
            engine,
        }
    }

    /// Whether the node admits no further sessions. It still accepts connections, since sessions
    /// that poll open new ones.
    pub(crate) fn is_draining(&self) -> bool {
        self.engine.is_draining()
    }

    /// Counts a session that was refused because the node is draining.
    pub(crate) fn count_draining(&self) {
        self.engine.counters().connections_draining.add_one();
    }

    /// Returns the number of open connections.
    pub(crate) fn connections(&self) -> usize {
        self.connections.lock().total()
    }

    /// Admits a connection from `address`.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Permit, Refused> {
        let admitted = self.connections.lock().admit(address);
        self.permit(admitted, true, Some(address), address)
    }

    /// Admits a connection from a proxy to the total only: its client is not known yet.
    pub(super) fn enter(&self, proxy: IpAddr) -> Result<Permit, Refused> {
        let entered = self.connections.lock().enter();
        self.permit(entered, true, None, proxy)
    }

    /// Admits a connection that is already in the total to the count of `address`.
    pub(crate) fn claim(&self, address: IpAddr) -> Result<Permit, Refused> {
        let claimed = self.connections.lock().claim(address);
        self.permit(claimed, false, Some(address), address)
    }

    /// Counts a connection whose trusted proxy sent no valid PROXY protocol header.
    pub(super) fn refuse_proxy_header(&self, proxy: IpAddr) {
        self.refusals.count(RefusalReason::ProxyHeader, proxy);
    }

    fn permit(
        &self,
        outcome: Result<(), Refused>,
        entered: bool,
        address: Option<IpAddr>,
        peer: IpAddr,
    ) -> Result<Permit, Refused> {
        if let Err(refused) = outcome {
            self.refusals.count(RefusalReason::Limit(refused), peer);
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
}

impl Permit {
    /// Returns the address whose count includes the connection, once known.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Merges the claim of another permit of the same connection into this one.
    pub(super) fn merge(&mut self, mut claim: Self) {
        debug_assert!(!claim.entered && self.address.is_none());
        self.address = claim.address.take();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut connections = self.connections.lock();
        if let Some(address) = self.address {
            connections.disclaim(address);
        }
        if self.entered {
            connections.leave();
        }
    }
}
