//! Tasks that publish the messages of the outbox, one per server, and reconnect after a lost
//! connection.

use std::sync::Arc;

use tokio::task::JoinSet;
use tracing::warn;

use super::connection::{ServeEnd, serve};
use crate::{
    Health, Target,
    bus::outbox::{LaneHandle, Outbox},
    connection::{
        backoff::{back_off, log_failure},
        subscriber::ClusterTopology,
    },
};

/// Publishes the messages of the outbox, for as long as it is polled: starts a task for each server
/// that owns slots. The task ends when its server owns none any more.
pub(crate) async fn run(target: Target, outbox: Arc<Outbox>, topology: ClusterTopology) {
    let mut view = topology.view();
    let mut tasks = JoinSet::new();
    outbox.set_view(&view.borrow_and_update());
    loop {
        for lane in LaneHandle::start_all(&outbox) {
            tasks.spawn(publish_lane(target.clone(), lane, topology.clone()));
        }
        tokio::select! {
            changed = view.changed() => {
                if changed.is_err() {
                    return;
                }
                let view = view.borrow_and_update().clone();
                outbox.set_view(&view);
            }
            () = outbox.moved() => {}
            Some(_) = tasks.join_next() => {}
        }
    }
}

/// Publishes the messages of one lane until the lane is not needed any more.
async fn publish_lane(target: Target, lane: LaneHandle, topology: ClusterTopology) {
    let mut attempt = 0;
    while lane.is_needed() {
        let mut cause = "the connection was lost".to_owned();
        match serve(&target, &lane, &topology, &mut attempt).await {
            Ok(ServeEnd::NotNeeded) => return,
            Ok(ServeEnd::Reconnect) => {}
            Err(error) => {
                cause = error.to_string();
                let error = lane.server().attribute(&cause);
                log_failure(attempt, "cannot publish", &target, &error);
            }
        }
        if lane.set_health(&Health::fails(&cause)) {
            let server = lane.server();
            warn!(redis = %target, %server, %cause, "cannot publish any more; connecting again");
        }
        topology.ask(None);
        lane.expire();
        back_off(&mut attempt).await;
    }
}
