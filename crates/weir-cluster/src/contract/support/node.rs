//! Nodes for the cases, and fixtures.

use std::sync::Arc;

use weir_protocol::{
    Init, Json, LeaveReason, MemberId, RoomId, Track, TrackId, TrackKind, TrackSpec, TrackUpdate,
};

use super::recorder::Recorder;
use crate::contract::{Backend, SharedStore, StoreOptions};
use crate::{Bus, Directory, DirectoryError, Joined, NewMember, NewRoom, Watch};

/// Maximum number of tracks per member in most cases.
pub(in crate::contract) const MAX_TRACKS: usize = 16;

/// Node with both ports, and a log of what it receives.
#[derive(Debug, Clone)]
pub(in crate::contract) struct ContractNode {
    pub(in crate::contract) directory: Arc<dyn Directory>,
    pub(in crate::contract) bus: Arc<dyn Bus>,
    pub(in crate::contract) inbox: Arc<Recorder>,
}

impl ContractNode {
    pub(in crate::contract) async fn new(store: &dyn SharedStore) -> Self {
        let inbox = Arc::new(Recorder::default());
        Self {
            directory: store.directory(inbox.clone()).await,
            bus: store.bus().await,
            inbox,
        }
    }

    /// Creates `N` nodes on one store with the default options.
    pub(in crate::contract) async fn several<const N: usize>(
        backend: &dyn Backend,
    ) -> (Arc<dyn SharedStore>, [Self; N]) {
        let store = backend.store(StoreOptions::default()).await;
        let nodes = Self::on(&*store).await;
        (store, nodes)
    }

    /// Creates `N` nodes on a store.
    pub(in crate::contract) async fn on<const N: usize>(store: &dyn SharedStore) -> [Self; N] {
        let mut nodes = Vec::new();
        for _ in 0..N {
            nodes.push(Self::new(store).await);
        }
        nodes.try_into().expect("there are N")
    }

    /// Creates a room for `max_members`.
    pub(in crate::contract) async fn create(&self, id: &RoomId, max_members: u32) {
        let created = self.directory.create(new_room(id, max_members)).await;
        created.expect("the room is new");
    }

    /// Joins an existing room.
    pub(in crate::contract) async fn join(&self, room: &RoomId, id: &str) -> Joined {
        let joined = self.directory.join(room, new_member(id)).await;
        joined.expect("there is a place in the room")
    }

    pub(in crate::contract) async fn leave(&self, room: &RoomId, id: &str) {
        let id = MemberId::new(id);
        let left = self.directory.leave(room, &id, LeaveReason::Left).await;
        left.expect("the member is there");
    }

    pub(in crate::contract) async fn rename(&self, room: &RoomId, id: &str, name: &str) {
        let id = MemberId::new(id);
        let updated = self
            .directory
            .update_member(room, &id, Some(name.into()), None)
            .await;
        updated.expect("the member is there");
    }

    pub(in crate::contract) async fn publish(&self, room: &RoomId, member: &str) -> Track {
        let member = MemberId::new(member);
        let published = self
            .directory
            .publish(room, &member, spec(TrackKind::Video), MAX_TRACKS)
            .await;
        published.expect("the member may publish")
    }

    pub(in crate::contract) async fn watch(&self, room: &RoomId) -> Watch {
        let watch = self.directory.watch(room).await;
        watch.expect("the store is there")
    }

    /// Returns the error of each operation but `create` and `watch`, by its name.
    pub(in crate::contract) async fn refusals(
        &self,
        room: &RoomId,
        member: &MemberId,
        track: TrackId,
    ) -> Vec<(&'static str, Option<DirectoryError>)> {
        let directory = &self.directory;
        let spec = spec(TrackKind::Audio);
        let update = TrackUpdate::default();
        vec![
            (
                "update_member",
                directory
                    .update_member(room, member, None, None)
                    .await
                    .err(),
            ),
            (
                "publish",
                directory
                    .publish(room, member, spec, MAX_TRACKS)
                    .await
                    .err(),
            ),
            (
                "update_track",
                directory
                    .update_track(room, member, track, update)
                    .await
                    .err(),
            ),
            (
                "unpublish",
                directory.unpublish(room, member, track).await.err(),
            ),
            (
                "leave",
                directory
                    .leave(room, member, LeaveReason::Kicked)
                    .await
                    .err(),
            ),
        ]
    }
}

pub(in crate::contract) fn room(id: &str) -> RoomId {
    RoomId::made(id)
}

pub(in crate::contract) fn json(text: &str) -> Json {
    serde_json::from_str(text).expect("the cases' own JSON is right")
}

pub(in crate::contract) fn new_room(id: &RoomId, max_members: u32) -> NewRoom {
    NewRoom {
        id: id.clone(),
        metadata: json(r#"{"topic":"weather"}"#),
        max_members,
    }
}

pub(in crate::contract) fn new_member(id: &str) -> NewMember {
    NewMember {
        id: MemberId::new(id),
        name: format!("called {id}"),
        metadata: json(r#"{"colour":"green"}"#),
        create_missing: None,
    }
}

pub(in crate::contract) fn spec(kind: TrackKind) -> TrackSpec {
    TrackSpec {
        kind,
        source: Some("camera".into()),
        name: None,
        codec: "vp8".into(),
        width: Some(640),
        height: Some(360),
        frame_rate: Some(29.97),
        sample_rate: None,
        channels: None,
        init: Some(Init::encode(&[0, 1, 254, 255])),
    }
}
