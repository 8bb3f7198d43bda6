//! Seats of this node, of which it is the only authority.

use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map},
    sync::Arc,
};

use parking_lot::Mutex;
use weir_protocol::{LeaveReason, Member, MemberId, RoomId};

use super::incarnation::Incarnation;

/// Maximum number of departures from lost rooms whose reasons are kept.
const REASONS: usize = 1_024;

/// Seats of this node's members, from before a join is sent until Redis has confirmed the departure.
///
/// A seat in Redis that names this node, and is not here, is a ghost: reconciling removes it.
#[derive(Debug)]
pub(crate) struct OwnSeats {
    /// Incarnation that owns the seats. Held only to read or replace it.
    owner: Mutex<Incarnation>,
    /// Held only to read or change the table.
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    rooms: HashMap<RoomId, HashMap<MemberId, Seat>>,
    /// Seats in state `Leaving` that no task removes at the moment.
    pending: HashSet<(RoomId, MemberId)>,
    /// Reasons of departures from rooms that Redis had lost, for the case that another node restores the seat.
    reasons: VecDeque<(RoomId, MemberId, LeaveReason)>,
}

#[derive(Debug)]
struct Seat {
    state: State,
    /// A write of this seat has an unknown outcome, and may still arrive.
    uncertain: bool,
}

#[derive(Debug)]
enum State {
    /// The join is on its way.
    Joining,
    /// The member as it joined.
    Held(Member),
    /// The member has left; Redis has not confirmed it yet.
    Leaving(LeaveReason),
}

impl Table {
    fn seat(&mut self, room: &RoomId, member: &MemberId) -> Option<&mut Seat> {
        self.rooms.get_mut(room)?.get_mut(member)
    }

    fn remove(&mut self, room: &RoomId, member: &MemberId) {
        self.pending.remove(&(room.clone(), member.clone()));
        if let hash_map::Entry::Occupied(mut seats) = self.rooms.entry(room.clone()) {
            seats.get_mut().remove(member);
            if seats.get().is_empty() {
                seats.remove();
            }
        }
    }
}

impl OwnSeats {
    /// Creates the empty table of a new node.
    pub(crate) fn new() -> Self {
        Self {
            owner: Mutex::new(Incarnation::first()),
            table: Mutex::default(),
        }
    }

    /// Returns the incarnation that owns the seats.
    pub(crate) fn owner(&self) -> Incarnation {
        self.owner.lock().clone()
    }

    /// Starts the next incarnation: the lease of the current one has expired.
    pub(crate) fn renew(&self) -> Incarnation {
        let mut owner = self.owner.lock();
        *owner = owner.next();
        owner.clone()
    }

    /// Whether a seat names this node, which does not hold it.
    pub(crate) fn is_ghost(&self, room: &RoomId, member: &MemberId, owner: &Incarnation) -> bool {
        self.owner.lock().owns(owner) && !self.knows(room, member)
    }

    /// Registers the seat of a member whose join is about to be sent.
    pub(crate) fn join(self: &Arc<Self>, room: &RoomId, member: &MemberId) -> Joining {
        let mut table = self.table.lock();
        let seats = table.rooms.entry(room.clone()).or_default();
        let new = !seats.contains_key(member);
        if new {
            let seat = Seat {
                state: State::Joining,
                uncertain: false,
            };
            seats.insert(member.clone(), seat);
        }
        drop(table);
        Joining {
            seats: Arc::clone(self),
            room: room.clone(),
            member: member.clone(),
            settled: !new,
        }
    }

    /// Starts a departure, of a member with or without a seat.
    pub(crate) fn depart(
        self: &Arc<Self>,
        room: &RoomId,
        member: &MemberId,
        reason: LeaveReason,
    ) -> Departing {
        let mut table = self.table.lock();
        table.pending.remove(&(room.clone(), member.clone()));
        let seat = table.seat(room, member);
        let known = seat.is_some();
        let mut uncertain = false;
        if let Some(seat) = seat {
            seat.state = State::Leaving(reason);
            uncertain = seat.uncertain;
        }
        drop(table);
        Departing {
            seats: Arc::clone(self),
            room: room.clone(),
            member: member.clone(),
            reason,
            uncertain,
            settled: !known,
        }
    }

    /// Returns the departures that Redis has not confirmed and no task works on, to try each again.
    pub(crate) fn pending(self: &Arc<Self>) -> Vec<Departing> {
        let pending = std::mem::take(&mut self.table.lock().pending);
        let reason =
            |(room, member): &(RoomId, MemberId)| match self.table.lock().seat(room, member)?.state
            {
                State::Leaving(reason) => Some(reason),
                State::Joining | State::Held(_) => None,
            };
        let pending = pending.into_iter();
        pending
            .filter_map(|seat| Some(self.depart(&seat.0, &seat.1, reason(&seat)?)))
            .collect()
    }

    /// Whether this node holds a seat, or is on its way to take or leave it.
    pub(crate) fn knows(&self, room: &RoomId, member: &MemberId) -> bool {
        self.table.lock().seat(room, member).is_some()
    }

    /// Whether a member of this node is in the room and stays.
    pub(crate) fn holds(&self, room: &RoomId, member: &MemberId) -> bool {
        let mut table = self.table.lock();
        let seat = table.seat(room, member);
        seat.is_some_and(|seat| matches!(seat.state, State::Held(_)))
    }

    /// Returns this node's members of a room, as they joined.
    pub(crate) fn held(&self, room: &RoomId) -> Vec<Member> {
        let table = self.table.lock();
        let seats = table.rooms.get(room).into_iter().flat_map(HashMap::values);
        seats
            .filter_map(|seat| match &seat.state {
                State::Held(member) => Some(member.clone()),
                State::Joining | State::Leaving(_) => None,
            })
            .collect()
    }

    /// Returns all seats, in whatever state.
    pub(crate) fn all(&self) -> Vec<(RoomId, Vec<MemberId>)> {
        let table = self.table.lock();
        let rooms = table.rooms.iter();
        rooms
            .map(|(room, seats)| (room.clone(), seats.keys().cloned().collect()))
            .collect()
    }

    /// Starts to reclaim a seat. Returns false if its member is leaving, or has left. Until the reclaim has an answer,
    /// a departure fences off the member, since the reclaim may arrive after it.
    pub(crate) fn start_reclaim(&self, room: &RoomId, member: &MemberId) -> bool {
        match self.table.lock().seat(room, member) {
            Some(seat) if matches!(seat.state, State::Held(_)) => {
                seat.uncertain = true;
                true
            }
            _ => false,
        }
    }

    /// Records the answer to a reclaim.
    pub(crate) fn reclaimed(&self, room: &RoomId, member: &MemberId) {
        if let Some(seat) = self.table.lock().seat(room, member) {
            seat.uncertain = false;
        }
    }

    /// Gives up a seat that another node owns by now.
    pub(crate) fn lose(&self, room: &RoomId, member: &MemberId) {
        self.table.lock().remove(room, member);
    }

    /// Returns the reason of an earlier departure, if it is known.
    pub(crate) fn reason(&self, room: &RoomId, member: &MemberId) -> LeaveReason {
        let table = self.table.lock();
        let mut reasons = table.reasons.iter();
        let known = reasons.find(|(of, id, _)| of == room && id == member);
        known.map_or(LeaveReason::Disconnected, |(_, _, reason)| *reason)
    }
}

/// A join that is on its way. Dropped without an outcome, it becomes a departure: the member may be seated.
#[derive(Debug)]
pub(crate) struct Joining {
    seats: Arc<OwnSeats>,
    room: RoomId,
    member: MemberId,
    settled: bool,
}

impl Joining {
    /// The member is seated.
    pub(crate) fn seated(mut self, member: Member) {
        self.settled = true;
        if let Some(seat) = self.seats.table.lock().seat(&self.room, &self.member) {
            seat.state = State::Held(member);
        }
    }

    /// Redis has refused the join.
    pub(crate) fn refused(mut self) {
        if !std::mem::replace(&mut self.settled, true) {
            self.seats.table.lock().remove(&self.room, &self.member);
        }
    }
}

impl Drop for Joining {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let mut table = self.seats.table.lock();
        if let Some(seat) = table.seat(&self.room, &self.member) {
            seat.state = State::Leaving(LeaveReason::Disconnected);
            seat.uncertain = true;
            let seat = (self.room.clone(), self.member.clone());
            table.pending.insert(seat);
        }
    }
}

/// A departure that is on its way. Dropped without an outcome, it is pending: the room is in doubt until Redis
/// answers again.
#[derive(Debug)]
pub(crate) struct Departing {
    seats: Arc<OwnSeats>,
    pub(crate) room: RoomId,
    pub(crate) member: MemberId,
    pub(crate) reason: LeaveReason,
    /// A delayed write may seat the member again.
    pub(crate) uncertain: bool,
    settled: bool,
}

impl Departing {
    /// Redis has removed the seat.
    pub(crate) fn confirmed(mut self) {
        self.settled = true;
        self.seats.table.lock().remove(&self.room, &self.member);
    }

    /// Redis had no such seat. A node with an earlier state of the room may restore it.
    pub(crate) fn missing(mut self) {
        let known = !std::mem::replace(&mut self.settled, true);
        let mut table = self.seats.table.lock();
        table.remove(&self.room, &self.member);
        if known {
            if table.reasons.len() == REASONS {
                table.reasons.pop_front();
            }
            let departure = (self.room.clone(), self.member.clone(), self.reason);
            table.reasons.push_back(departure);
        }
    }
}

impl Drop for Departing {
    fn drop(&mut self) {
        if !self.settled {
            let seat = (self.room.clone(), self.member.clone());
            let mut table = self.seats.table.lock();
            if table.seat(&self.room, &self.member).is_some() {
                table.pending.insert(seat);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_protocol::Json;

    use super::*;

    fn ids() -> (RoomId, MemberId) {
        (RoomId::made("hall"), MemberId::new("ann"))
    }

    fn member(id: &MemberId) -> Member {
        Member {
            id: id.clone(),
            name: String::new(),
            metadata: Json::empty_object(),
            joined_at: 0,
        }
    }

    #[test]
    fn cancelled_join_becomes_uncertain_departure() {
        let seats = Arc::new(OwnSeats::new());
        let (room, ann) = ids();
        let joining = seats.join(&room, &ann);
        assert!(seats.knows(&room, &ann) && !seats.holds(&room, &ann));
        assert!(seats.pending().is_empty());
        drop(joining);
        let [departing] = &seats.pending()[..] else {
            panic!("one departure");
        };
        assert!(departing.uncertain);
        assert_eq!(departing.reason, LeaveReason::Disconnected);
        assert!(seats.pending().is_empty(), "somebody works on it");
    }

    #[test]
    fn seats_of_this_node_that_it_does_not_hold_are_ghosts() {
        let seats = Arc::new(OwnSeats::new());
        let (room, ann) = ids();
        let first = seats.owner();
        assert!(seats.is_ghost(&room, &ann, &first));
        assert!(!seats.is_ghost(&room, &ann, &Incarnation::first()));
        let _joining = seats.join(&room, &ann);
        assert!(!seats.is_ghost(&room, &ann, &first));
        let ben = MemberId::new("ben");
        let second = seats.renew();
        assert!(seats.is_ghost(&room, &ben, &first) && seats.is_ghost(&room, &ben, &second));
        assert!(!seats.is_ghost(&room, &ben, &second.next()));
    }

    #[test]
    fn departure_during_a_reclaim_fences_the_member_off() {
        let seats = Arc::new(OwnSeats::new());
        let (room, ann) = ids();
        assert!(!seats.start_reclaim(&room, &ann));
        seats.join(&room, &ann).seated(member(&ann));
        assert!(seats.start_reclaim(&room, &ann));
        seats.reclaimed(&room, &ann);
        assert!(seats.start_reclaim(&room, &ann));
        let departing = seats.depart(&room, &ann, LeaveReason::Left);
        assert!(departing.uncertain);
        assert!(!seats.start_reclaim(&room, &ann));
    }

    #[test]
    fn refused_join_leaves_no_seat() {
        let seats = Arc::new(OwnSeats::new());
        let (room, ann) = ids();
        seats.join(&room, &ann).refused();
        assert!(!seats.knows(&room, &ann));
        assert!(seats.all().is_empty());
    }

    #[test]
    fn refused_second_join_keeps_seat() {
        let seats = Arc::new(OwnSeats::new());
        let (room, ann) = ids();
        seats.join(&room, &ann).seated(member(&ann));
        seats.join(&room, &ann).refused();
        drop(seats.join(&room, &ann));
        assert!(seats.holds(&room, &ann));
        assert!(seats.pending().is_empty());
    }

    #[test]
    fn unconfirmed_departure_stays_pending_with_its_reason() {
        let seats = Arc::new(OwnSeats::new());
        let (room, ann) = ids();
        seats.join(&room, &ann).seated(member(&ann));
        drop(seats.depart(&room, &ann, LeaveReason::Left));
        assert!(seats.knows(&room, &ann) && !seats.holds(&room, &ann));
        for _ in 0..2 {
            let pending = seats.pending();
            assert_eq!(pending.len(), 1);
            assert_eq!(pending[0].reason, LeaveReason::Left);
        }
        seats.pending().remove(0).confirmed();
        assert!(!seats.knows(&room, &ann) && seats.pending().is_empty());
    }

    #[test]
    fn departure_from_lost_room_keeps_its_reason() {
        let seats = Arc::new(OwnSeats::new());
        let (room, ann) = ids();
        assert_eq!(seats.reason(&room, &ann), LeaveReason::Disconnected);
        seats.depart(&room, &ann, LeaveReason::Kicked).missing();
        assert_eq!(seats.reason(&room, &ann), LeaveReason::Disconnected);
        seats.join(&room, &ann).seated(member(&ann));
        seats.depart(&room, &ann, LeaveReason::Left).missing();
        assert_eq!(seats.reason(&room, &ann), LeaveReason::Left);
        assert!(!seats.knows(&room, &ann));
    }
}
