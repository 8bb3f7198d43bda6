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

use super::{
    OnMessage, Shared, backoff_time,
    refusal::Refusal,
    session,
    slots::{Server, Slots},
    tell,
    wire::{Trouble, Wire},
};
use crate::Target;

/// Poll interval of the topology, in addition to queries after signs of a change.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Time that the first server has to answer before others are queried in parallel.
const ALONE: Duration = Duration::from_millis(300);

/// Maximum number of servers queried in parallel, of the known ones and of the seeds each.
const AT_ONCE: usize = 5;

/// Quiet time after which the backoff of topology queries is reset.
const CALM: Duration = Duration::from_secs(1);

/// Task that is aborted on drop.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Maintains the connections, for as long as it is polled.
pub(super) async fn keep(target: Target, shared: Arc<Shared>) {
    let changed = Arc::clone(&shared.channels().changed);
    let mut tasks: HashMap<Server, Task> = HashMap::new();
    let mut heartbeats = interval(HEARTBEAT);
    heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut attempt, mut next) = (0, Instant::now());
    loop {
        let servers = shared.channels().servers();
        tasks.retain(|server, _| servers.contains(server));
        for server in servers {
            tasks.entry(server.clone()).or_insert_with(|| {
                let keeping = session::keep(target.clone(), server, Arc::clone(&shared));
                Task(tokio::spawn(keeping))
            });
        }
        let stale = shared.channels().stale();
        tokio::select! {
            () = changed.notified() => {}
            () = sleep_until(next), if stale.is_some() => {
                if next.elapsed() > CALM {
                    attempt = 0;
                }
                match ask(&target, &shared, stale.flatten()).await {
                    Ok(slots) => {
                        if shared.channels().set_slots(slots) {
                            debug!(redis = %target, "the cluster has another topology");
                        }
                    }
                    Err(trouble) => {
                        let what = "cannot ask for the cluster's topology";
                        tell(attempt, what, &target, &trouble);
                        shared.channels().set_unknown(&trouble.to_string());
                        shared.probe.nudge.notify_one();
                    }
                }
                next = Instant::now() + backoff_time(&mut attempt);
            }
            _ = heartbeats.tick() => shared.channels().ask(None),
        }
    }
}

/// Queries the topology: from `first`, and if that does not answer soon, from other servers.
async fn ask(target: &Target, shared: &Shared, first: Option<Server>) -> Result<Slots, Trouble> {
    if let Some(first) = first
        && let Ok(Ok(slots)) = timeout(ALONE, slots(target, first)).await
    {
        return Ok(slots);
    }
    let known = shared.channels().servers();
    let seeds = target.nodes.iter();
    let seeds = seeds.map(|(host, port)| Server::at(host, *port));
    // Unordered: the known servers come from a hash map.
    let mut servers: Vec<_> = known.into_iter().take(AT_ONCE).collect();
    servers.extend(seeds.take(AT_ONCE));
    let asking = servers
        .into_iter()
        .map(|server| -> BoxFuture<'_, _> { slots(target, server).boxed() });
    select_ok(asking).await.map(|(slots, _)| slots)
}

async fn slots(target: &Target, server: Server) -> Result<Slots, Trouble> {
    let nobody: OnMessage = Arc::new(|_: &[u8], _| {});
    let (mut wire, _) = Wire::open(target, &server, nobody).await?;
    match wire.ask(cmd("CLUSTER").arg("SLOTS")).await? {
        Value::ServerError(error) => Err(Trouble::Refused(Refusal::new(&error, &server))),
        answer => Slots::read(&answer, &server).ok_or(Trouble::NoCluster),
    }
}
