use std::collections::BTreeMap;

use weir_protocol::{Json, Room};

use super::*;
use crate::directory::mirror::Seated;

#[derive(Debug, Default)]
struct Told(Mutex<Vec<(u64, String)>>);

impl Inbox for Told {
    fn room_event(&self, _: &RoomId, event: &Arc<RoomEvent>) {
        let what = match &event.change {
            Change::MemberJoined(member) => format!("+{}", member.id),
            Change::MemberLeft { id, .. } => format!("-{id}"),
            other => format!("{other:?}"),
        };
        self.0
            .lock()
            .expect("nobody panicked")
            .push((event.version, what));
    }
}

fn seated(id: &str, node: &str) -> (MemberId, Seated) {
    let member = Member {
        id: MemberId::new(id),
        name: String::new(),
        metadata: Json::empty_object(),
        joined_at: 0,
    };
    let seat = format!("{node} 1");
    (member.id.clone(), Seated { member, seat })
}

fn mirror(version: u64, members: &[(&str, &str)]) -> Mirror {
    let room = Room {
        id: RoomId::made("hall"),
        metadata: Json::empty_object(),
        max_members: 9,
        created_at: 0,
    };
    Mirror {
        room,
        version,
        last_track: 0,
        arrivals: 1,
        members: members.iter().map(|(id, node)| seated(id, node)).collect(),
        tracks: BTreeMap::new(),
    }
}

fn joined(version: u64, id: &str) -> Event {
    let (_, Seated { seat, member }) = seated(id, "n");
    Event {
        version,
        kind: Kind::Joined { seat, member },
        trace: None,
    }
}

fn left(version: u64, id: &str, reason: LeaveReason) -> Event {
    let id = MemberId::new(id);
    Event {
        version,
        kind: Kind::Change(Change::MemberLeft { id, reason }),
        trace: None,
    }
}

/// Returns a room in which `own` is this node's member, at version 1, and its recorded events.
fn watched() -> (Watched, Arc<Told>) {
    let told = Arc::new(Told::default());
    let watched = Watched::new(RoomId::made("hall"), told.clone());
    assert!(!watched.take(joined(1, "own")));
    assert!(!watched.joined(&MemberId::new("own"), mirror(1, &[("own", "n")])));
    (watched, told)
}

fn told(told: &Told) -> Vec<(u64, String)> {
    std::mem::take(&mut told.0.lock().expect("nobody panicked"))
}

fn event(version: u64, what: &str) -> (u64, String) {
    (version, what.to_owned())
}

#[test]
fn events_are_told_once_and_in_order_whatever_comes_first() {
    let told_by = Arc::new(Told::default());
    let watched = Watched::new(RoomId::made("hall"), told_by.clone());
    // The answer to the join overtakes the events before it.
    let found = mirror(2, &[("own", "n"), ("a", "m")]);
    assert!(!watched.joined(&MemberId::new("own"), found));
    assert!(!watched.take(joined(1, "a")));
    assert!(!watched.take(joined(2, "own")));
    assert!(!watched.take(joined(2, "own")));
    assert!(!watched.take(joined(3, "b")));
    assert_eq!(
        told(&told_by),
        [event(1, "+a"), event(2, "+own"), event(3, "+b")]
    );
}

#[test]
fn a_missing_event_is_found_by_comparing_and_told_with_a_version_of_its_own() {
    let (watched, inbox) = watched();
    told(&inbox);
    assert!(watched.take(joined(4, "c")), "it must be repaired");
    assert!(!watched.take(joined(5, "d")), "somebody does so already");
    let found = mirror(4, &[("own", "n"), ("b", "m"), ("c", "m")]);
    let (_, missing) = watched.compare(Some(&found), "n").expect("a mirror");
    assert!(missing.is_empty());
    assert!(matches!(watched.repair(found), Repaired::Done));
    let mut all = told(&inbox);
    all[..2].sort_by(|left, right| left.1.cmp(&right.1));
    let names: Vec<_> = all.iter().map(|(_, what)| what.as_str()).collect();
    assert_eq!(names, ["+b", "+c", "+d"]);
    assert_eq!(all[2].0, 5);
}

#[test]
fn more_changes_than_versions_are_not_told_yet() {
    let (watched, inbox) = watched();
    told(&inbox);
    assert!(watched.doubt());
    let found = |version| mirror(version, &[("own", "n"), ("b", "m"), ("c", "m")]);
    assert!(matches!(watched.repair(found(2)), Repaired::Short(2)));
    assert_eq!(told(&inbox), []);
    assert!(matches!(watched.repair(found(3)), Repaired::Done));
    let versions: Vec<_> = told(&inbox).iter().map(|(version, _)| *version).collect();
    assert_eq!(versions, [2, 3]);
}

#[test]
fn who_is_taken_for_dead_is_not_told_so_but_seated_again() {
    let (watched, inbox) = watched();
    told(&inbox);
    assert!(watched.take(left(2, "own", LeaveReason::NodeLost)));
    let found = mirror(2, &[]);
    let (known, missing) = watched.compare(Some(&found), "n2").expect("a mirror");
    assert_eq!(missing.len(), 1);
    assert!(known.members.contains_key(&missing[0].id));
    let found = mirror(3, &[("own", "n2")]);
    let (_, missing) = watched.compare(Some(&found), "n2").expect("a mirror");
    assert!(missing.is_empty());
    assert!(matches!(watched.repair(found), Repaired::Done));
    assert_eq!(told(&inbox), []);
    // A member recorded under the old node id would be reaped.
    let old = mirror(4, &[("own", "n")]);
    let (_, missing) = watched.compare(Some(&old), "n2").expect("a mirror");
    assert_eq!(missing.len(), 1);
}

#[test]
fn who_joined_a_room_that_was_written_back_since_is_seated_again() {
    let (watched, _) = watched();
    let again = mirror(1, &[("new", "n")]);
    assert!(
        watched.joined(&MemberId::new("new"), again),
        "it is looked for"
    );
    let restored = mirror(2, &[("own", "n")]);
    let (_, missing) = watched.compare(Some(&restored), "n").expect("a mirror");
    assert_eq!(missing, [seated("new", "n").1.member]);
}

#[test]
fn a_room_that_was_written_anew_is_looked_at_whatever_its_version() {
    let (watched, inbox) = watched();
    let restored = |version| Event {
        version,
        kind: Kind::Restored,
        trace: None,
    };
    told(&inbox);
    assert!(watched.take(restored(1)));
    assert!(matches!(
        watched.repair(mirror(1, &[("own", "n")])),
        Repaired::Done
    ));
    assert_eq!(told(&inbox), []);
}

#[test]
fn a_doubt_during_a_repair_has_it_done_again() {
    let (watched, _) = watched();
    assert!(watched.doubt());
    assert!(!watched.doubt());
    let found = || mirror(1, &[("own", "n")]);
    assert!(matches!(watched.repair(found()), Repaired::Behind));
    assert!(matches!(watched.repair(found()), Repaired::Done));
    assert!(watched.doubt());
}

#[test]
fn a_member_that_leaves_by_itself_is_told() {
    let (watched, inbox) = watched();
    told(&inbox);
    watched.leaving(&MemberId::new("own"));
    assert!(!watched.take(left(2, "own", LeaveReason::Left)));
    assert_eq!(told(&inbox), [event(2, "-own")]);
}
