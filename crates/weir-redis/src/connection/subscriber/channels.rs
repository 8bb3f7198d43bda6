//! Wanted channels, their owners, and the pending subscription commands of each server.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use redis::cluster_routing::Slot;
use tokio::sync::{Notify, oneshot};

use super::{
    probe::Probed,
    slots::{Server, Slots},
};
use crate::keys::Probes;

/// Channels and servers of a subscriber. It does no IO: connections poll it for work and report
/// results.
#[derive(Debug)]
pub(super) struct Channels {
    /// Slot owners; `None` outside of a Redis Cluster.
    slots: Option<Slots>,
    places: HashMap<Arc<str>, Place>,
    servers: HashMap<Server, Work>,
    /// Candidate names of the probe channels, and the channel chosen for each server.
    names: Option<Probes>,
    probes: HashMap<Server, Arc<str>>,
    /// Set while the topology may be stale, with the server to query first.
    stale: Option<Option<Server>>,
    /// Cause of the last failed topology query.
    unknown: Option<Arc<str>>,
    /// Notified when the set of servers changes, or the topology becomes stale.
    pub(super) changed: Arc<Notify>,
}

/// State of a wanted channel.
#[derive(Debug, Default)]
struct Place {
    /// Owner of the channel, if known.
    server: Option<Server>,
    /// True from the owner's confirmation of the subscription until the subscription ends.
    subscribed: bool,
    /// True if messages may have been missed.
    lost: bool,
    waiting: Vec<oneshot::Sender<()>>,
}

/// Pending work of a server's connection, and its state.
#[derive(Debug)]
struct Work {
    begin: HashSet<Arc<str>>,
    end: HashSet<Arc<str>>,
    wake: Arc<Notify>,
    /// Reason why the server does not serve.
    trouble: Option<Arc<str>>,
    /// True if the last connection attempt failed.
    unreachable: bool,
    /// True if the connection is considered dead.
    deaf: bool,
}

/// Next commands of a connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) end: Vec<Arc<str>>,
    pub(super) begin: Vec<Arc<str>>,
}

impl Work {
    fn new() -> Self {
        Self {
            begin: HashSet::new(),
            end: HashSet::new(),
            wake: Arc::default(),
            trouble: Some("there is no connection yet".into()),
            unreachable: false,
            deaf: false,
        }
    }
}

impl Channels {
    pub(super) fn new(cluster: bool, names: Option<Probes>) -> Self {
        let mut servers = HashMap::new();
        if !cluster {
            servers.insert(Server::Only, Work::new());
        }
        let mut channels = Self {
            slots: cluster.then(Slots::default),
            places: HashMap::new(),
            servers,
            names,
            probes: HashMap::new(),
            stale: cluster.then_some(None),
            unknown: None,
            changed: Arc::default(),
        };
        channels.choose_probes();
        channels
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.slots.is_some()
    }

    /// Returns the servers to which a connection is needed.
    pub(super) fn servers(&self) -> HashSet<Server> {
        self.servers.keys().cloned().collect()
    }

    fn owner(&self, channel: &str) -> Option<Server> {
        match &self.slots {
            Some(slots) => slots.owner(channel).cloned(),
            None => Some(Server::Only),
        }
    }

    /// Registers a wanted channel. Returns a receiver of the confirmation, unless it is already
    /// subscribed.
    pub(super) fn want(&mut self, channel: &str) -> Option<oneshot::Receiver<()>> {
        let (confirmed, waiting) = oneshot::channel();
        if let Some(place) = self.places.get_mut(channel) {
            if place.subscribed {
                return None;
            }
            place.waiting.retain(|waiting| !waiting.is_closed());
            place.waiting.push(confirmed);
            return Some(waiting);
        }
        let name: Arc<str> = channel.into();
        let place = Place {
            waiting: vec![confirmed],
            ..Place::default()
        };
        self.places.insert(Arc::clone(&name), place);
        self.assign(&name, self.owner(channel));
        Some(waiting)
    }

    pub(super) fn unwant(&mut self, channel: &str) {
        let Some((name, place)) = self.places.remove_entry(channel) else {
            return;
        };
        if let Some(work) = place
            .server
            .and_then(|server| self.servers.get_mut(&server))
        {
            work.begin.remove(&name);
            work.end.insert(name);
            work.wake.notify_one();
        }
    }

    /// Records that messages of a wanted channel may be missed, because a caller stopped waiting
    /// for its confirmation. Returns why it is not subscribed, if known.
    pub(super) fn doubt(&mut self, channel: &str) -> Option<Arc<str>> {
        let place = self.places.get_mut(channel)?;
        place.lost |= !place.subscribed;
        match &place.server {
            Some(server) => self.servers.get(server)?.trouble.clone(),
            None => self.unknown.clone(),
        }
    }

    /// Records why the topology is unknown.
    pub(super) fn set_unknown(&mut self, why: &str) {
        self.unknown = Some(why.into());
    }

    /// Moves a channel to `owner`: subscribes there, and unsubscribes from its previous server.
    fn assign(&mut self, name: &Arc<str>, owner: Option<Server>) {
        let Some(place) = self.places.get_mut(name) else {
            return;
        };
        if let Some(before) = place.server.take()
            && let Some(work) = self.servers.get_mut(&before)
        {
            work.begin.remove(name);
            work.end.insert(Arc::clone(name));
            work.wake.notify_one();
        }
        place.lost |= std::mem::take(&mut place.subscribed);
        if let Some(owner) = owner {
            let work = self.servers.entry(owner.clone()).or_insert_with(|| {
                self.changed.notify_one();
                Work::new()
            });
            place.server = Some(owner);
            work.end.remove(name);
            work.begin.insert(Arc::clone(name));
            work.wake.notify_one();
        }
    }

    /// Reassigns the channels whose owner has changed.
    fn route(&mut self, in_question: impl Fn(&str) -> bool) {
        let moved = self.places.iter().filter_map(|(name, place)| {
            let owner = || self.owner(name);
            (in_question(name) && place.server != owner()).then(|| (Arc::clone(name), owner()))
        });
        let moved: Vec<_> = moved.collect();
        for (name, owner) in moved {
            self.assign(&name, owner);
        }
    }

    /// Applies the topology that a server reported. Returns true if it differs from the known one.
    pub(super) fn set_slots(&mut self, slots: Slots) -> bool {
        self.stale = None;
        self.unknown = None;
        if self.slots.as_ref() == Some(&slots) {
            return false;
        }
        for server in slots.owners() {
            self.servers.entry(server).or_insert_with(Work::new);
        }
        self.slots = Some(slots);
        self.route(|_| true);
        self.choose_probes();
        self.forget_servers();
        self.changed.notify_one();
        true
    }

    /// Records that a slot has moved to another server.
    pub(super) fn moved(&mut self, slot: Slot, to: Server) {
        if let Some(slots) = &mut self.slots {
            slots.moved(slot, to);
            self.route(|name| Slot::for_key(name) == slot);
        }
    }

    /// Removes servers that no longer own a slot, which closes their connections.
    fn forget_servers(&mut self) {
        let owners = self.slots.as_ref().map(Slots::owners).unwrap_or_default();
        self.servers.retain(|server, _| owners.contains(server));
    }

    /// Chooses a probe channel in a slot of each server, and subscribes to it.
    fn choose_probes(&mut self) {
        let Some(names) = &self.names else {
            return;
        };
        let names = |number| names.name(number);
        let chosen: HashMap<Server, Arc<str>> = match &self.slots {
            Some(slots) => slots.names(names),
            None => HashMap::from([(Server::Only, names(0))]),
        }
        .into_iter()
        .map(|(server, name)| (server, name.into()))
        .collect();
        let before = std::mem::replace(&mut self.probes, chosen.clone());
        for channel in before.into_values() {
            if !chosen.values().any(|one| *one == channel) {
                self.unwant(&channel);
            }
        }
        for channel in chosen.values() {
            self.want(channel);
        }
    }

    /// Returns the state of each server that its probe needs.
    pub(super) fn probed(&self) -> Vec<Probed> {
        let probed = self.probes.iter().filter_map(|(server, channel)| {
            let work = self.servers.get(server)?;
            Some(Probed {
                server: server.clone(),
                channel: Arc::clone(channel),
                subscribed: self.places.get(channel)?.subscribed,
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
    pub(super) fn ask(&mut self, first: Option<Server>) {
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
    pub(super) fn stale(&self) -> Option<Option<Server>> {
        self.stale.clone()
    }

    pub(super) fn wake(&self, server: &Server) -> Option<Arc<Notify>> {
        self.servers.get(server).map(|work| Arc::clone(&work.wake))
    }

    /// Removes and returns pending work for a server's connection, at most `limit` channels of each
    /// kind. Without `begin` it returns only channels to unsubscribe.
    pub(super) fn work(&mut self, server: &Server, begin: bool, limit: usize) -> Batch {
        let Some(work) = self.servers.get_mut(server) else {
            return Batch::default();
        };
        let take = |from: &mut HashSet<Arc<str>>| {
            let taken: Vec<_> = from.iter().take(limit).cloned().collect();
            for name in &taken {
                from.remove(name);
            }
            taken
        };
        Batch {
            end: take(&mut work.end),
            begin: if begin {
                take(&mut work.begin)
            } else {
                Vec::new()
            },
        }
    }

    /// Records a confirmed subscription. Returns true if messages may have been missed before.
    pub(super) fn confirmed(&mut self, server: &Server, channel: &str) -> bool {
        match self.places.get_mut(channel) {
            Some(place) if place.server.as_ref() == Some(server) => {
                place.subscribed = true;
                for waiting in place.waiting.drain(..) {
                    let _ = waiting.send(());
                }
                std::mem::take(&mut place.lost)
            }
            _ => {
                if let Some(work) = self.servers.get_mut(server) {
                    work.end.insert(channel.into());
                }
                false
            }
        }
    }

    /// Records a subscription that the server ended. Returns true if this node did not request
    /// that.
    pub(super) fn ended(&mut self, server: &Server, channel: &str) -> bool {
        let Some((name, _)) = self.places.get_key_value(channel) else {
            return false;
        };
        let name = Arc::clone(name);
        let place = self.places.get_mut(channel).expect("it was just there");
        if place.server.as_ref() != Some(server) || !place.subscribed {
            return false;
        }
        place.subscribed = false;
        place.lost = true;
        if let Some(work) = self.servers.get_mut(server) {
            // If the slot has moved, the server's reply to the new attempt names the owner.
            work.begin.insert(name);
        }
        self.ask(Some(server.clone()));
        true
    }

    /// Requeues the requested channels that were not confirmed, and returns their number.
    pub(super) fn unconfirmed(&mut self, server: &Server, asked: Vec<Arc<str>>) -> usize {
        let Some(work) = self.servers.get_mut(server) else {
            return 0;
        };
        let mut count = 0;
        for name in asked {
            let place = self.places.get(&name);
            if place.is_some_and(|place| place.server.as_ref() == Some(server) && !place.subscribed)
            {
                work.begin.insert(name);
                count += 1;
            }
        }
        count
    }

    /// Records a lost connection and requeues all of its channels. The server counts as unreachable
    /// if the connection could not be established.
    pub(super) fn down(&mut self, server: &Server, trouble: &str, unreachable: bool) {
        let Some(work) = self.servers.get_mut(server) else {
            return;
        };
        work.deaf = false;
        work.unreachable |= unreachable;
        work.trouble = Some(trouble.into());
        work.end.clear();
        for (name, place) in &mut self.places {
            if place.server.as_ref() == Some(server) {
                place.lost |= std::mem::take(&mut place.subscribed);
                work.begin.insert(Arc::clone(name));
            }
        }
        self.ask(None);
    }

    /// Sets the reason why a server does not serve; `None` if it does.
    pub(super) fn set_trouble(&mut self, server: &Server, trouble: Option<&str>) {
        if let Some(work) = self.servers.get_mut(server) {
            work.trouble = trouble.map(Into::into);
            work.unreachable = false;
        }
    }

    /// Returns whether no subscription of a server is pending.
    pub(super) fn is_idle(&self, server: &Server) -> bool {
        let work = self.servers.get(server);
        work.is_none_or(|work| work.begin.is_empty())
    }

    /// Marks the connection to a server as dead.
    pub(super) fn deafen(&mut self, server: &Server) {
        if let Some(work) = self.servers.get_mut(server) {
            work.deaf = true;
            work.wake.notify_one();
        }
        self.ask(Some(server.clone()));
    }

    pub(super) fn is_deaf(&self, server: &Server) -> bool {
        self.servers.get(server).is_some_and(|work| work.deaf)
    }
}

#[cfg(test)]
mod tests;
