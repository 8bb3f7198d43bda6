//! Calls that concern nodes: their leases, and their ledgers of seats.

use std::time::Duration;

use bytes::Bytes;
use fred::{
    interfaces::{SetsInterface, SortedSetsInterface},
    types::Value,
};
use weir_cluster::DirectoryError;

use super::{
    room_store::{LIVE_TTL, RoomStore, number, text},
    script,
};
use crate::directory::node::incarnation::Incarnation;

/// Duration of a lease.
pub(crate) const LEASE: Duration = Duration::from_secs(8);

/// Duration of a reaper's claim; another reaper may take over afterwards.
const CLAIM: Duration = Duration::from_secs(10);

/// Outcome of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    /// The lease is renewed.
    Renewed,
    /// The lease is renewed, and another node has entered seats into this node's ledger.
    Audit,
    /// The lease had expired, or Redis has lost it. The node may have been reaped.
    Lost,
}

impl RoomStore {
    /// Renews the lease of an incarnation, or grants it to a new one.
    pub(crate) async fn heartbeat(
        &self,
        node: &Incarnation,
        new: bool,
    ) -> Result<Beat, DirectoryError> {
        let arguments = vec![
            node.to_string().into(),
            text(node.node()),
            number(LEASE.as_millis()),
            text(if new { "new" } else { "" }),
            number(LIVE_TTL.as_millis()),
        ];
        let keys = vec![self.keys.alive(), self.keys.audits(), self.keys.reaping()];
        let answer = script::HEARTBEAT.call(&self.commands, keys, arguments);
        Ok(match answer.await?.as_str().as_deref() {
            Some("ok") => Beat::Renewed,
            Some("audit") => Beat::Audit,
            _ => Beat::Lost,
        })
    }

    /// Publishes a probe the way the scripts publish events.
    pub(crate) async fn probe(&self, channel: &str, payload: Bytes) -> Result<(), DirectoryError> {
        let keys = vec![channel.to_owned()];
        let arguments = vec![self.publish.into(), Value::Bytes(payload)];
        let called = script::PROBE.call(&self.commands, keys, arguments);
        called.await.map(drop)
    }

    /// Claims expired leases and returns their incarnations. No other node claims them for a while.
    pub(crate) async fn claim(&self) -> Result<Vec<Incarnation>, DirectoryError> {
        let keys = vec![self.keys.alive(), self.keys.reaping()];
        let arguments = vec![number(CLAIM.as_millis()), number(LIVE_TTL.as_millis())];
        let dead = script::CLAIM.call(&self.commands, keys, arguments);
        let dead = dead.await?.into_array().into_iter();
        let dead = dead.filter_map(|node| node.into_string());
        Ok(dead.map(|node| Incarnation::parse(&node)).collect())
    }

    /// Ends a lease, unless the ledger has entries; these are left to the reaper.
    pub(crate) async fn resign(&self, node: &Incarnation) -> Result<(), DirectoryError> {
        let keys = vec![self.keys.alive(), self.keys.held(node)];
        let arguments = vec![node.to_string().into()];
        let resigned = script::RESIGN.call(&self.commands, keys, arguments);
        resigned.await.map(drop)
    }

    /// Deletes reaped entries from a dead node's ledger; with the last one, the claim.
    pub(crate) async fn settle(
        &self,
        node: &Incarnation,
        entries: Vec<String>,
    ) -> Result<(), DirectoryError> {
        let keys = vec![self.keys.reaping(), self.keys.held(node)];
        let mut arguments = vec![node.to_string().into()];
        arguments.extend(entries.into_iter().map(Value::from));
        let settled = script::SETTLE.call(&self.commands, keys, arguments);
        settled.await.map(drop)
    }

    /// Enters seats into a node's own ledger.
    pub(crate) async fn hold(
        &self,
        node: &Incarnation,
        entries: Vec<String>,
    ) -> Result<(), DirectoryError> {
        self.enter(node, "", entries).await
    }

    /// Enters seats into the ledger of another node, which audits them, or whose reaper removes them.
    pub(crate) async fn vouch(
        &self,
        owner: &Incarnation,
        entries: Vec<String>,
    ) -> Result<(), DirectoryError> {
        self.enter(owner, owner.node(), entries).await
    }

    async fn enter(
        &self,
        owner: &Incarnation,
        auditor: &str,
        entries: Vec<String>,
    ) -> Result<(), DirectoryError> {
        let keys = vec![
            self.keys.alive(),
            self.keys.reaping(),
            self.keys.audits(),
            self.keys.held(owner),
        ];
        let mut arguments = vec![
            owner.to_string().into(),
            text(auditor),
            number(LEASE.as_millis()),
            number(LIVE_TTL.as_millis()),
        ];
        arguments.extend(entries.into_iter().map(Value::from));
        let entered = script::VOUCH.call(&self.commands, keys, arguments);
        entered.await.map(drop)
    }

    /// Deletes a seat from a node's ledger.
    pub(crate) async fn let_go(
        &self,
        node: &Incarnation,
        entry: String,
    ) -> Result<(), DirectoryError> {
        let (key, entry) = (&self.keys.held(node), &entry);
        self.commands
            .send(|client| async move { client.srem::<(), _, _>(key, entry).await })
            .await
    }

    /// Returns the entries of a node's ledger.
    pub(crate) async fn held(&self, node: &Incarnation) -> Result<Vec<String>, DirectoryError> {
        let key = &self.keys.held(node);
        self.commands
            .send(|client| async move { client.smembers(key).await })
            .await
    }

    /// Deletes the request for an audit, which is about to start.
    pub(crate) async fn start_audit(&self, node: &Incarnation) -> Result<(), DirectoryError> {
        let key = &self.keys.audits();
        self.commands
            .send(|client| async move { client.zrem::<(), _, _>(key, node.node()).await })
            .await
    }
}
