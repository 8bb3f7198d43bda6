//! Publishing, updating and unpublishing.

use futures_util::future::join_all;
use weir_protocol::{Change, Init, MemberId, TrackId, TrackKind, TrackUpdate};

use super::{
    Backend,
    support::{ContractNode, room, spec},
};
use crate::DirectoryError;

pub async fn track_ids_are_never_reused(backend: &dyn Backend) {
    let (_store, [a, b]) = ContractNode::several(backend).await;
    let id = room("hall");
    a.create(&id, 10).await;
    let ann = a.join(&id, "ann").await.member.id;
    b.join(&id, "ben").await;
    assert_eq!(a.publish(&id, "ann").await.id, TrackId(1));
    assert_eq!(b.publish(&id, "ben").await.id, TrackId(2));
    let gone = a.directory.unpublish(&id, &ann, TrackId(1)).await;
    assert_eq!(gone, Ok(()));
    b.leave(&id, "ben").await;
    let third = a.publish(&id, "ann").await;
    assert_eq!(third.id, TrackId(3));
    assert_eq!((&third.member, third.muted), (&ann, false));
    assert_eq!(third.spec, spec(TrackKind::Video));
    let snapshot = b.directory.snapshot(&id).await.expect("it is there");
    assert_eq!(snapshot.tracks, [third]);
}

pub async fn updates_change_only_the_given_fields(backend: &dyn Backend) {
    let (_store, [a, b]) = ContractNode::several(backend).await;
    let id = room("hall");
    a.create(&id, 10).await;
    let ann = a.join(&id, "ann").await.member.id;
    let mut track = a.publish(&id, "ann").await;
    let _watch = b.watch(&id).await;
    let steps = [
        TrackUpdate {
            muted: Some(true),
            ..TrackUpdate::default()
        },
        TrackUpdate {
            codec: Some("vp09.00.10.08".into()),
            width: Some(1_280),
            height: Some(720),
            init: Some(Init::encode(b"\0binary\xff")),
            ..TrackUpdate::default()
        },
        TrackUpdate {
            muted: Some(false),
            init: Some(Init::encode(b"")),
            ..TrackUpdate::default()
        },
        TrackUpdate::default(),
    ];
    for (count, update) in (1..).zip(steps) {
        update.apply(&mut track);
        let updated = a.directory.update_track(&id, &ann, track.id, update).await;
        assert_eq!(updated.as_ref(), Ok(&track));
        let told = b.inbox.events_until(&id, count).await;
        assert_eq!(told[count - 1].change, Change::TrackUpdated(track.clone()));
    }
    let snapshot = b.directory.snapshot(&id).await.expect("it is there");
    assert_eq!((snapshot.tracks, snapshot.version), (vec![track], 6));
}

pub async fn only_the_owner_changes_a_track(backend: &dyn Backend) {
    let (_store, [a, b]) = ContractNode::several(backend).await;
    let id = room("hall");
    a.create(&id, 10).await;
    a.join(&id, "ann").await;
    let ben = b.join(&id, "ben").await.member.id;
    let track = a.publish(&id, "ann").await.id;
    let before = a.directory.snapshot(&id).await;
    let cases = [
        (track, DirectoryError::NotTrackOwner(track)),
        (TrackId(99), DirectoryError::TrackNotFound(TrackId(99))),
    ];
    for (track, error) in cases {
        let update = TrackUpdate {
            muted: Some(true),
            ..TrackUpdate::default()
        };
        let updated = b.directory.update_track(&id, &ben, track, update).await;
        assert_eq!(updated.as_ref(), Err(&error));
        let gone = b.directory.unpublish(&id, &ben, track).await;
        assert_eq!(gone.as_ref(), Err(&error));
    }
    assert_eq!(a.directory.snapshot(&id).await, before);
}

pub async fn tracks_are_limited_per_member(backend: &dyn Backend) {
    let (_store, [a]) = ContractNode::several(backend).await;
    let id = room("hall");
    a.create(&id, 10).await;
    let ann = a.join(&id, "ann").await.member.id;
    let ben = a.join(&id, "ben").await.member.id;
    let publish = |member: MemberId| {
        let (directory, id) = (a.directory.clone(), id.clone());
        async move {
            directory
                .publish(&id, &member, spec(TrackKind::Data), 2)
                .await
        }
    };
    for member in [&ann, &ann, &ben] {
        publish(member.clone()).await.expect("there is a place");
    }
    let full = DirectoryError::TooManyTracks { limit: 2 };
    assert_eq!(publish(ann.clone()).await, Err(full));
    publish(ben).await.expect("another's tracks do not count");
    let gone = a.directory.unpublish(&id, &ann, TrackId(1)).await;
    assert_eq!(gone, Ok(()));
    let last = publish(ann).await.expect("there is a place again");
    assert_eq!(last.id, TrackId(5));
}

pub async fn concurrent_publications_stay_within_the_limit(backend: &dyn Backend) {
    let (_store, [a]) = ContractNode::several(backend).await;
    let id = room("hall");
    a.create(&id, 10).await;
    let ann = a.join(&id, "ann").await.member.id;
    let attempts = (0..20).map(|_| {
        let (directory, id, ann) = (a.directory.clone(), id.clone(), ann.clone());
        tokio::spawn(async move {
            let spec = spec(TrackKind::Data);
            directory.publish(&id, &ann, spec, 5).await
        })
    });
    let mut ids = Vec::new();
    for outcome in join_all(attempts).await {
        match outcome.expect("no case panics") {
            Ok(track) => ids.push(track.id.0),
            Err(error) => assert_eq!(error, DirectoryError::TooManyTracks { limit: 5 }),
        }
    }
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
}
