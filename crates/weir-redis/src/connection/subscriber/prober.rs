//! Task that publishes probes and updates the health of a plane.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{MissedTickBehavior, interval};

use super::state::SubscriberState;
use crate::connection::{probe::POLL, server::ServerId};

/// Function that publishes a probe on a channel, with the cause of a failure as its error.
pub(crate) type Publish =
    Arc<dyn Fn(Arc<str>, Bytes) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Outcome of publishing a probe.
type Published = (ServerId, Arc<str>, u64, Result<(), String>);

/// Publishes probes and updates the health from them, for as long as it is polled.
pub(super) async fn run(plane: &'static str, state: Arc<SubscriberState>, publish: Publish) {
    let probe = &state.probe;
    let mut polls = interval(POLL);
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut publishing = FuturesUnordered::<BoxFuture<'static, Published>>::new();
    loop {
        tokio::select! {
            // Publication outcomes first: the poll evaluates them.
            biased;
            Some((server, channel, number, published)) = publishing.next() => {
                if let Err(why) = published {
                    probe.refused(&server, &channel, number, &why);
                }
            }
            () = probe.nudge.notified() => {}
            _ = polls.tick() => {}
        }
        let probed = state.channels.lock().probed();
        let due = probe.poll(&probed);
        for server in &due.deaf {
            state.channels.lock().deafen(server);
        }
        for (channel, number) in due.send {
            let server = probed.iter().find(|probed| probed.channel == channel);
            let server = server.map_or(ServerId::Only, |probed| probed.server.clone());
            let payload = Bytes::copy_from_slice(&number.to_be_bytes());
            let published = publish(Arc::clone(&channel), payload);
            publishing.push(async move { (server, channel, number, published.await) }.boxed());
        }
        let unknown = state.channels.lock().unknown();
        probe.update_health(plane, unknown.filter(|_| probed.is_empty()));
    }
}
