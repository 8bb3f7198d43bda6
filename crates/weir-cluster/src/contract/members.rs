//! Joining, updating and leaving.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use weir_protocol::{Change, LeaveReason, MemberId, TrackId};

use super::{
    Backend,
    support::{ContractNode, json, new_member, room},
};
use crate::{DirectoryError, NewMember};

pub async fn joining_returns_the_room_after_it(backend: &dyn Backend) {
    let (_store, [a, b]) = ContractNode::several(backend).await;
    let id = room("hall");
    a.create(&id, 10).await;
    let zoe = b.join(&id, "zoe").await;
    assert_eq!(zoe.member.id, MemberId::new("zoe"));
    assert_eq!(zoe.member.name, "called zoe");
    assert_eq!(zoe.member.metadata, new_member("zoe").metadata);
    assert!(zoe.member.joined_at >= zoe.snapshot.room.created_at);
    assert_eq!(zoe.snapshot.members, std::slice::from_ref(&zoe.member));
    assert_eq!(zoe.snapshot.version, 1);

    let track = b.publish(&id, "zoe").await;
    let ben = a.join(&id, "ben").await;
    assert_eq!(ben.snapshot.members, [zoe.member, ben.member]);
    assert_eq!(ben.snapshot.tracks, [track]);
    assert_eq!(ben.snapshot.version, 3);
    for node in [&a, &b] {
        let snapshot = node.directory.snapshot(&id).await;
        assert_eq!(snapshot.as_ref(), Ok(&ben.snapshot));
    }
}

pub async fn joining_creates_a_missing_room_if_asked_to(backend: &dyn Backend) {
    let (_store, [a, b]) = ContractNode::several(backend).await;
    let id = room("hall");
    let ann = NewMember {
        create_missing: Some(1),
        ..new_member("ann")
    };
    let ann = a.directory.join(&id, ann).await.expect("it is created");
    assert_eq!(
        (ann.snapshot.version, ann.snapshot.room.max_members),
        (1, 1)
    );
    assert_eq!(ann.snapshot.room.metadata, json("{}"));
    let ben = NewMember {
        create_missing: Some(5),
        ..new_member("ben")
    };
    let full = DirectoryError::RoomFull {
        room: id.clone(),
        limit: 1,
    };
    assert_eq!(b.directory.join(&id, ben).await, Err(full));
}

pub async fn concurrent_creating_joins_share_one_room(backend: &dyn Backend) {
    let (_store, nodes) = ContractNode::several::<4>(backend).await;
    let id = room("hall");
    let attempts = (0..20).zip(nodes.iter().cycle()).map(|(n, node)| {
        let (node, id) = (node.clone(), id.clone());
        let member = NewMember {
            create_missing: Some(20),
            ..new_member(&format!("m{n}"))
        };
        tokio::spawn(async move { node.directory.join(&id, member).await })
    });
    let versions: BTreeSet<u64> = join_all(attempts)
        .await
        .into_iter()
        .map(|joined| joined.expect("no case panics").expect("there is a place"))
        .map(|joined| joined.snapshot.version)
        .collect();
    assert!(versions.into_iter().eq(1..=20));
}

pub async fn joining_again_changes_nothing(backend: &dyn Backend) {
    let (_store, [a]) = ContractNode::several(backend).await;
    let id = room("hall");
    a.create(&id, 1).await;
    let first = a.join(&id, "ann").await;
    let other = NewMember {
        name: "other".into(),
        ..new_member("ann")
    };
    for _ in 0..2 {
        let again = a.directory.join(&id, other.clone()).await;
        assert_eq!(again.as_ref(), Ok(&first));
    }
}

/// Fencing: a node cannot change what belongs to another node's member.
pub async fn only_the_owner_of_a_seat_writes(backend: &dyn Backend) {
    let (_store, [a, b]) = ContractNode::several(backend).await;
    let id = room("hall");
    a.create(&id, 10).await;
    let ann = a.join(&id, "ann").await.member.id;
    b.join(&id, "ben").await;
    let track = a.publish(&id, "ann").await.id;
    let before = a.directory.snapshot(&id).await;
    let fenced = DirectoryError::NotSeatOwner(ann.clone());
    for (name, refusal) in b.refusals(&id, &ann, track).await {
        assert_eq!(refusal.as_ref(), Some(&fenced), "{name}");
    }
    let joined = b.directory.join(&id, new_member("ann")).await;
    assert_eq!(joined, Err(fenced));
    assert_eq!(a.directory.snapshot(&id).await, before);
    a.rename(&id, "ann", "Ann").await;
    a.leave(&id, "ann").await;
}

pub async fn a_full_room_refuses_members(backend: &dyn Backend) {
    let (_store, [a, b]) = ContractNode::several(backend).await;
    let id = room("hall");
    a.create(&id, 2).await;
    a.join(&id, "ann").await;
    b.join(&id, "ben").await;
    let full = DirectoryError::RoomFull {
        room: id.clone(),
        limit: 2,
    };
    let cat = b.directory.join(&id, new_member("cat")).await;
    assert_eq!(cat, Err(full));
    a.leave(&id, "ann").await;
    let cat = b.join(&id, "cat").await;
    assert_eq!(cat.snapshot.version, 4, "a refused member leaves no trace");
    let ids: Vec<&str> = cat.snapshot.members.iter().map(|m| m.id.as_str()).collect();
    assert_eq!(ids, ["ben", "cat"]);
}

pub async fn concurrent_joins_fill_the_room_exactly(backend: &dyn Backend) {
    let (_store, nodes) = ContractNode::several::<3>(backend).await;
    let id = room("hall");
    nodes[0].create(&id, 10).await;
    let attempts = (0..40).zip(nodes.iter().cycle()).map(|(n, node)| {
        let (node, id) = (node.clone(), id.clone());
        let member = new_member(&format!("m{n}"));
        tokio::spawn(async move { node.directory.join(&id, member).await })
    });
    let mut versions = BTreeSet::new();
    for outcome in join_all(attempts).await {
        match outcome.expect("no case panics") {
            Ok(joined) => {
                assert_eq!(joined.snapshot.members.last(), Some(&joined.member));
                assert_eq!(
                    joined.snapshot.members.len() as u64,
                    joined.snapshot.version
                );
                assert!(versions.insert(joined.snapshot.version));
            }
            Err(error) => assert!(matches!(error, DirectoryError::RoomFull { limit: 10, .. })),
        }
    }
    assert!(versions.into_iter().eq(1..=10));
    let snapshot = nodes[2].directory.snapshot(&id).await.expect("it is there");
    assert_eq!(snapshot.members.len(), 10);
}

pub async fn updates_change_only_the_given_fields(backend: &dyn Backend) {
    let (_store, [a, b]) = ContractNode::several(backend).await;
    let id = room("hall");
    a.create(&id, 10).await;
    let mut ann = a.join(&id, "ann").await.member;
    let _watch = b.watch(&id).await;
    let steps = [
        (Some(String::from("Ann")), None),
        (None, Some(json("[1]"))),
        (Some(String::new()), Some(json("null"))),
        (None, None),
    ];
    for (count, (name, metadata)) in (1..).zip(steps) {
        ann.name = name.clone().unwrap_or(ann.name);
        ann.metadata = metadata.clone().unwrap_or(ann.metadata);
        let updated = a
            .directory
            .update_member(&id, &ann.id, name, metadata)
            .await;
        assert_eq!(updated.as_ref(), Ok(&ann));
        let told = b.inbox.events_until(&id, count).await;
        assert_eq!(told[count - 1].change, Change::MemberUpdated(ann.clone()));
    }
    let snapshot = b.directory.snapshot(&id).await.expect("it is there");
    assert_eq!((snapshot.members, snapshot.version), (vec![ann], 5));
}

pub async fn leaving_removes_the_members_tracks(backend: &dyn Backend) {
    let (_store, [a, b]) = ContractNode::several(backend).await;
    let id = room("hall");
    a.create(&id, 10).await;
    a.join(&id, "ann").await;
    b.join(&id, "ben").await;
    a.publish(&id, "ann").await;
    let stays = b.publish(&id, "ben").await;
    a.publish(&id, "ann").await;
    let _watch = b.watch(&id).await;
    let ann = MemberId::new("ann");
    let left = a
        .directory
        .leave(&id, &ann, LeaveReason::Disconnected)
        .await;
    assert_eq!(left, Ok(()));
    let told = b.inbox.events_until(&id, 3).await;
    let gone = |id| Change::TrackUnpublished {
        id: TrackId(id),
        member: ann.clone(),
    };
    let versions: Vec<u64> = told.iter().map(|event| event.version).collect();
    let changes: Vec<Change> = told.iter().map(|event| event.change.clone()).collect();
    assert_eq!(versions, [6, 7, 8]);
    let reason = LeaveReason::Disconnected;
    let left = Change::MemberLeft {
        id: ann.clone(),
        reason,
    };
    assert_eq!(changes, [gone(1), gone(3), left]);
    let snapshot = b.directory.snapshot(&id).await.expect("it is there");
    assert_eq!((snapshot.members.len(), snapshot.version), (1, 8));
    assert_eq!(snapshot.tracks, [stays]);
}

pub async fn operations_of_missing_members_fail(backend: &dyn Backend) {
    let (_store, [a, b]) = ContractNode::several(backend).await;
    let id = room("hall");
    a.create(&id, 10).await;
    a.join(&id, "ann").await;
    a.join(&id, "ben").await;
    let track = a.publish(&id, "ann").await;
    a.leave(&id, "ben").await;
    let before = a.directory.snapshot(&id).await;
    for who in ["ben", "nobody"] {
        let who = MemberId::new(who);
        for (name, refusal) in b.refusals(&id, &who, track.id).await {
            let missing = DirectoryError::MemberNotFound(who.clone());
            assert_eq!(refusal, Some(missing), "{name}");
        }
    }
    assert_eq!(a.directory.snapshot(&id).await, before);
}
