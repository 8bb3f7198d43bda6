//! Counters and log lines of refused connections.

use std::{net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tracing::warn;
use weir_core::Refused;
use weir_engine::Engine;

/// Interval between two log lines for the same reason.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Reason for refusing a connection to the public listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusalReason {
    /// A limit on connections is reached.
    Limit(Refused),
    /// A trusted proxy did not send a valid PROXY protocol header.
    ProxyHeader,
}

impl RefusalReason {
    /// Returns the value of the metric's label.
    const fn label(self) -> &'static str {
        match self {
            Self::Limit(Refused::Total { .. }) => "total",
            Self::Limit(Refused::PerAddress { .. }) => "per-address",
            Self::ProxyHeader => "proxy-header",
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Limit(Refused::Total { .. }) => 0,
            Self::Limit(Refused::PerAddress { .. }) => 1,
            Self::ProxyHeader => 2,
        }
    }

    /// Returns the configuration key, and the limit if it is one.
    const fn key(self) -> (&'static str, Option<usize>) {
        match self {
            Self::Limit(Refused::Total { limit }) => ("server.max_connections", Some(limit)),
            Self::Limit(Refused::PerAddress { limit }) => {
                ("server.max_connections_per_address", Some(limit))
            }
            Self::ProxyHeader => ("server.proxy_protocol", None),
        }
    }
}

/// Counts and logs refused connections. Clones share their state.
#[derive(Debug, Clone)]
pub(super) struct Refusals {
    /// Guards the refusals that are not logged yet, by reason.
    tallies: Arc<[Mutex<Tally>; 3]>,
    engine: Engine,
}

#[derive(Debug, Default)]
struct Tally {
    count: u64,
    /// Whether a task that logs the count is running.
    logged: bool,
}

impl Refusals {
    pub(super) fn new(engine: Engine) -> Self {
        Self {
            tallies: Arc::default(),
            engine,
        }
    }

    /// Counts a refused connection from `address`. Logs the first at once, and further ones as a
    /// count once a second.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(super) fn count(&self, reason: RefusalReason, address: IpAddr) {
        let counters = self.engine.counters();
        let counter = match reason {
            RefusalReason::Limit(Refused::Total { .. }) => &counters.connections_refused_total,
            RefusalReason::Limit(Refused::PerAddress { .. }) => {
                &counters.connections_refused_per_address
            }
            RefusalReason::ProxyHeader => &counters.connections_refused_proxy_header,
        };
        counter.add_one();
        let mut tally = self.tallies[reason.index()].lock();
        tally.count += 1;
        if !tally.logged {
            tally.logged = true;
            drop(tally);
            tokio::spawn(self.clone().log(reason, address));
        }
    }

    async fn log(self, reason: RefusalReason, address: IpAddr) {
        let (key, limit) = reason.key();
        let label = reason.label();
        loop {
            let count = {
                let mut tally = self.tallies[reason.index()].lock();
                tally.logged = tally.count > 0;
                std::mem::take(&mut tally.count)
            };
            if count == 0 {
                return;
            }
            warn!(count, reason = label, key, limit, %address, "connections are refused");
            // Coalesces the refusals of this interval into one line.
            #[allow(clippy::disallowed_methods)]
            tokio::time::sleep(LOG_INTERVAL).await;
        }
    }
}
