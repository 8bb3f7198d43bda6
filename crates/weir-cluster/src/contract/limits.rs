//! Limit on the number of rooms in memory.

use super::{
    Backend, StoreOptions,
    support::{ContractNode, new_member, new_room, room},
};
use crate::{DirectoryError, NewMember};

pub async fn rooms_are_limited(backend: &dyn Backend) {
    let options = StoreOptions {
        max_rooms: 2,
        ..StoreOptions::default()
    };
    let store = backend.store(options).await;
    let [a, b] = ContractNode::on(&*store).await;
    a.create(&room("one"), 5).await;
    b.create(&room("two"), 5).await;
    a.join(&room("two"), "ann").await;
    let limit = DirectoryError::TooManyRooms { limit: 2 };
    let three = room("three");
    let created = a.directory.create(new_room(&three, 5)).await;
    assert_eq!(created.as_ref(), Err(&limit));
    let newcomer = NewMember {
        create_missing: Some(5),
        ..new_member("ben")
    };
    let joined = b.directory.join(&three, newcomer).await;
    assert_eq!(joined.as_ref(), Err(&limit));

    let one = room("one");
    let _watch = a.watch(&one).await;
    store.advance(options.empty_ttl * 2).await;
    a.inbox.events_until_closed(&one).await;
    a.create(&three, 5).await;
}
