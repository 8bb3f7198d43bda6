//! Nodes in Redis: their leases, and the members that they hold.

use std::time::Duration;

use bytes::Bytes;
use fred::{
    interfaces::{KeysInterface, SetsInterface, SortedSetsInterface},
    types::Value,
};
use weir_cluster::DirectoryError;

use super::{LIVE_TTL, Store, number, script, text};

impl Store {
    /// Renews a node's lease. Returns false if it had expired and the node may have been reaped.
    pub(crate) async fn heartbeat(
        &self,
        node: &str,
        lease: Duration,
        new: bool,
    ) -> Result<bool, DirectoryError> {
        let arguments = vec![
            text(node),
            number(lease.as_millis()),
            text(if new { "new" } else { "" }),
            number(LIVE_TTL.as_millis()),
        ];
        let keys = vec![self.keys.alive()];
        let answer = script::HEARTBEAT.call(&self.commands, keys, arguments);
        Ok(answer.await?.as_str().as_deref() == Some("ok"))
    }

    /// Publishes a probe the way the scripts publish events.
    pub(crate) async fn probe(&self, channel: &str, payload: Bytes) -> Result<(), DirectoryError> {
        let keys = vec![channel.to_owned()];
        let arguments = vec![self.publish.into(), Value::Bytes(payload)];
        let called = script::PROBE.call(&self.commands, keys, arguments);
        called.await.map(drop)
    }

    /// Claims dead nodes and returns their ids. Other nodes cannot claim them for `patience`.
    pub(crate) async fn claim(&self, patience: Duration) -> Result<Vec<String>, DirectoryError> {
        let keys = vec![self.keys.alive(), self.keys.reaping()];
        let arguments = vec![number(patience.as_millis()), number(LIVE_TTL.as_millis())];
        let dead = script::CLAIM.call(&self.commands, keys, arguments);
        let dead = dead.await?.into_array().into_iter();
        Ok(dead.filter_map(|node| node.into_string()).collect())
    }

    /// Releases a node's lease, unless the node still holds members; these are left to the reaper.
    pub(crate) async fn resign(&self, node: &str) -> Result<(), DirectoryError> {
        let held: u64 = self
            .commands
            .send(|client| async move { client.scard(self.keys.held(node)).await })
            .await?;
        if held == 0 {
            self.commands
                .send(
                    |client| async move { client.zrem::<(), _, _>(self.keys.alive(), node).await },
                )
                .await?;
        }
        Ok(())
    }

    /// Removes a reaped node.
    pub(crate) async fn reaped(&self, node: &str) -> Result<(), DirectoryError> {
        self.commands
            .send(|client| async move { client.del::<(), _>(self.keys.held(node)).await })
            .await?;
        self.commands
            .send(|client| async move { client.zrem::<(), _, _>(self.keys.reaping(), node).await })
            .await
    }

    /// Records members that a node holds, for its reaper.
    pub(crate) async fn hold(
        &self,
        node: &str,
        entries: Vec<String>,
    ) -> Result<(), DirectoryError> {
        let (key, entries) = (&self.keys.held(node), &entries);
        self.commands
            .send(|client| async move { client.sadd::<(), _, _>(key, entries.clone()).await })
            .await?;
        let ttl = i64::try_from(LIVE_TTL.as_secs()).unwrap_or(i64::MAX);
        // The key expires even if all nodes crash.
        self.commands
            .send(|client| async move { client.expire::<(), _>(key, ttl, None).await })
            .await
    }

    /// Removes a member from those that a node holds.
    pub(crate) async fn let_go(&self, node: &str, entry: String) -> Result<(), DirectoryError> {
        let entry = &entry;
        self.commands
            .send(
                |client| async move { client.srem::<(), _, _>(self.keys.held(node), entry).await },
            )
            .await
    }

    /// Returns the recorded members of a node.
    pub(crate) async fn held(&self, node: &str) -> Result<Vec<String>, DirectoryError> {
        self.commands
            .send(|client| async move { client.smembers(self.keys.held(node)).await })
            .await
    }
}
