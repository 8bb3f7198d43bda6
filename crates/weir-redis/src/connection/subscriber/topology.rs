//! Maintains a connection to each server that owns a slot, and follows topology changes.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, select_ok},
};
use redis::{Value, cmd};
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tracing::debug;

use super::{session, state::SubscriberState};
use crate::{
    Target,
    connection::{
        backoff::{backoff_time, log_failure},
        cluster::SlotMap,
        failure::Refusal,
        server::ServerId,
        wire::{ConnectionError, RespConnection},
    },
};

/// Poll interval of the topology, in addition to queries after signs of a change.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Time that the first server has to answer before others are queried in parallel.
const ALONE: Duration = Duration::from_millis(300);

/// Maximum number of servers queried in parallel, of the known ones and of the seeds each.
const AT_ONCE: usize = 5;

/// Quiet time after which the backoff of topology queries is reset.
const CALM: Duration = Duration::from_secs(1);

/// Task that is aborted on drop.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Maintains the connections, for as long as it is polled.
pub(super) async fn run(target: Target, state: Arc<SubscriberState>) {
    let changed = Arc::clone(&state.channels.lock().changed);
    let mut tasks: HashMap<ServerId, AbortOnDrop> = HashMap::new();
    let mut heartbeats = interval(HEARTBEAT);
    heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut attempt, mut next) = (0, Instant::now());
    loop {
        let servers = state.channels.lock().servers();
        tasks.retain(|server, _| servers.contains(server));
        for server in servers {
            tasks.entry(server.clone()).or_insert_with(|| {
                let running = session::run(target.clone(), server, Arc::clone(&state));
                AbortOnDrop(tokio::spawn(running))
            });
        }
        let stale = state.channels.lock().stale();
        tokio::select! {
            () = changed.notified() => {}
            () = sleep_until(next), if stale.is_some() => {
                if next.elapsed() > CALM {
                    attempt = 0;
                }
                match ask(&target, &state, stale.flatten()).await {
                    Ok(slots) => {
                        if state.channels.lock().set_slots(slots) {
                            debug!(redis = %target, "the topology of the cluster has changed");
                        }
                    }
                    Err(trouble) => {
                        let what = "cannot ask for the cluster's topology";
                        log_failure(attempt, what, &target, &trouble);
                        state.channels.lock().set_unknown(&trouble.to_string());
                        state.probe.nudge.notify_one();
                    }
                }
                next = Instant::now() + backoff_time(&mut attempt);
            }
            _ = heartbeats.tick() => state.channels.lock().ask(None),
        }
    }
}

/// Queries the topology: from `first`, and if that does not answer soon, from other servers.
async fn ask(
    target: &Target,
    state: &SubscriberState,
    first: Option<ServerId>,
) -> Result<SlotMap, ConnectionError> {
    if let Some(first) = first
        && let Ok(Ok(slots)) = timeout(ALONE, slots(target, first)).await
    {
        return Ok(slots);
    }
    let known = state.channels.lock().servers();
    let seeds = target.nodes.iter();
    let seeds = seeds.map(|(host, port)| ServerId::at(host, *port));
    // Unordered: the known servers come from a hash map.
    let mut servers: Vec<_> = known.into_iter().take(AT_ONCE).collect();
    servers.extend(seeds.take(AT_ONCE));
    let asking = servers
        .into_iter()
        .map(|server| -> BoxFuture<'_, _> { slots(target, server).boxed() });
    select_ok(asking).await.map(|(slots, _)| slots)
}

async fn slots(target: &Target, server: ServerId) -> Result<SlotMap, ConnectionError> {
    let (mut wire, _) = RespConnection::open(target, &server).await?;
    match wire.ask(cmd("CLUSTER").arg("SLOTS")).await? {
        Value::ServerError(error) => Err(ConnectionError::Refused(Refusal::new(&error))),
        answer => SlotMap::read(&answer, &server).ok_or(ConnectionError::NoCluster),
    }
}
