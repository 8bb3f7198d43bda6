//! Creating rooms.

use futures_util::future::join_all;
use weir_protocol::{MemberId, TrackId};

use super::{
    Backend,
    support::{ContractNode, new_member, new_room, room},
};
use crate::DirectoryError;

pub async fn a_created_room_exists_for_every_node(backend: &dyn Backend) {
    let (_store, [a, b]) = ContractNode::several(backend).await;
    let id = room("hall");
    let new = new_room(&id, 7);
    let created = a.directory.create(new.clone()).await.expect("it is new");
    assert_eq!((&created.id, created.max_members), (&id, 7));
    assert_eq!(created.metadata, new.metadata);
    assert!(created.created_at > 0);
    for node in [&a, &b] {
        let snapshot = node.directory.snapshot(&id).await.expect("it is there");
        assert_eq!(snapshot.room, created);
        assert_eq!(snapshot.version, 0);
        assert!(snapshot.members.is_empty() && snapshot.tracks.is_empty());
    }
}

pub async fn a_room_is_created_once(backend: &dyn Backend) {
    let (_store, [a, b]) = ContractNode::several(backend).await;
    let id = room("hall");
    a.create(&id, 7).await;
    a.join(&id, "ann").await;
    for node in [&a, &b] {
        let again = node.directory.create(new_room(&id, 9)).await;
        assert_eq!(again, Err(DirectoryError::RoomExists(id.clone())));
    }
    let snapshot = a.directory.snapshot(&id).await.expect("it is there");
    assert_eq!((snapshot.room.max_members, snapshot.version), (7, 1));
}

pub async fn one_of_many_creators_succeeds(backend: &dyn Backend) {
    let (_store, nodes) = ContractNode::several::<4>(backend).await;
    let id = room("hall");
    let attempts = (1..=20).zip(nodes.iter().cycle()).map(|(size, node)| {
        let (node, new) = (node.clone(), new_room(&id, size));
        tokio::spawn(async move { node.directory.create(new).await })
    });
    let outcomes = join_all(attempts).await;
    let created: Vec<_> = outcomes
        .into_iter()
        .filter_map(|outcome| match outcome.expect("no case panics") {
            Ok(created) => Some(created),
            Err(error) => {
                assert_eq!(error, DirectoryError::RoomExists(id.clone()));
                None
            }
        })
        .collect();
    let snapshot = nodes[0].directory.snapshot(&id).await.expect("it is there");
    assert_eq!(created, [snapshot.room]);
}

pub async fn a_missing_room_is_not_found(backend: &dyn Backend) {
    let (_store, [node]) = ContractNode::several(backend).await;
    let id = room("nowhere");
    let missing = DirectoryError::RoomNotFound(id.clone());
    let refusals = node.refusals(&id, &MemberId::new("ann"), TrackId(1)).await;
    for (name, refusal) in refusals {
        assert_eq!(refusal.as_ref(), Some(&missing), "{name}");
    }
    let joined = node.directory.join(&id, new_member("ann")).await;
    assert_eq!(joined, Err(missing.clone()));
    assert_eq!(node.directory.snapshot(&id).await, Err(missing));
}
