use std::collections::BTreeMap;

use weir_protocol::{Json, Room};

use super::*;
use crate::directory::node::incarnation::Incarnation;

#[derive(Debug, Default)]
struct Told(Mutex<Vec<(u64, String)>>);

impl Inbox for Told {
    fn room_event(&self, _: &RoomId, event: &Arc<RoomEvent>) {
        let what = match &event.change {
            Change::MemberJoined(member) => format!("+{}", member.id),
            Change::MemberLeft { id, .. } => format!("-{id}"),
            other => format!("{other:?}"),
        };
        self.0.lock().push((event.version, what));
    }
}

/// A room in which `own` is this node's member, at version 1, and the events that the inbox got.
struct Fixture {
    watched: WatchedRoom,
    seats: Arc<OwnSeats>,
    told: Arc<Told>,
    /// The node's incarnation, and one of another node.
    own: Incarnation,
    other: Incarnation,
}

fn hall() -> RoomId {
    RoomId::made("hall")
}

fn member(id: &str) -> Member {
    Member {
        id: MemberId::new(id),
        name: String::new(),
        metadata: Json::empty_object(),
        joined_at: 0,
    }
}

fn seated(id: &str, owner: &Incarnation) -> Seated {
    Seated {
        member: member(id),
        owner: owner.clone(),
        arrival: 1,
    }
}

fn mirror(version: u64, members: &[(&str, &Incarnation)]) -> Mirror {
    let members = members.iter().map(|(id, owner)| seated(id, owner));
    Mirror {
        room: Room {
            id: hall(),
            metadata: Json::empty_object(),
            max_members: 9,
            created_at: 0,
        },
        version,
        last_track: 0,
        arrivals: 1,
        members: members
            .map(|seated| (seated.member.id.clone(), seated))
            .collect(),
        tracks: BTreeMap::new(),
    }
}

fn event(version: u64, kind: EventKind) -> Event {
    Event {
        version,
        kind,
        trace: None,
    }
}

fn left(version: u64, id: &str, reason: LeaveReason) -> Event {
    let id = MemberId::new(id);
    event(
        version,
        EventKind::Change(Change::MemberLeft { id, reason }),
    )
}

fn restored(version: u64) -> Event {
    event(version, EventKind::Restored)
}

impl Fixture {
    fn empty() -> Self {
        let (told, seats) = (Arc::new(Told::default()), Arc::new(OwnSeats::new()));
        Self {
            watched: WatchedRoom::new(hall(), told.clone(), Arc::clone(&seats)),
            own: seats.owner(),
            other: Incarnation::first(),
            seats,
            told,
        }
    }

    fn new() -> Self {
        let this = Self::empty();
        this.hold("own");
        assert_eq!(this.watched.receive(this.joined(1, "own")), FollowUp::None);
        let found = mirror(1, &[("own", &this.own)]);
        assert_eq!(
            this.watched.joined(&MemberId::new("own"), found),
            FollowUp::None
        );
        this.told();
        this
    }

    /// Makes a member one of this node.
    fn hold(&self, id: &str) {
        let joining = self.seats.join(&hall(), &MemberId::new(id));
        joining.seated(member(id));
    }

    /// Returns the event of a join, at the other node unless this one holds the member.
    fn joined(&self, version: u64, id: &str) -> Event {
        let owner = match self.seats.knows(&hall(), &MemberId::new(id)) {
            true => &self.own,
            false => &self.other,
        };
        event(version, EventKind::Joined(seated(id, owner)))
    }

    fn told(&self) -> Vec<(u64, String)> {
        std::mem::take(&mut self.told.0.lock())
    }
}

fn told(version: u64, what: &str) -> (u64, String) {
    (version, what.to_owned())
}

#[test]
fn events_reach_the_inbox_once_and_in_order_before_and_after_the_join() {
    let this = Fixture::empty();
    let (watched, own, other) = (&this.watched, &this.own, &this.other);
    this.hold("own");
    // The answer to the join overtakes the events before it.
    let found = mirror(2, &[("own", own), ("a", other)]);
    assert_eq!(watched.joined(&MemberId::new("own"), found), FollowUp::None);
    assert_eq!(watched.receive(this.joined(1, "a")), FollowUp::None);
    assert_eq!(watched.receive(this.joined(2, "own")), FollowUp::None);
    assert_eq!(watched.receive(this.joined(2, "own")), FollowUp::None);
    assert_eq!(watched.receive(this.joined(3, "b")), FollowUp::None);
    let expected = [told(1, "+a"), told(2, "+own"), told(3, "+b")];
    assert_eq!(this.told(), expected);
}

#[test]
fn missing_event_starts_reconciliation_that_numbers_each_change() {
    let this = Fixture::new();
    let (watched, own, other) = (&this.watched, &this.own, &this.other);
    assert_eq!(watched.receive(this.joined(4, "c")), FollowUp::Reconcile);
    assert_eq!(watched.receive(this.joined(5, "d")), FollowUp::None);
    let found = mirror(4, &[("own", own), ("b", other), ("c", other)]);
    let (_, missing) = watched.compare(Some(&found)).expect("a mirror");
    assert!(missing.is_empty());
    assert!(matches!(watched.reconcile(found), Reconciled::Done));
    let mut all = this.told();
    all[..2].sort_by(|left, right| left.1.cmp(&right.1));
    let names: Vec<_> = all.iter().map(|(_, what)| what.as_str()).collect();
    assert_eq!(names, ["+b", "+c", "+d"]);
    assert_eq!(all[2].0, 5);
}

#[test]
fn changes_wait_until_each_has_a_version() {
    let this = Fixture::new();
    let (watched, own, other) = (&this.watched, &this.own, &this.other);
    assert!(watched.doubt());
    let found = |version| mirror(version, &[("own", own), ("b", other), ("c", other)]);
    assert!(matches!(watched.reconcile(found(2)), Reconciled::Short(2)));
    assert_eq!(this.told(), []);
    assert!(matches!(watched.reconcile(found(3)), Reconciled::Done));
    let versions: Vec<_> = this.told().iter().map(|(version, _)| *version).collect();
    assert_eq!(versions, [2, 3]);
}

#[test]
fn reaped_member_is_reclaimed_without_an_event() {
    let this = Fixture::new();
    let watched = &this.watched;
    assert_eq!(
        watched.receive(left(2, "own", LeaveReason::NodeLost)),
        FollowUp::Reconcile
    );
    let second = this.seats.renew();
    let (known, missing) = watched.compare(Some(&mirror(2, &[]))).expect("a mirror");
    assert_eq!(missing, [member("own")]);
    assert!(known.members.contains_key(&missing[0].id));
    let found = mirror(3, &[("own", &second)]);
    let (_, missing) = watched.compare(Some(&found)).expect("a mirror");
    assert!(missing.is_empty());
    assert!(matches!(watched.reconcile(found), Reconciled::Done));
    assert_eq!(this.told(), []);
    // A seat of the earlier incarnation would be reaped.
    let old = mirror(4, &[("own", &this.own)]);
    let (_, missing) = watched.compare(Some(&old)).expect("a mirror");
    assert_eq!(missing.len(), 1);
}

#[test]
fn member_that_joined_before_a_restore_is_reclaimed() {
    let this = Fixture::new();
    let (watched, own) = (&this.watched, &this.own);
    this.hold("new");
    let again = mirror(1, &[("new", own)]);
    assert_eq!(
        watched.joined(&MemberId::new("new"), again),
        FollowUp::Reconcile
    );
    let restored = mirror(2, &[("own", own)]);
    let (_, missing) = watched.compare(Some(&restored)).expect("a mirror");
    assert_eq!(missing, [member("new")]);
}

#[test]
fn restored_room_is_reconciled_whatever_its_version() {
    let this = Fixture::new();
    assert_eq!(this.watched.receive(restored(1)), FollowUp::Reconcile);
    let found = mirror(1, &[("own", &this.own)]);
    assert!(matches!(this.watched.reconcile(found), Reconciled::Done));
    assert_eq!(this.told(), []);
}

#[test]
fn doubt_during_a_reconciliation_repeats_it() {
    let this = Fixture::new();
    let watched = &this.watched;
    assert!(watched.doubt());
    assert!(!watched.doubt());
    let found = || mirror(1, &[("own", &this.own)]);
    assert!(matches!(watched.reconcile(found()), Reconciled::Behind));
    assert!(matches!(watched.reconcile(found()), Reconciled::Done));
    assert!(watched.doubt());
}

#[test]
fn discarded_mirror_lets_events_of_a_new_room_through() {
    let this = Fixture::new();
    this.seats.lose(&hall(), &MemberId::new("own"));
    assert!(this.watched.doubt());
    assert_eq!(this.watched.receive(this.joined(1, "new")), FollowUp::None);
    assert_eq!(this.told(), []);
    this.watched.forget();
    assert_eq!(
        this.watched.receive(this.joined(2, "newer")),
        FollowUp::None
    );
    assert_eq!(this.told(), [told(1, "+new"), told(2, "+newer")]);
    assert!(!this.watched.doubt(), "there is nothing to reconcile");
}

#[test]
fn departure_of_an_own_member_reaches_the_inbox() {
    let this = Fixture::new();
    let own = MemberId::new("own");
    let departing = this.seats.depart(&hall(), &own, LeaveReason::Left);
    this.watched.leaving(&own);
    assert_eq!(
        this.watched.receive(left(2, "own", LeaveReason::Left)),
        FollowUp::None
    );
    departing.confirmed();
    assert_eq!(this.told(), [told(2, "-own")]);
}

#[test]
fn ghosts_of_this_node_are_to_be_removed_without_hiding_an_event() {
    let this = Fixture::new();
    let ghost = || FollowUp::RemoveGhosts(vec![MemberId::new("ghost")]);
    // A delayed join has arrived after its member was given up.
    let delayed = event(2, EventKind::Joined(seated("ghost", &this.own)));
    assert_eq!(this.watched.receive(delayed), ghost());
    assert_eq!(this.told(), [told(2, "+ghost")]);

    // The room has a ghost when this node joins it again.
    let this = Fixture::empty();
    this.hold("own");
    let found = mirror(2, &[("own", &this.own), ("ghost", &this.own)]);
    let needed = this.watched.joined(&MemberId::new("own"), found);
    assert_eq!(needed, ghost());
}

#[test]
fn reason_of_a_departure_comes_from_the_event_that_a_snapshot_has_overtaken() {
    let this = Fixture::new();
    assert_eq!(this.watched.receive(this.joined(2, "b")), FollowUp::None);
    assert_eq!(this.watched.receive(restored(3)), FollowUp::Reconcile);
    assert_eq!(
        this.watched.receive(left(4, "b", LeaveReason::Kicked)),
        FollowUp::None
    );
    let state = this.watched.state.lock();
    let id = MemberId::new("b");
    let reason = LeaveReason::Disconnected;
    let mut changes = [Change::MemberLeft { id, reason }];
    add_reasons(&mut changes, &state.kept);
    let [Change::MemberLeft { reason, .. }] = changes else {
        panic!("one departure");
    };
    assert_eq!(reason, LeaveReason::Kicked);
}
