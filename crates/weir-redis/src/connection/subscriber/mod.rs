//! Subscriptions to Redis channels, restored after connection loss and failover.
//!
//! There is one connection per Redis server, each with its own subscriptions. Push messages of
//! Redis are authoritative. A channel is subscribed from its server's confirmation until the server
//! ends the subscription, or the connection closes.

mod channels;
mod cluster_topology;
mod handle;
mod prober;
mod session;
mod state;
mod topology;
mod work;

pub(crate) use cluster_topology::ClusterTopology;
pub(crate) use handle::Subscriber;
pub(crate) use prober::Publish;
