//! Seats of a room's members that are connected to this node.

use std::{collections::HashMap, sync::Arc};

use weir_cluster::Signal;
use weir_protocol::{Change, Fault, Frame, MemberId, Notice, RoomEvent};

use super::{
    backlog::{Backlog, Kept},
    member::ConnectedMember,
};
use crate::{Counters, outlet::notify};

/// Seats by member.
#[derive(Debug)]
pub(super) struct Seats {
    seats: HashMap<MemberId, Seat>,
    counters: Arc<Counters>,
}

/// Seat of a member.
#[derive(Debug)]
enum Seat {
    /// The member is about to join. Events and messages are kept for it, since some of them may be
    /// later than the snapshot that it receives.
    Reserved(Backlog),
    /// The member has joined.
    Taken {
        member: Arc<ConnectedMember>,
        /// Version of the room that it was notified of last.
        knows: u64,
    },
}

impl Seats {
    pub(super) fn new(counters: &Arc<Counters>) -> Self {
        Self {
            seats: HashMap::new(),
            counters: Arc::clone(counters),
        }
    }

    /// Returns whether a member has a seat, reserved or taken.
    pub(super) fn contains(&self, id: &MemberId) -> bool {
        self.seats.contains_key(id)
    }

    /// Returns a joined member.
    pub(super) fn get(&self, id: &MemberId) -> Option<&Arc<ConnectedMember>> {
        match self.seats.get(id) {
            Some(Seat::Taken { member, .. }) => Some(member),
            _ => None,
        }
    }

    /// Returns the joined members.
    pub(super) fn members(&self) -> impl Iterator<Item = &Arc<ConnectedMember>> {
        self.seats.values().filter_map(|seat| match seat {
            Seat::Taken { member, .. } => Some(member),
            Seat::Reserved(_) => None,
        })
    }

    /// Reserves a seat.
    pub(super) fn reserve(&mut self, id: MemberId) {
        self.seats.insert(id, Seat::Reserved(Backlog::default()));
    }

    /// Cancels a reservation that was not taken.
    pub(super) fn cancel(&mut self, id: &MemberId) {
        if let Some(Seat::Reserved(_)) = self.seats.get(id) {
            self.seats.remove(id);
        }
    }

    /// Removes a seat.
    pub(super) fn remove(&mut self, id: &MemberId) {
        self.seats.remove(id);
    }

    /// Removes the taken seats, and marks their members as removed.
    pub(super) fn clear(&mut self) {
        self.members().for_each(|member| member.set_removed());
        self.seats
            .retain(|_, seat| matches!(seat, Seat::Reserved(_)));
    }

    /// Returns the events since a seat was reserved, unless there were too many.
    pub(super) fn events_since(&self, id: &MemberId) -> Option<Vec<Arc<RoomEvent>>> {
        match self.seats.get(id) {
            Some(Seat::Reserved(backlog)) => backlog.events(),
            _ => None,
        }
    }

    /// Takes the events and messages since a seat was reserved.
    ///
    /// # Errors
    /// `unavailable` if there were too many.
    pub(super) fn take_backlog(&mut self, id: &MemberId) -> Result<Vec<Kept>, Fault> {
        match self.seats.get_mut(id) {
            Some(Seat::Reserved(backlog)) => backlog.take(),
            _ => Ok(Vec::new()),
        }
    }

    /// Seats a member that has received the room at version `knows`.
    pub(super) fn seat(&mut self, member: &Arc<ConnectedMember>, knows: u64) {
        let (id, member) = (member.id.clone(), Arc::clone(member));
        self.seats.insert(id, Seat::Taken { member, knows });
    }

    /// Adds an event to the backlog of each reserved seat.
    pub(super) fn keep(&mut self, event: &Arc<RoomEvent>) {
        for seat in self.seats.values_mut() {
            if let Seat::Reserved(backlog) = seat {
                backlog.event(event);
            }
        }
    }

    /// Notifies each member of an event, unless it knows of it: the answer to its join may come
    /// before the events up to it.
    pub(super) fn notify_event(&mut self, event: &RoomEvent) {
        let mut encoded = None;
        for seat in self.seats.values_mut() {
            if let Seat::Taken { member, knows } = seat
                && *knows < event.version
            {
                *knows = event.version;
                if !concerns(event, &member.id) {
                    let frame = encoded.get_or_insert_with(|| Notice::Room(event).frame());
                    notify(&*member.outlet, &self.counters, frame);
                }
            }
        }
    }

    /// Sends a message to its recipients on this node.
    pub(super) fn notify_message(&mut self, signal: &Signal) {
        let Signal::Message {
            version,
            from,
            to,
            topic,
            data,
            attachments,
        } = signal
        else {
            return;
        };
        let frame = Notice::Message {
            from,
            topic: topic.as_deref(),
            data,
            attachments,
        }
        .frame();
        match to {
            Some(to) => {
                for id in to {
                    if let Some(seat) = self.seats.get_mut(id) {
                        seat.send_message(*version, &frame, &self.counters);
                    }
                }
            }
            None => {
                for (id, seat) in &mut self.seats {
                    if id != from {
                        seat.send_message(*version, &frame, &self.counters);
                    }
                }
            }
        }
    }
}

impl Seat {
    fn send_message(&mut self, version: u64, message: &Frame, counters: &Counters) {
        match self {
            Self::Reserved(backlog) => backlog.message(version, message),
            Self::Taken { member, .. } => notify(&*member.outlet, counters, message),
        }
    }
}

/// Returns whether an event is a member's own arrival or departure, of which it is not notified.
fn concerns(event: &RoomEvent, member: &MemberId) -> bool {
    match &event.change {
        Change::MemberJoined(joined) => joined.id == *member,
        Change::MemberLeft { id, .. } => id == member,
        _ => false,
    }
}
