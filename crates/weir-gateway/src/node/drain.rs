//! Graceful shutdown: moves the clients of a node to other nodes, spread over a window.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};
use tracing::info;
use weir_engine::Engine;

use crate::{
    config::DrainConfig,
    edge::{clients::Clients, transport::ClientTransport},
    readiness::Readiness,
};

/// Grace period after a client's scheduled move, before its connection is closed.
const GRACE: Duration = Duration::from_secs(5);

/// Readiness reason of a node that shuts down.
pub(super) const REASON: &str = "draining";

/// Current phase of a node, as the metric `weir.drain.phase` reports it. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct DrainPhase(Arc<AtomicU64>);

impl DrainPhase {
    const PAUSE: u64 = 1;
    const MOVE: u64 = 2;

    fn set(&self, phase: u64) {
        self.0.store(phase, Ordering::Relaxed);
    }

    /// Returns the metric's value.
    pub(super) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Client with the time of its move.
struct ScheduledMove {
    transport: Arc<ClientTransport>,
    due: Instant,
}

/// Graceful shutdown of a node.
#[derive(Debug)]
pub(super) struct Drain {
    pub(super) config: DrainConfig,
    pub(super) readiness: Readiness,
    pub(super) engine: Engine,
    pub(super) clients: Clients,
    pub(super) phase: DrainPhase,
}

impl Drain {
    /// Moves all clients to other nodes. Returns when none is left, or at the deadline, after
    /// closing the remaining connections.
    pub(super) async fn run(self) {
        let start = Instant::now();
        let config = &self.config;
        let deadline = start + config.deadline;
        self.readiness.set_ready(false, REASON);
        self.phase.set(DrainPhase::PAUSE);
        let mut sessions = self.engine.sessions();
        info!(clients = *sessions.borrow_and_update(), "draining");
        sleep_until(start + config.pause).await;
        self.phase.set(DrainPhase::MOVE);
        self.engine.drain();
        let moves = self.schedule(Instant::now());
        info!(clients = moves.len(), "clients were told to move");
        let moved = timeout_at(deadline, self.close_overdue(moves, &mut sessions)).await;
        let left = *sessions.borrow();
        if moved.is_err() && left > 0 {
            info!(
                clients = left,
                "deadline reached; closing the remaining connections"
            );
        }
        self.clients
            .all()
            .for_each(|(transport, _)| self.close(&transport));
        let took_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        info!(cut_off = left, took_ms, "drained");
    }

    /// Notifies every client of its move. The moves are spread evenly over the window, with
    /// publishers last.
    fn schedule(&self, start: Instant) -> Vec<ScheduledMove> {
        let mut clients: Vec<_> = self.clients.all().collect();
        clients.sort_by_cached_key(|(_, session)| session.publishes());
        let count = u32::try_from(clients.len()).unwrap_or(u32::MAX);
        let moves = (0..count).zip(clients).map(|(turn, (transport, session))| {
            let share = f64::from(turn) / f64::from(count);
            let delay = self.config.window.mul_f64(share);
            session.notify_draining(delay);
            ScheduledMove {
                transport,
                due: start + delay,
            }
        });
        moves.collect()
    }

    /// Closes a connection, unless its client has moved.
    fn close(&self, transport: &ClientTransport) {
        if !transport.is_closed() {
            let counters = self.engine.counters();
            counters.connections_closed_draining.add_one();
            transport.set_cause("draining");
            transport.end();
        }
    }

    /// Waits until all clients have moved. Closes each that is overdue, which keeps the spread.
    async fn close_overdue(
        &self,
        moves: Vec<ScheduledMove>,
        sessions: &mut watch::Receiver<usize>,
    ) {
        let close = async {
            for scheduled in moves {
                sleep_until(scheduled.due + GRACE).await;
                self.close(&scheduled.transport);
            }
            // A closed connection's session ends later.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = close => {}
            // Cannot fail: the engine holds the sender.
            _ = sessions.wait_for(|count| *count == 0) => {}
        }
    }
}
