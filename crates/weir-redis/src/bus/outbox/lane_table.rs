//! Lanes of an outbox, and the lane of each slot.

use std::{
    collections::HashMap,
    ops::{Index, IndexMut},
    sync::Arc,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    lane::{LaneLink, NOT_YET, Outage, ServerLane},
    message::OutboxMessage,
};
use crate::{
    Health,
    bus::topic::ChannelKind,
    connection::{
        cluster::{ClusterView, Slot},
        server::ServerId,
    },
};

/// Cause for refusing messages of a slot that has no owner in a known topology.
const UNOWNED: &str = "no server owns the slot";

/// Lanes of an outbox. All queued messages of a slot are in one lane, which owns the slot. A lane
/// hands a slot over only while none of its messages are in flight, so their order stays.
#[derive(Debug)]
pub(super) struct LaneTable {
    pub(super) lanes: Vec<ServerLane>,
    /// Lane of each slot. Outside of a Redis Cluster there is one slot.
    owners: Box<[u16]>,
}

impl Index<usize> for LaneTable {
    type Output = ServerLane;

    fn index(&self, at: usize) -> &ServerLane {
        &self.lanes[at]
    }
}

impl IndexMut<usize> for LaneTable {
    fn index_mut(&mut self, at: usize) -> &mut ServerLane {
        &mut self.lanes[at]
    }
}

impl LaneTable {
    /// Creates the lane of the only server, or of the slots of a Redis Cluster, whose owners are
    /// unknown yet.
    pub(super) fn new(kind: ChannelKind) -> Self {
        let (server, slots) = match kind {
            ChannelKind::Plain => (Some(ServerId::Only), 1),
            ChannelKind::Sharded => (None, usize::from(Slot::COUNT)),
        };
        let outage = Outage::initial(NOT_YET.into());
        let mut lane = ServerLane::new(server, LaneLink::Down(outage));
        lane.slots = slots;
        Self {
            lanes: vec![lane],
            owners: vec![0; slots].into(),
        }
    }

    /// Returns the place of the lane that owns a slot.
    pub(super) fn owner(&self, slot: Slot) -> usize {
        usize::from(self.owners[slot.index()])
    }

    /// Returns the lane that owns a slot.
    pub(super) fn owning(&mut self, slot: Slot) -> &mut ServerLane {
        &mut self.lanes[usize::from(self.owners[slot.index()])]
    }

    /// Applies the topology of a Redis Cluster. Slots without an owner stay in their lanes, whose servers say why.
    pub(super) fn set_view(&mut self, view: &ClusterView) {
        if self.lanes[0].server.is_some() {
            return;
        }
        let cause = match &view.unknown {
            Some(cause) => Arc::clone(cause),
            None if view.slots.owners().is_empty() => NOT_YET.into(),
            None => UNOWNED.into(),
        };
        self.lanes[0].link = LaneLink::Down(Outage::initial(cause));
        let mut places = HashMap::new();
        for slot in Slot::all() {
            if let Some(server) = view.slots.owner(slot) {
                let known = places.get(server).copied();
                let to = known.unwrap_or_else(|| self.lane_of(server));
                places.entry(server).or_insert(to);
                self.assign(slot, to);
            }
        }
        for from in 0..self.lanes.len() {
            self.hand_over(from);
        }
    }

    /// Schedules the hand-over of slots that have moved. Enqueues messages that a lane's server
    /// redirected before all others, and returns their bytes.
    pub(super) fn redirect(
        &mut self,
        from: usize,
        moved: Vec<(Slot, ServerId)>,
        redirected: Vec<OutboxMessage>,
    ) -> usize {
        for (slot, server) in moved {
            let to = self.lane_of(&server);
            self.assign(slot, to);
        }
        let bytes = redirected.iter().map(OutboxMessage::len).sum();
        let queue = &mut self.lanes[from].queue;
        for message in redirected.into_iter().rev() {
            queue.push_front(message);
        }
        bytes
    }

    /// Returns the place of a server's lane, which is created if there is none.
    fn lane_of(&mut self, server: &ServerId) -> usize {
        let named = |lane: &ServerLane| lane.server.as_ref() == Some(server);
        if let Some(at) = self.lanes.iter().position(named) {
            return at;
        }
        let mut lane = ServerLane::new(Some(server.clone()), LaneLink::Opening);
        match (1..self.lanes.len()).find(|at| !self.lanes[*at].served && !self.is_needed(*at)) {
            Some(free) => {
                // `flush` compares the counters later.
                (lane.put, lane.done) = (self.lanes[free].put, self.lanes[free].done);
                self.lanes[free] = lane;
                free
            }
            None => {
                self.lanes.push(lane);
                self.lanes.len() - 1
            }
        }
    }

    /// Returns whether a lane owns a slot, or is to own one.
    fn is_needed(&self, at: usize) -> bool {
        let expected = |lane: &ServerLane| lane.leaving.values().any(|to| *to == at);
        self.lanes[at].slots > 0 || self.lanes.iter().any(expected)
    }

    /// Marks the needed lanes that no task serves as served. Returns them with their places.
    pub(super) fn start_unserved(&mut self) -> Vec<(usize, ServerId, &Arc<Notify>)> {
        let needed: Vec<_> = (0..self.lanes.len()).map(|at| self.is_needed(at)).collect();
        let lanes = self.lanes.iter_mut().enumerate().zip(needed);
        let starting = lanes.filter_map(|((at, lane), needed)| {
            let server = lane.server.clone().filter(|_| needed && !lane.served)?;
            lane.served = true;
            Some((at, server, &lane.filled))
        });
        starting.collect()
    }

    /// Marks a lane that is not needed as not served. Returns false if the lane is needed.
    pub(super) fn end(&mut self, at: usize) -> bool {
        if self.is_needed(at) {
            return false;
        }
        self.lanes[at].served = false;
        self.lanes[at].link = LaneLink::Opening;
        true
    }

    /// Schedules the hand-over of a slot.
    fn assign(&mut self, slot: Slot, to: usize) {
        let from = self.owner(slot);
        let leaving = &mut self.lanes[from].leaving;
        if from == to {
            leaving.remove(&slot);
        } else {
            leaving.insert(slot, to);
        }
    }

    /// Hands the slots that are to leave a lane over to others, with their messages, unless a batch
    /// is in flight.
    pub(super) fn hand_over(&mut self, from: usize) {
        let lane = &mut self.lanes[from];
        if lane.in_flight || lane.leaving.is_empty() {
            return;
        }
        let leaving = std::mem::take(&mut lane.leaving);
        let queue = std::mem::take(&mut lane.queue);
        let retry = std::mem::take(&mut lane.retry);
        let retry_at = lane.retry_at.take().unwrap_or_else(Instant::now);
        for (slot, to) in &leaving {
            self.owners[slot.index()] = u16::try_from(*to).expect("lanes are as few as slots");
            self.lanes[from].slots -= 1;
            self.lanes[*to].slots += 1;
        }
        let mut of = |message: &OutboxMessage| {
            let to = leaving.get(&message.topic.slot).copied().unwrap_or(from);
            if to != from {
                self.lanes[from].done += 1;
                self.lanes[to].put += 1;
            }
            to
        };
        let queue: Vec<_> = queue.into_iter().map(|one| (of(&one), one)).collect();
        let retry: Vec<_> = retry.into_iter().map(|one| (of(&one), one)).collect();
        for (to, message) in queue {
            self.lanes[to].queue.push_back(message);
        }
        for (to, message) in retry {
            self.lanes[to].push_retry(vec![message], retry_at);
        }
        self.lanes[from].filled.notify_one();
        for to in leaving.values() {
            self.lanes[*to].filled.notify_one();
        }
    }

    /// Returns the health of all connections, given the last known one. A new server does not fail
    /// a working bus before its first connection attempt has failed.
    pub(super) fn health(&self, known: &Health) -> Health {
        let owning = || {
            let lanes = self.lanes.iter().filter(|lane| lane.slots > 0);
            lanes.filter_map(|lane| Some((lane.server.as_ref()?, &lane.link)))
        };
        let failed = owning().find_map(|(server, link)| match link {
            LaneLink::Down(outage) => Some(server.attribute(&outage.cause)),
            LaneLink::Opening | LaneLink::Works => None,
        });
        if let Some(cause) = failed {
            return Health::Fails(cause);
        }
        if owning().next().is_none() {
            return match &self.lanes[0].link {
                LaneLink::Down(outage) => Health::Fails(Arc::clone(&outage.cause)),
                LaneLink::Opening | LaneLink::Works => Health::fails(NOT_YET),
            };
        }
        let opening = owning().any(|(_, link)| matches!(link, LaneLink::Opening));
        if opening && !known.works() {
            return Health::fails(NOT_YET);
        }
        Health::Works
    }
}
