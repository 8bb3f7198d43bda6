//! Task that publishes the messages of the outbox, and reconnects after a lost connection.

use std::sync::Arc;

use tracing::warn;

use super::{cluster, single};
use crate::{
    Health, Target,
    bus::outbox::Outbox,
    connection::backoff::{back_off, log_failure},
    target::Topology,
};

/// Publishes the messages of the outbox, for as long as it is polled.
pub(crate) async fn run(target: Target, outbox: Arc<Outbox>) {
    let mut attempt = 0;
    loop {
        let served = match target.topology {
            Topology::Cluster => cluster::serve(&target, &outbox, &mut attempt).await,
            _ => single::serve(&target, &outbox, &mut attempt).await,
        };
        let mut cause = "the connection was lost".to_owned();
        if let Err(error) = served {
            log_failure(attempt, "cannot publish", &target, &error);
            cause = error.to_string();
        }
        if outbox.set_health(Health::fails(&cause)) {
            warn!(redis = %target, %cause, "cannot publish any more; connecting again");
        }
        outbox.expire();
        back_off(&mut attempt).await;
    }
}
