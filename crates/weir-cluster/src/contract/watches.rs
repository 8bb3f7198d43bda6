//! Delivery of events to watching nodes.

use futures_util::future::join_all;
use weir_protocol::MemberId;

use super::{
    Backend, View,
    support::{ContractNode, room},
};

/// Changes a room a few times, by members of one node.
async fn be_busy(node: ContractNode, room: weir_protocol::RoomId, name: String) {
    for round in 0..5 {
        // Ids are never reused.
        let id = format!("{name}-{round}");
        node.join(&room, &id).await;
        node.publish(&room, &id).await;
        node.rename(&room, &id, &format!("round {round}")).await;
        let track = node.publish(&room, &id).await.id;
        let member = MemberId::new(&id);
        let gone = node.directory.unpublish(&room, &member, track).await;
        gone.expect("the track is its own");
        node.leave(&room, &id).await;
    }
}

/// Number of events of [`be_busy`].
const BUSY: usize = 5 * 7;

pub async fn every_node_sees_the_same_events_in_order(backend: &dyn Backend) {
    let (_store, nodes) = ContractNode::several::<4>(backend).await;
    let id = room("hall");
    nodes[0].create(&id, 100).await;
    let watches = join_all(nodes.iter().map(|node| node.watch(&id))).await;
    let busy = (0..8).zip(nodes.iter().cycle());
    let busy =
        busy.map(|(n, node)| tokio::spawn(be_busy(node.clone(), id.clone(), format!("m{n}"))));
    for outcome in join_all(busy).await {
        outcome.expect("no case panics");
    }
    let first = nodes[0].inbox.events_until(&id, 8 * BUSY).await;
    let mut view = View::default();
    for event in &first {
        view.apply(event);
    }
    let snapshot = nodes[0].directory.snapshot(&id).await.expect("it is there");
    view.assert_is(&snapshot);
    for node in &nodes[1..] {
        let events = node.inbox.events_until(&id, first.len()).await;
        assert_eq!(events, first);
    }
    drop(watches);
}

pub async fn a_snapshot_and_later_events_are_the_room(backend: &dyn Backend) {
    let (_store, nodes) = ContractNode::several::<2>(backend).await;
    let [a, b] = &nodes;
    let id = room("hall");
    a.create(&id, 100).await;
    let busy = (0..4).map(|n| tokio::spawn(be_busy(a.clone(), id.clone(), format!("a{n}"))));
    let busy: Vec<_> = busy.collect();
    let _watch = b.watch(&id).await;
    let joined = b.join(&id, "ben").await;
    for outcome in join_all(busy).await {
        outcome.expect("no case panics");
    }
    let snapshot = b.directory.snapshot(&id).await.expect("it is there");
    assert_eq!(snapshot.version, 1 + 4 * BUSY as u64);
    let mut view = View::from(joined.snapshot);
    let mut count = 0;
    while view.version() < snapshot.version {
        count += 1;
        view.apply(&b.inbox.events_until(&id, count).await[count - 1]);
    }
    view.assert_is(&snapshot);
}

pub async fn a_dropped_watch_receives_no_more_events(backend: &dyn Backend) {
    let (_store, [a, b]) = ContractNode::several(backend).await;
    let (id, other) = (room("hall"), room("cellar"));
    a.create(&id, 10).await;
    a.create(&other, 10).await;
    let watch = b.watch(&id).await;
    let _other = b.watch(&other).await;
    let _still = a.watch(&id).await;
    a.join(&id, "ann").await;
    b.inbox.events_until(&id, 1).await;
    drop(watch);
    a.rename(&id, "ann", "Ann").await;
    a.join(&other, "amy").await;
    // Events are ordered: the earlier one was not delivered.
    b.inbox.events_until(&other, 1).await;
    a.inbox.events_until(&id, 2).await;
    assert_eq!(b.inbox.events(&id).len(), 1);

    let _again = b.watch(&id).await;
    a.leave(&id, "ann").await;
    let events = b.inbox.events_until(&id, 2).await;
    assert_eq!(events[1].version, 3);
}

pub async fn two_watches_receive_each_event_once(backend: &dyn Backend) {
    let (_store, [a]) = ContractNode::several(backend).await;
    let id = room("hall");
    a.create(&id, 10).await;
    let first = a.watch(&id).await;
    let second = a.watch(&id).await;
    a.join(&id, "ann").await;
    drop(first);
    a.join(&id, "ben").await;
    a.join(&id, "cat").await;
    let events = a.inbox.events_until(&id, 3).await;
    let versions: Vec<u64> = events.iter().map(|event| event.version).collect();
    assert_eq!(versions, [1, 2, 3]);
    drop(second);
}
