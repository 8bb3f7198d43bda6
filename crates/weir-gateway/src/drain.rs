//! A node's end in peace: its clients move to other nodes, a few at a time.

use std::{sync::Arc, time::Duration};

use socketioxide::SocketIo;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};
use tracing::info;
use weir_engine::{Engine, Session};

use crate::{
    accept::Gate, client::Client, config, direct::DirectAdapter, link::Link, ops::Readiness,
};

/// How long a client may stay after the time that it was told, before its connection is ended.
const GRACE: Duration = Duration::from_secs(5);

/// What stands against the readiness of a node that ends.
pub(crate) const REASON: &str = "draining";

/// What a node that ends needs to do so.
#[derive(Debug)]
pub(crate) struct Drain {
    pub(crate) config: config::Drain,
    pub(crate) readiness: Readiness,
    pub(crate) gate: Gate,
    pub(crate) engine: Engine,
    pub(crate) socketio: SocketIo<DirectAdapter>,
}

/// A client that is to go.
struct Guest {
    link: Arc<Link>,
    /// When it was told to.
    at: Instant,
}

impl Drain {
    /// Moves all clients away; done when none is left, or at the deadline, at which those that are
    /// left are cut off.
    pub(crate) async fn run(self) {
        let begun = Instant::now();
        let config = &self.config;
        let deadline = begun + config.deadline;
        self.readiness.set_ready(false, REASON);
        let mut sessions = self.engine.sessions();
        info!(clients = *sessions.borrow_and_update(), "draining");
        sleep_until(begun + config.pause).await;
        self.gate.close();
        self.engine.drain();
        let guests = self.tell(Instant::now());
        info!(clients = guests.len(), "clients were told to move");
        let ended = timeout_at(deadline, part(guests, &mut sessions)).await;
        let left = *sessions.borrow();
        if ended.is_err() && left > 0 {
            info!(clients = left, "the deadline has come; the rest is cut off");
        }
        self.clients().for_each(|(link, _)| link.end());
    }

    /// Tells every client when to go, spread evenly over the window: first those who publish
    /// nothing, whom nobody misses meanwhile.
    fn tell(&self, from: Instant) -> Vec<Guest> {
        let mut clients: Vec<_> = self.clients().collect();
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

    fn clients(&self) -> impl Iterator<Item = (Arc<Link>, Arc<Session>)> {
        let sockets = self.socketio.sockets();
        sockets
            .into_iter()
            .filter_map(|socket| Client::parts(&socket))
    }
}

/// Waits until all have gone. Ends the connections of those that overstay, at the pace at which they
/// were to go.
async fn part(guests: Vec<Guest>, sessions: &mut watch::Receiver<usize>) {
    let push = async {
        for guest in guests {
            sleep_until(guest.at + GRACE).await;
            guest.link.end();
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
