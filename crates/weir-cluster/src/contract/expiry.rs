//! Expiry of rooms without members.

use std::time::Duration;

use futures_util::future::join_all;
use weir_protocol::{Change, CloseReason};

use super::{
    Backend, StoreOptions,
    support::{ContractNode, new_member, room},
};
use crate::DirectoryError;

const MARGIN: Duration = Duration::from_secs(5);

/// Time until the rooms of the cases expire.
fn ttl() -> Duration {
    StoreOptions::default().empty_ttl
}

pub async fn a_room_that_nobody_joins_expires(backend: &dyn Backend) {
    let (store, [a, b]) = ContractNode::several(backend).await;
    let id = room("hall");
    a.create(&id, 10).await;
    let _watch = b.watch(&id).await;
    store.advance(ttl() - MARGIN).await;
    let snapshot = b.directory.snapshot(&id).await;
    assert!(snapshot.is_ok(), "it went too early");
    store.advance(MARGIN * 2).await;
    let events = b.inbox.events_until_closed(&id).await;
    let reason = CloseReason::Expired;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].change, Change::RoomClosed { reason });
    assert_eq!(events[0].version, 1);
    let missing = DirectoryError::RoomNotFound(id.clone());
    assert_eq!(a.directory.snapshot(&id).await, Err(missing.clone()));
    let joined = a.directory.join(&id, new_member("ann")).await;
    assert_eq!(joined, Err(missing));
}

pub async fn joining_keeps_a_room(backend: &dyn Backend) {
    let (store, [a, b]) = ContractNode::several(backend).await;
    let id = room("hall");
    a.create(&id, 10).await;
    store.advance(ttl() - MARGIN).await;
    b.join(&id, "ben").await;
    store.advance(ttl() * 3).await;
    b.join(&id, "bob").await;
    b.leave(&id, "ben").await;
    store.advance(ttl() * 3).await;
    b.leave(&id, "bob").await;
    // The time starts anew when the last member leaves.
    store.advance(ttl() - MARGIN).await;
    let joined = a.join(&id, "ann").await;
    assert_eq!(joined.snapshot.version, 5);
    a.leave(&id, "ann").await;
    let _watch = a.watch(&id).await;
    store.advance(ttl() + MARGIN).await;
    let events = a.inbox.events_until_closed(&id).await;
    assert_eq!(events[0].version, 7);
}

pub async fn each_room_expires_at_its_time(backend: &dyn Backend) {
    let (store, [a, b]) = ContractNode::several(backend).await;
    let rooms = ["one", "two", "three"].map(room);
    let mut watches = Vec::new();
    for id in &rooms {
        a.create(id, 10).await;
        watches.push(b.watch(id).await);
        store.advance(MARGIN).await;
    }
    store.advance(ttl() - 3 * MARGIN - MARGIN / 2).await;
    for gone in 0..=rooms.len() {
        for (n, id) in rooms.iter().enumerate() {
            if n < gone {
                b.inbox.events_until_closed(id).await;
            } else {
                let snapshot = b.directory.snapshot(id).await;
                assert!(snapshot.is_ok(), "{id} went too early");
            }
        }
        store.advance(MARGIN).await;
    }
}

pub async fn a_room_created_again_has_its_own_time(backend: &dyn Backend) {
    let (store, [a]) = ContractNode::several(backend).await;
    let id = room("hall");
    a.create(&id, 10).await;
    let _watch = a.watch(&id).await;
    store.advance(ttl() + MARGIN).await;
    a.inbox.events_until_closed(&id).await;
    a.create(&id, 20).await;
    store.advance(ttl() - MARGIN).await;
    let snapshot = a.directory.snapshot(&id).await.expect("it went too early");
    assert_eq!((snapshot.room.max_members, snapshot.version), (20, 0));
    store.advance(MARGIN * 2).await;
    let events = a.inbox.events_until(&id, 2).await;
    assert_eq!(events[1].version, 1);
}

/// A join at the moment of expiry finds a room that stays, or none.
pub async fn joining_at_the_last_moment_finds_the_room_or_none(backend: &dyn Backend) {
    let (store, [a, b]) = ContractNode::several(backend).await;
    let rooms: Vec<_> = (0..50).map(|n| room(&format!("r{n}"))).collect();
    let mut watches = Vec::new();
    for id in &rooms {
        watches.push(b.watch(id).await);
        a.create(id, 10).await;
    }
    let joins = rooms.iter().map(|id| {
        let (node, id, store) = (b.clone(), id.clone(), store.clone());
        tokio::spawn(async move {
            store.advance(ttl()).await;
            node.directory.join(&id, new_member("ben")).await
        })
    });
    let outcomes = join_all(joins).await;
    store.advance(ttl() * 2).await;
    for (id, outcome) in rooms.iter().zip(outcomes) {
        match outcome.expect("no case panics") {
            Ok(joined) => {
                let snapshot = a.directory.snapshot(id).await;
                assert_eq!(
                    snapshot,
                    Ok(joined.snapshot),
                    "{id} went with a member in it"
                );
                let events = b.inbox.events_until(id, 1).await;
                assert_eq!(events[0].change, Change::MemberJoined(joined.member));
            }
            Err(error) => {
                assert_eq!(error, DirectoryError::RoomNotFound(id.clone()));
                let events = b.inbox.events_until_closed(id).await;
                assert_eq!(events.len(), 1);
            }
        }
    }
}

pub async fn a_watch_may_come_before_its_room_and_outlive_it(backend: &dyn Backend) {
    let (store, [a, b]) = ContractNode::several(backend).await;
    let id = room("hall");
    let _watch = b.watch(&id).await;
    for round in 0..2 {
        a.create(&id, 10).await;
        a.join(&id, "ann").await;
        a.leave(&id, "ann").await;
        b.inbox.events_until(&id, 3 * round + 2).await;
        store.advance(StoreOptions::default().empty_ttl * 2).await;
        let events = b.inbox.events_until_closed(&id).await;
        assert_eq!(events.len(), 3 * round + 3);
        let last = &events[3 * round + 2];
        let reason = CloseReason::Expired;
        assert_eq!(last.change, Change::RoomClosed { reason });
        assert_eq!(last.version, 3, "a room that is created again starts anew");
    }
}

/// A simulation in which rooms expire.
pub async fn nodes_agree_while_time_passes(backend: &dyn Backend) {
    super::simulation::simulate(backend, true).await;
}
