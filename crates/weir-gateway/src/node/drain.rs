//! A node's end in peace: its clients move to other nodes, a few at a time.

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
    config,
    edge::{clients::Clients, transport::Link},
    ops::Readiness,
};

/// How long a client may stay after the time that it was told, before its connection is ended.
const GRACE: Duration = Duration::from_secs(5);

/// The phases of a drain, as the metric `weir.drain.phase` has them; before it is 0.
const PAUSE: u64 = 1;
const MOVE: u64 = 2;

/// What stands against the readiness of a node that ends.
pub(crate) const REASON: &str = "draining";

/// A client that is to go.
struct Guest {
    link: Arc<Link>,
    /// When it was told to.
    at: Instant,
}

/// What a node that ends needs to do so.
#[derive(Debug)]
pub(crate) struct Drain {
    pub(crate) config: config::Drain,
    pub(crate) readiness: Readiness,
    pub(crate) engine: Engine,
    pub(crate) clients: Clients,
    pub(crate) phase: Arc<AtomicU64>,
}

impl Drain {
    /// Moves all clients away; done when none is left, or at the deadline, at which those that are
    /// left are cut off.
    pub(crate) async fn run(self) {
        let begun = Instant::now();
        let config = &self.config;
        let deadline = begun + config.deadline;
        self.readiness.set_ready(false, REASON);
        self.phase.store(PAUSE, Ordering::Relaxed);
        let mut sessions = self.engine.sessions();
        info!(clients = *sessions.borrow_and_update(), "draining");
        sleep_until(begun + config.pause).await;
        self.phase.store(MOVE, Ordering::Relaxed);
        self.engine.drain();
        let guests = self.tell(Instant::now());
        info!(clients = guests.len(), "clients were told to move");
        let ended = timeout_at(deadline, self.part(guests, &mut sessions)).await;
        let left = *sessions.borrow();
        if ended.is_err() && left > 0 {
            info!(clients = left, "the deadline has come; the rest is cut off");
        }
        self.clients.all().for_each(|(link, _)| self.cut_off(&link));
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        info!(cut_off = left, took_ms, "drained");
    }

    /// Tells every client when to go, spread evenly over the window: first those who publish
    /// nothing, whom nobody misses meanwhile.
    fn tell(&self, from: Instant) -> Vec<Guest> {
        let mut clients: Vec<_> = self.clients.all().collect();
        clients.sort_by_cached_key(|(_, session)| session.publishes());
        let count = u32::try_from(clients.len()).unwrap_or(u32::MAX);
        let told = (0..count).zip(clients).map(|(turn, (link, session))| {
            let stays = self
                .config
                .window
                .mul_f64(f64::from(turn) / f64::from(count));
            session.tell_draining(stays);
            Guest {
                link,
                at: from + stays,
            }
        });
        told.collect()
    }

    /// Ends the connection of a client that has not gone.
    fn cut_off(&self, link: &Link) {
        if !link.is_closed() {
            let counters = self.engine.counters();
            counters.connections_closed_draining.add_one();
            link.set_cause("draining");
            link.end();
        }
    }

    /// Waits until all have gone. Ends the connections of those that overstay, at the pace at which they
    /// were to go.
    async fn part(&self, guests: Vec<Guest>, sessions: &mut watch::Receiver<usize>) {
        let push = async {
            for guest in guests {
                sleep_until(guest.at + GRACE).await;
                self.cut_off(&guest.link);
            }
            // They are gone when their sessions are.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = push => {}
            // Cannot fail: the engine has the sender.
            _ = sessions.wait_for(|count| *count == 0) => {}
        }
    }
}
