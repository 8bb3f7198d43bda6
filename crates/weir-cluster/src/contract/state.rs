//! Size limit of a room's state, which keeps the answer to a join within the limit.

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use weir_protocol::{
    Init, Json, LeaveReason, MemberId, RoomId, StateSize, TrackId, TrackKind, TrackUpdate,
};

use super::{
    Backend, StoreOptions,
    support::{ContractNode, MAX_TRACKS, json, new_member, new_room, room, spec},
};
use crate::{Directory, DirectoryError, NewMember};

/// Limit that a few members reach.
const LIMIT: usize = 4_096;

fn options() -> StoreOptions {
    StoreOptions {
        room_state_bytes: LIMIT,
        ..StoreOptions::default()
    }
}

/// Returns JSON with this number of bytes.
fn text(bytes: usize) -> Json {
    json(&format!("\"{}\"", "x".repeat(bytes - 2)))
}

/// Asserts that an operation exceeds the limit, and returns the size that the state would have had.
fn refused<T: std::fmt::Debug>(outcome: Result<T, DirectoryError>) -> usize {
    match outcome.expect_err("it is over the limit") {
        DirectoryError::StateTooLarge {
            bytes,
            limit: LIMIT,
        } => bytes,
        error => panic!("{error}"),
    }
}

/// Returns the size of a room's state.
async fn length(node: &ContractNode, room: &RoomId) -> usize {
    let snapshot = node.directory.snapshot(room).await;
    snapshot.expect("the room is there").encoded_len()
}

/// Asserts that the directory's recorded size equals the actual size of the state. Reads the
/// recorded one from the error of an oversized member update.
pub(super) async fn assert_counted(
    node: &ContractNode,
    room: &RoomId,
    member: &MemberId,
    limit: usize,
) {
    let snapshot = node.directory.snapshot(room).await;
    let snapshot = snapshot.expect("the room is there");
    let known = snapshot.members.iter().find(|one| one.id == *member);
    let known = known.expect("the member is there").metadata.as_str().len();
    let update = node
        .directory
        .update_member(room, member, None, Some(text(limit)));
    let Err(DirectoryError::StateTooLarge { bytes, .. }) = update.await else {
        panic!("metadata of {limit} bytes fit");
    };
    let counted = bytes - limit + known;
    assert_eq!(counted, snapshot.encoded_len(), "of {snapshot:?}");
}

pub async fn every_growth_of_the_state_is_limited(backend: &dyn Backend) {
    let store = backend.store(options()).await;
    let [a, b] = ContractNode::on(&*store).await;
    let id = room("hall");
    let mut large = new_room(&id, 10);
    large.metadata = text(LIMIT);
    refused(a.directory.create(large).await);
    a.create(&id, 10).await;
    let ann = a.join(&id, "ann").await.member.id;
    let track = a.publish(&id, "ann").await.id;

    // A member's metadata fills the state to the last byte.
    let left = LIMIT - length(&a, &id).await + new_member("ann").metadata.as_str().len();
    let update = |bytes| {
        a.directory
            .update_member(&id, &ann, None, Some(text(bytes)))
    };
    assert_eq!(refused(update(left + 1).await), LIMIT + 1);
    update(left).await.expect("it fits");
    assert_eq!(length(&b, &id).await, LIMIT);

    let name = Some(String::from("called ann!"));
    let renamed = a.directory.update_member(&id, &ann, name, None).await;
    assert_eq!(refused(renamed), LIMIT + 1);
    let codec = |codec: &str| TrackUpdate {
        codec: Some(codec.into()),
        ..TrackUpdate::default()
    };
    let updated = a.directory.update_track(&id, &ann, track, codec("vp08"));
    assert_eq!(refused(updated.await), LIMIT + 1);
    refused(
        a.directory
            .publish(&id, &ann, spec(TrackKind::Data), MAX_TRACKS)
            .await,
    );
    refused(b.directory.join(&id, new_member("ben")).await);

    // Updates that keep the size succeed, and removals free space.
    let same = a.directory.update_track(&id, &ann, track, codec("vp9"));
    same.await.expect("it is not longer");
    let gone = a.directory.unpublish(&id, &ann, track).await;
    gone.expect("it is its own");
    let published = a.publish(&id, "ann").await;
    assert_eq!(published.id, TrackId(2), "a refused track has no number");
    assert_counted(&a, &id, &ann, LIMIT).await;
}

pub async fn a_join_counts_its_whole_answer(backend: &dyn Backend) {
    let store = backend.store(options()).await;
    let [a, b] = ContractNode::on(&*store).await;
    let id = room("hall");
    a.create(&id, 10).await;
    a.join(&id, "ann").await;
    let ben = |bytes| NewMember {
        metadata: text(bytes),
        ..new_member("ben")
    };
    let one = refused(b.directory.join(&id, ben(LIMIT)).await);
    // The answer contains its metadata twice.
    let fitting = LIMIT - (one - LIMIT).div_ceil(2);
    let over = refused(b.directory.join(&id, ben(fitting + 1)).await);
    assert!((LIMIT + 1..=LIMIT + 2).contains(&over), "{over}");
    let joined = b.directory.join(&id, ben(fitting)).await.expect("it fits");
    let own = serde_json::to_string(&joined.member).expect("JSON").len();
    let answer = joined.snapshot.encoded_len() + own + StateSize::ANSWER;
    assert!((LIMIT - 1..=LIMIT).contains(&answer), "{answer}");
}

pub async fn a_refused_join_creates_no_room(backend: &dyn Backend) {
    let store = backend.store(options()).await;
    let [a, b] = ContractNode::on(&*store).await;
    let id = room("hall");
    let large = NewMember {
        metadata: text(LIMIT),
        create_missing: Some(5),
        ..new_member("ann")
    };
    refused(a.directory.join(&id, large).await);
    let missing = DirectoryError::RoomNotFound(id.clone());
    assert_eq!(b.directory.snapshot(&id).await, Err(missing));
    b.create(&id, 5).await;
}

pub async fn refused_operations_have_no_effect(backend: &dyn Backend) {
    let store = backend.store(options()).await;
    let [a, b] = ContractNode::on(&*store).await;
    let id = room("hall");
    a.create(&id, 10).await;
    let ann = a.join(&id, "ann").await.member.id;
    let before = a.directory.snapshot(&id).await;
    let _watch = b.watch(&id).await;
    let large = || Init::encode(&[7; LIMIT]);
    let mut video = spec(TrackKind::Video);
    video.init = Some(large());
    refused(a.directory.publish(&id, &ann, video, MAX_TRACKS).await);
    let ben = NewMember {
        metadata: text(LIMIT),
        ..new_member("ben")
    };
    refused(b.directory.join(&id, ben).await);
    let metadata = Some(text(LIMIT));
    refused(a.directory.update_member(&id, &ann, None, metadata).await);
    assert_eq!(b.directory.snapshot(&id).await, before);
    // The rejected operations caused no event: the next one is that of the rename.
    a.rename(&id, "ann", "Ann").await;
    let told = b.inbox.events_until(&id, 1).await;
    assert_eq!(told[0].version, 2);
}

/// The recorded size always equals the snapshot's length, after random operations on either node.
pub async fn the_recorded_size_is_that_of_the_snapshot(backend: &dyn Backend) {
    let seed = rand::random();
    eprintln!("counting with the seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let limit = 32 * 1024;
    let store = backend
        .store(StoreOptions {
            room_state_bytes: limit,
            ..StoreOptions::default()
        })
        .await;
    let nodes: [ContractNode; 2] = ContractNode::on(&*store).await;
    let id = room("hall");
    nodes[0].create(&id, 30).await;
    // With the index of the node that each has joined by.
    let mut members: Vec<(usize, MemberId)> = Vec::new();
    for step in 0..300 {
        let member = members.choose(&mut random).cloned();
        let joins = random.random_range(0..100) < 25;
        let (at, member) = match member {
            Some((at, member)) if !joins => (at, Some(member)),
            _ => (random.random_range(0..nodes.len()), None),
        };
        let node = &nodes[at];
        let outcome = match member {
            None => {
                let new = NewMember {
                    name: name_at(step),
                    metadata: text(random.random_range(2..6_000)),
                    ..new_member(&format!("m{step}"))
                };
                let joined = node.directory.join(&id, new).await;
                joined.map(|joined| members.push((at, joined.member.id)))
            }
            Some(member) => {
                let choice = random.random_range(25..100);
                if choice < 35 {
                    members.retain(|(_, one)| *one != member);
                }
                change(&mut random, &*node.directory, &id, &member, choice, step).await
            }
        };
        match outcome {
            Ok(())
            | Err(
                DirectoryError::StateTooLarge { .. }
                | DirectoryError::RoomFull { .. }
                | DirectoryError::TooManyTracks { .. }
                | DirectoryError::TrackNotFound(_)
                | DirectoryError::NotTrackOwner(_),
            ) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(length(node, &id).await <= limit);
        if let Some((at, member)) = members.first() {
            assert_counted(&nodes[*at], &id, member, limit).await;
        }
    }
}

/// Returns one of some names, among them such as JSON must escape.
fn name_at(step: usize) -> String {
    let names = ["", "Zoë \"Z\" 🎥", "\u{1}\\\n", "plain"];
    names[step % names.len()].to_owned()
}

/// Executes the operation of a member that `choice` selects: leave, or change something.
async fn change(
    random: &mut StdRng,
    directory: &dyn Directory,
    id: &RoomId,
    member: &MemberId,
    choice: u32,
    step: usize,
) -> Result<(), DirectoryError> {
    let name = || name_at(step);
    let bytes = random.random_range(2..6_000);
    let track = TrackId(random.random_range(1..=20));
    match choice {
        ..35 => directory.leave(id, member, LeaveReason::Left).await,
        35..55 => {
            let metadata = random.random_bool(0.5).then(|| text(bytes));
            let updated = directory.update_member(id, member, Some(name()), metadata);
            updated.await.map(drop)
        }
        55..75 => {
            let mut spec = spec(TrackKind::Video);
            spec.name = Some(name());
            spec.frame_rate = [None, Some(30.0), Some(29.97)][step % 3];
            spec.init = step
                .is_multiple_of(2)
                .then(|| Init::encode(&vec![0; bytes]));
            let published = directory.publish(id, member, spec, MAX_TRACKS);
            published.await.map(drop)
        }
        75..90 => {
            let update = TrackUpdate {
                muted: Some(step.is_multiple_of(2)),
                codec: Some(name() + "x"),
                width: Some(bytes as u32),
                ..TrackUpdate::default()
            };
            let updated = directory.update_track(id, member, track, update);
            updated.await.map(drop)
        }
        _ => directory.unpublish(id, member, track).await,
    }
}
