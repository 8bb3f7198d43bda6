//! The channels that are wanted, where each belongs, and what is still to be done for that.

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

/// All channels and servers of a subscriber. Without IO: connections ask for work and report.
#[derive(Debug)]
pub(super) struct Channels {
    /// None outside of a Redis Cluster.
    slots: Option<Slots>,
    places: HashMap<Arc<str>, Place>,
    servers: HashMap<Server, Work>,
    /// The names that a node's probes may have, and the channel of each server's.
    names: Option<Probes>,
    probes: HashMap<Server, Arc<str>>,
    /// Set while the topology may be stale, with the server that is asked first.
    stale: Option<Option<Server>>,
    /// Why it couldn't be asked for.
    unknown: Option<Arc<str>>,
    /// Notified when servers come or go, or the topology is stale.
    pub(super) changed: Arc<Notify>,
}

/// A channel that is wanted.
#[derive(Debug, Default)]
struct Place {
    /// The server that it belongs to, if it is known.
    server: Option<Server>,
    /// Whether that server has confirmed the subscription, and not ended it since.
    subscribed: bool,
    /// Whether messages may have been missed.
    lost: bool,
    waiting: Vec<oneshot::Sender<()>>,
}

/// A server, and what its connection is to do.
#[derive(Debug)]
struct Work {
    begin: HashSet<Arc<str>>,
    end: HashSet<Arc<str>>,
    wake: Arc<Notify>,
    /// Why it doesn't serve.
    trouble: Option<Arc<str>>,
    /// Whether the last attempt to connect has failed.
    unreachable: bool,
    /// Whether its connection is taken for dead.
    deaf: bool,
}

/// What a connection sends next.
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

    /// The servers that there should be a connection to.
    pub(super) fn servers(&self) -> HashSet<Server> {
        self.servers.keys().cloned().collect()
    }

    fn owner(&self, channel: &str) -> Option<Server> {
        match &self.slots {
            Some(slots) => slots.owner(channel).cloned(),
            None => Some(Server::Only),
        }
    }

    /// Wants a channel. Answers with what is told when it is confirmed, unless it is already.
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

    /// Notes that messages of a wanted channel may be missed, since somebody doesn't wait for it any
    /// longer. Answers with why it is not subscribed to, if that is known.
    pub(super) fn doubt(&mut self, channel: &str) -> Option<Arc<str>> {
        let place = self.places.get_mut(channel)?;
        place.lost |= !place.subscribed;
        match &place.server {
            Some(server) => self.servers.get(server)?.trouble.clone(),
            None => self.unknown.clone(),
        }
    }

    /// Notes why the topology is not known.
    pub(super) fn set_unknown(&mut self, why: &str) {
        self.unknown = Some(why.into());
    }

    /// Has a channel subscribed to at `owner`, and no longer where it was.
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

    /// Assigns all channels anew that belong to another server now.
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

    /// Takes over the topology as a server knows it. True if it is another one.
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

    /// Notes that a slot belongs to another server.
    pub(super) fn moved(&mut self, slot: Slot, to: Server) {
        if let Some(slots) = &mut self.slots {
            slots.moved(slot, to);
            self.route(|name| Slot::for_key(name) == slot);
        }
    }

    /// Ends connections to servers that own nothing any more.
    fn forget_servers(&mut self) {
        let owners = self.slots.as_ref().map(Slots::owners).unwrap_or_default();
        self.servers.retain(|server, _| owners.contains(server));
    }

    /// Has a channel in a slot of each server subscribed to.
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

    /// The servers with what their probes need to know.
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

    /// Why the topology of the cluster is not known, if it could not be asked for.
    pub(super) fn unknown(&self) -> Option<Arc<str>> {
        self.unknown.clone()
    }

    /// Has the topology asked for, `first` before others.
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

    /// Whom to ask first for the topology, if it is to be asked for.
    pub(super) fn stale(&self) -> Option<Option<Server>> {
        self.stale.clone()
    }

    pub(super) fn wake(&self, server: &Server) -> Option<Arc<Notify>> {
        self.servers.get(server).map(|work| Arc::clone(&work.wake))
    }

    /// Takes what the connection to a server is to do, at most `limit` of each; without `begin` only
    /// what is to be ended.
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

    /// A server has confirmed a subscription. True if messages may have been missed before.
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

    /// A server has ended a subscription. True if nobody asked for that.
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
            // If the slot has moved, the answer says where it is.
            work.begin.insert(name);
        }
        self.ask(Some(server.clone()));
        true
    }

    /// What was to begin and was not confirmed is still to begin. Answers with how many these are.
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

    /// The connection to a server is lost: all is to begin again.
    /// If it could not even be made, the server is unreachable.
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

    /// Sets why a server doesn't serve; nothing if it does.
    pub(super) fn set_trouble(&mut self, server: &Server, trouble: Option<&str>) {
        if let Some(work) = self.servers.get_mut(server) {
            work.trouble = trouble.map(Into::into);
            work.unreachable = false;
        }
    }

    /// Whether all that was wanted of a server is confirmed or asked for.
    pub(super) fn is_idle(&self, server: &Server) -> bool {
        let work = self.servers.get(server);
        work.is_none_or(|work| work.begin.is_empty())
    }

    /// Takes the connection to a server for dead.
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
