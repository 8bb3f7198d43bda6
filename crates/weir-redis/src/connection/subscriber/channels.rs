//! Wanted channels, their owners, and the pending subscription commands of each server.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tokio::sync::{Notify, oneshot, watch};

use super::work::{Confirmation, ServerWork, SinkId, SubscriptionBatch, WantedChannel};
use crate::{
    connection::{
        cluster::{ClusterView, Slot, SlotMap},
        probe::{PlaneProbe, ProbedServer},
        server::ServerId,
        wire::MessageSink,
    },
    keys::Probes,
};

/// Channels and servers of a subscriber. It does no IO: connections poll it for work and report
/// results.
#[derive(Debug)]
pub(super) struct ChannelTable {
    /// Slot owners; `None` outside of a Redis Cluster.
    slots: Option<Arc<SlotMap>>,
    wanted: HashMap<Arc<str>, WantedChannel>,
    servers: HashMap<ServerId, ServerWork>,
    /// Identifier of the next subscription.
    next: SinkId,
    /// Candidate names of the probe channels, and the receiver of their messages.
    prober: Option<(Probes, Arc<PlaneProbe>)>,
    /// Probe channel of each server.
    probes: HashMap<ServerId, (Arc<str>, SinkId)>,
    /// Set while the topology may be stale, with the server to query first.
    stale: Option<Option<ServerId>>,
    /// Cause of the last failed topology query.
    unknown: Option<Arc<str>>,
    /// Topology as the publisher sees it.
    view: watch::Sender<ClusterView>,
    /// Notified when the set of servers changes, or the topology becomes stale.
    pub(super) changed: Arc<Notify>,
}

impl ChannelTable {
    pub(super) fn new(cluster: bool, prober: Option<(Probes, Arc<PlaneProbe>)>) -> Self {
        let mut servers = HashMap::new();
        if !cluster {
            servers.insert(ServerId::Only, ServerWork::new());
        }
        let mut channels = Self {
            slots: cluster.then(Arc::default),
            wanted: HashMap::new(),
            servers,
            next: 0,
            prober,
            probes: HashMap::new(),
            stale: cluster.then_some(None),
            unknown: None,
            view: watch::channel(ClusterView::default()).0,
            changed: Arc::default(),
        };
        channels.choose_probes();
        channels
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.slots.is_some()
    }

    /// Returns the servers to which a connection is needed.
    pub(super) fn servers(&self) -> HashSet<ServerId> {
        self.servers.keys().cloned().collect()
    }

    fn owner(&self, channel: &str) -> Option<ServerId> {
        match &self.slots {
            Some(slots) => slots.owner_of(channel).cloned(),
            None => Some(ServerId::Only),
        }
    }

    /// Registers a subscription, and returns a receiver of its confirmation.
    pub(super) fn want(
        &mut self,
        channel: &Arc<str>,
        sink: Arc<dyn MessageSink>,
    ) -> (SinkId, oneshot::Receiver<()>) {
        let (confirmed, waiting) = oneshot::channel();
        let id = self.next;
        self.next += 1;
        let known = self.wanted.contains_key(channel);
        let wanted = self.wanted.entry(Arc::clone(channel)).or_default();
        wanted.waiting.retain(|waiting| !waiting.is_closed());
        wanted.waiting.push(confirmed);
        wanted.sinks.push((id, sink));
        if known {
            self.reroute(channel);
        } else {
            self.assign(channel, self.owner(channel));
        }
        (id, waiting)
    }

    /// Requests that the channel's connection sets its sinks anew. Before the channel is
    /// subscribed, its confirmation does that.
    fn reroute(&mut self, channel: &Arc<str>) {
        let Some(wanted) = self.wanted.get(channel).filter(|one| one.subscribed) else {
            return;
        };
        let server = wanted.server.as_ref();
        if let Some(work) = server.and_then(|server| self.servers.get_mut(server)) {
            work.routes.insert(Arc::clone(channel));
            work.wake.notify_one();
        }
    }

    /// Removes a subscription. After the last one of its channel, the channel is not wanted.
    pub(super) fn unwant(&mut self, channel: &Arc<str>, id: SinkId) {
        let Some(wanted) = self.wanted.get_mut(channel) else {
            return;
        };
        wanted.sinks.retain(|(one, _)| *one != id);
        if !wanted.sinks.is_empty() {
            return self.reroute(channel);
        }
        let server = wanted.server.take();
        self.wanted.remove(channel);
        if let Some(work) = server.and_then(|server| self.servers.get_mut(&server)) {
            work.begin.remove(channel);
            work.routes.remove(channel);
            work.end.insert(Arc::clone(channel));
            work.wake.notify_one();
        }
    }

    /// Records that messages of a wanted channel may be missed, because a caller stopped waiting
    /// for its confirmation. Returns why it is not subscribed, if known.
    pub(super) fn doubt(&mut self, channel: &str) -> Option<Arc<str>> {
        let wanted = self.wanted.get_mut(channel)?;
        wanted.lost |= !wanted.subscribed;
        match &wanted.server {
            Some(server) => self.servers.get(server)?.trouble.clone(),
            None => self.unknown.clone(),
        }
    }

    /// Records why the topology is unknown.
    pub(super) fn set_unknown(&mut self, why: &str) {
        self.unknown = Some(why.into());
        self.show();
    }

    /// Returns a receiver of the topology.
    pub(super) fn view(&self) -> watch::Receiver<ClusterView> {
        self.view.subscribe()
    }

    fn show(&self) {
        self.view.send_replace(ClusterView {
            slots: self.slots.clone().unwrap_or_default(),
            unknown: self.unknown.clone(),
        });
    }

    /// Moves a channel to `owner`: subscribes there, and unsubscribes from its previous server.
    fn assign(&mut self, name: &Arc<str>, owner: Option<ServerId>) {
        let Some(wanted) = self.wanted.get_mut(name) else {
            return;
        };
        if let Some(before) = wanted.server.take()
            && let Some(work) = self.servers.get_mut(&before)
        {
            work.begin.remove(name);
            work.routes.remove(name);
            work.end.insert(Arc::clone(name));
            work.wake.notify_one();
        }
        wanted.lost |= std::mem::take(&mut wanted.subscribed);
        if let Some(owner) = owner {
            let work = self.servers.entry(owner.clone()).or_insert_with(|| {
                self.changed.notify_one();
                ServerWork::new()
            });
            wanted.server = Some(owner);
            work.end.remove(name);
            work.begin.insert(Arc::clone(name));
            work.wake.notify_one();
        }
    }

    /// Reassigns the channels whose owner has changed.
    fn route(&mut self, in_question: impl Fn(&str) -> bool) {
        let moved = self.wanted.iter().filter_map(|(name, wanted)| {
            let owner = || self.owner(name);
            (in_question(name) && wanted.server != owner()).then(|| (Arc::clone(name), owner()))
        });
        let moved: Vec<_> = moved.collect();
        for (name, owner) in moved {
            self.assign(&name, owner);
        }
    }

    /// Applies the topology that a server reported. Returns true if it differs from the known one.
    pub(super) fn set_slots(&mut self, slots: SlotMap) -> bool {
        self.stale = None;
        let was_unknown = self.unknown.take().is_some();
        if self.slots.as_deref() == Some(&slots) {
            if was_unknown {
                self.show();
            }
            return false;
        }
        for server in slots.owners() {
            self.servers.entry(server).or_insert_with(ServerWork::new);
        }
        self.slots = Some(Arc::new(slots));
        self.show();
        self.route(|_| true);
        self.choose_probes();
        self.forget_servers();
        self.changed.notify_one();
        true
    }

    /// Records that a slot has moved to another server.
    pub(super) fn moved(&mut self, slot: Slot, to: ServerId) {
        if let Some(slots) = &mut self.slots
            && slots.owner(slot) != Some(&to)
        {
            Arc::make_mut(slots).moved(slot, to);
            self.show();
            self.route(|name| Slot::for_key(name) == slot);
        }
    }

    /// Removes servers that no longer own a slot, which closes their connections.
    fn forget_servers(&mut self) {
        let owners = self.slots.as_deref().map(SlotMap::owners);
        let owners = owners.unwrap_or_default();
        self.servers.retain(|server, _| owners.contains(server));
    }

    /// Chooses a probe channel in a slot of each server, and subscribes to it.
    fn choose_probes(&mut self) {
        let Some((names, probe)) = &self.prober else {
            return;
        };
        let probe = Arc::clone(probe);
        let names = |number| names.name(number);
        let chosen = match &self.slots {
            Some(slots) => slots.names(names),
            None => HashMap::from([(ServerId::Only, names(0))]),
        };
        let mut before: HashMap<Arc<str>, SinkId> =
            self.probes.drain().map(|(_, known)| known).collect();
        for (server, name) in chosen {
            let channel: Arc<str> = name.into();
            let id = before.remove(&channel);
            let id = id.unwrap_or_else(|| self.want(&channel, probe.sink(&channel)).0);
            self.probes.insert(server, (channel, id));
        }
        for (channel, id) in before {
            self.unwant(&channel, id);
        }
    }

    /// Returns the state of each server that its probe needs.
    pub(super) fn probed(&self) -> Vec<ProbedServer> {
        let probed = self.probes.iter().filter_map(|(server, (channel, _))| {
            let work = self.servers.get(server)?;
            Some(ProbedServer {
                server: server.clone(),
                channel: Arc::clone(channel),
                subscribed: self.wanted.get(channel)?.subscribed,
                trouble: work.trouble.clone(),
                unreachable: work.unreachable,
            })
        });
        probed.collect()
    }

    /// Returns why the topology of the cluster is unknown, if its last query failed.
    pub(super) fn unknown(&self) -> Option<Arc<str>> {
        self.unknown.clone()
    }

    /// Requests a topology query that starts with `first`.
    pub(super) fn ask(&mut self, first: Option<ServerId>) {
        if self.is_cluster() {
            match &mut self.stale {
                Some(asked @ None) => *asked = first,
                Some(Some(_)) => {}
                stale @ None => *stale = Some(first),
            }
            self.changed.notify_one();
        }
    }

    /// Returns the server to query first, if a topology query is requested.
    pub(super) fn stale(&self) -> Option<Option<ServerId>> {
        self.stale.clone()
    }

    pub(super) fn wake(&self, server: &ServerId) -> Option<Arc<Notify>> {
        self.servers.get(server).map(|work| Arc::clone(&work.wake))
    }

    /// Removes and returns pending work for a server's connection: all changed sinks, and at most
    /// `limit` channels of each kind. Without `begin`, no channels to subscribe to.
    pub(super) fn work(
        &mut self,
        server: &ServerId,
        begin: bool,
        limit: usize,
    ) -> SubscriptionBatch {
        let Some(work) = self.servers.get_mut(server) else {
            return SubscriptionBatch::default();
        };
        let remove_some = |from: &mut HashSet<Arc<str>>, limit| {
            let some: Vec<_> = from.iter().take(limit).cloned().collect();
            for name in &some {
                from.remove(name);
            }
            some
        };
        let mut batch = SubscriptionBatch {
            end: remove_some(&mut work.end, limit),
            begin: remove_some(&mut work.begin, if begin { limit } else { 0 }),
            ..SubscriptionBatch::default()
        };
        for name in std::mem::take(&mut work.routes) {
            if let Some(wanted) = self.wanted.get_mut(&name) {
                batch.routed.append(&mut wanted.waiting);
                batch.routes.push((name, wanted.sinks()));
            }
        }
        batch
    }

    /// Returns whether a channel is wanted on a server.
    pub(super) fn is_wanted_on(&self, server: &ServerId, channel: &str) -> bool {
        let wanted = self.wanted.get(channel);
        wanted.is_some_and(|wanted| wanted.server.as_ref() == Some(server))
    }

    /// Records a confirmed subscription. Returns `None` if the channel is not wanted there.
    pub(super) fn confirmed(&mut self, server: &ServerId, channel: &str) -> Option<Confirmation> {
        let work = self.servers.get_mut(server);
        let wanted = self.wanted.get_mut(channel);
        let Some(wanted) = wanted.filter(|wanted| wanted.server.as_ref() == Some(server)) else {
            if let Some(work) = work {
                work.end.insert(channel.into());
            }
            return None;
        };
        if let Some(work) = work {
            work.routes.remove(channel);
        }
        wanted.subscribed = true;
        Some(Confirmation {
            sinks: wanted.sinks(),
            waiting: std::mem::take(&mut wanted.waiting),
            recovered: std::mem::take(&mut wanted.lost),
        })
    }

    /// Records a subscription that the server ended. Returns true if this node did not request
    /// that.
    pub(super) fn ended(&mut self, server: &ServerId, channel: &str) -> bool {
        let Some((name, _)) = self.wanted.get_key_value(channel) else {
            return false;
        };
        let name = Arc::clone(name);
        let wanted = self.wanted.get_mut(channel).expect("it was just found");
        if wanted.server.as_ref() != Some(server) || !wanted.subscribed {
            return false;
        }
        wanted.subscribed = false;
        wanted.lost = true;
        if let Some(work) = self.servers.get_mut(server) {
            // If the slot has moved, the server's reply to the new attempt names the owner.
            work.begin.insert(name);
        }
        self.ask(Some(server.clone()));
        true
    }

    /// Requeues the requested channels that were not confirmed, and returns their number.
    pub(super) fn unconfirmed(&mut self, server: &ServerId, asked: Vec<Arc<str>>) -> usize {
        let Some(work) = self.servers.get_mut(server) else {
            return 0;
        };
        let mut count = 0;
        for name in asked {
            let wanted = self.wanted.get(&name);
            if wanted
                .is_some_and(|wanted| wanted.server.as_ref() == Some(server) && !wanted.subscribed)
            {
                work.begin.insert(name);
                count += 1;
            }
        }
        count
    }

    /// Records a lost connection and requeues all of its channels. The server counts as unreachable
    /// if the connection could not be established.
    pub(super) fn down(&mut self, server: &ServerId, trouble: &str, unreachable: bool) {
        let Some(work) = self.servers.get_mut(server) else {
            return;
        };
        work.deaf = false;
        work.unreachable |= unreachable;
        work.trouble = Some(trouble.into());
        work.end.clear();
        work.routes.clear();
        for (name, wanted) in &mut self.wanted {
            if wanted.server.as_ref() == Some(server) {
                wanted.lost |= std::mem::take(&mut wanted.subscribed);
                work.begin.insert(Arc::clone(name));
            }
        }
        self.ask(None);
    }

    /// Sets the reason why a server does not serve; `None` if it does.
    pub(super) fn set_trouble(&mut self, server: &ServerId, trouble: Option<&str>) {
        if let Some(work) = self.servers.get_mut(server) {
            work.trouble = trouble.map(Into::into);
            work.unreachable = false;
        }
    }

    /// Returns whether no subscription of a server is pending.
    pub(super) fn is_idle(&self, server: &ServerId) -> bool {
        let work = self.servers.get(server);
        work.is_none_or(|work| work.begin.is_empty())
    }

    /// Marks the connection to a server as dead.
    pub(super) fn deafen(&mut self, server: &ServerId) {
        if let Some(work) = self.servers.get_mut(server) {
            work.deaf = true;
            work.wake.notify_one();
        }
        self.ask(Some(server.clone()));
    }

    pub(super) fn is_deaf(&self, server: &ServerId) -> bool {
        self.servers.get(server).is_some_and(|work| work.deaf)
    }
}

#[cfg(test)]
mod tests;
