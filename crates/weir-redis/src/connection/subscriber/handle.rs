//! Handle on the subscriptions of one plane.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{sync::watch, task::AbortHandle, time::timeout};
use weir_cluster::Sample;

use super::{
    cluster_topology::ClusterTopology,
    prober::{self, Publish},
    state::SubscriberState,
    topology,
    work::SinkId,
};
use crate::{Health, Target, connection::wire::MessageSink, keys::Probes, target::Topology};

/// Deadline for the confirmation of a subscription.
const CONFIRMATION: Duration = Duration::from_millis(1_500);

/// Error of a subscription that Redis did not confirm in time, with the cause if known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Redis did not confirm a subscription in time{}", .0.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
pub(crate) struct Unconfirmed(Option<Arc<str>>);

/// Subscriptions to channels, restored after they are lost.
pub(crate) struct Subscriber {
    state: Arc<SubscriberState>,
    task: AbortHandle,
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscriber")
    }
}

impl Subscriber {
    /// Creates a subscriber that connects in the background.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn new(target: &Target, probes: Probes) -> Self {
        let cluster = target.topology == Topology::Cluster;
        let state = Arc::new(SubscriberState::new(cluster, probes));
        let task = tokio::spawn(topology::run(target.clone(), Arc::clone(&state)));
        Self {
            state,
            task: task.abort_handle(),
        }
    }

    /// Returns a receiver of whether probes come back from every server.
    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.state.probe.health()
    }

    /// Returns a handle on the topology that this subscriber follows.
    pub(crate) fn topology(&self) -> ClusterTopology {
        ClusterTopology::of(&self.state)
    }

    /// Starts a task that publishes probes until it is aborted.
    pub(crate) fn start_probes(&self, plane: &'static str, publish: Publish) -> AbortHandle {
        let state = Arc::clone(&self.state);
        tokio::spawn(prober::run(plane, state, publish)).abort_handle()
    }

    /// Delivers the messages of a channel to `sink`, starting with those published after this has
    /// returned, until the subscription is dropped. A sink that is subscribed twice to a channel
    /// receives each message once.
    ///
    /// # Errors
    /// If Redis does not confirm the subscription within 1.5 s.
    pub(crate) async fn subscribe(
        &self,
        channel: Arc<str>,
        sink: Arc<dyn MessageSink>,
    ) -> Result<ChannelSubscription, Unconfirmed> {
        let (id, confirmed) = self.state.channels.lock().want(&channel, sink);
        let subscription = ChannelSubscription {
            state: Arc::clone(&self.state),
            channel,
            id,
        };
        if let Ok(Ok(())) = timeout(CONFIRMATION, confirmed).await {
            return Ok(subscription);
        }
        let mut channels = self.state.channels.lock();
        let why = channels.doubt(&subscription.channel);
        drop(channels);
        Err(Unconfirmed(why))
    }

    /// Returns the metrics of one plane.
    pub(crate) fn samples(&self, plane: &'static str) -> Vec<Sample> {
        self.state.samples(plane)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // The connections are tasks owned by this one.
        self.task.abort();
    }
}

/// Subscription of a sink to a channel, until it is dropped.
#[must_use = "dropping it ends the subscription"]
pub(crate) struct ChannelSubscription {
    state: Arc<SubscriberState>,
    channel: Arc<str>,
    id: SinkId,
}

impl fmt::Debug for ChannelSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelSubscription({})", self.channel)
    }
}

impl Drop for ChannelSubscription {
    fn drop(&mut self) {
        self.state.channels.lock().unwant(&self.channel, self.id);
    }
}
