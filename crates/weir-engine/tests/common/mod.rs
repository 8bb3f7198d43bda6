//! Fixtures: clients that record what they receive, and a directory that waits.

#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod faulty;

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use weir_cluster::{
    BoxFuture, Directory, DirectoryError, Inbox, Joined, MemoryHub, MemoryOptions, NewMember,
    NewRoom, Watch,
};
use weir_engine::{Delivery, Engine, EngineOptions, Outlet, Ports, Session, SessionIdentity};
use weir_protocol::{
    Frame, Json, LeaveReason, Member, MemberId, Room, RoomEvent, RoomId, Snapshot, Track, TrackId,
    TrackSpec, TrackUpdate,
};

/// Creates an engine on rooms in memory.
pub(crate) fn engine(options: EngineOptions) -> Engine {
    let hub = MemoryHub::new(MemoryOptions::default());
    Engine::in_memory(options, &hub)
}

/// Frame that a client received.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    /// Name of the event; empty for an acknowledgement.
    pub(crate) event: String,
    /// First argument.
    pub(crate) argument: Value,
    /// Id of the acknowledgement.
    pub(crate) ack: Option<i64>,
    pub(crate) attachments: Vec<Bytes>,
}

/// Outlet that records frames.
#[derive(Debug, Default)]
pub(crate) struct FrameRecorder {
    told: Mutex<Vec<Told>>,
    /// Whether it refuses chunks.
    pub(crate) full: AtomicBool,
}

impl FrameRecorder {
    fn keep(&self, frame: &Frame) {
        let mut values: Vec<Value> = serde_json::from_str(frame.body()).expect("JSON");
        let (event, argument) = match frame.ack() {
            Some(_) => (String::new(), values.remove(0)),
            None => {
                let argument = values.remove(1);
                (
                    values.remove(0).as_str().expect("a name").to_owned(),
                    argument,
                )
            }
        };
        self.told.lock().expect("nobody panicked").push(Told {
            event,
            argument,
            ack: frame.ack(),
            attachments: frame.attachments().collect(),
        });
    }
}

impl Outlet for FrameRecorder {
    fn notice(&self, frame: &Frame) -> Delivery {
        self.keep(frame);
        Delivery::Sent
    }

    fn chunk(&self, before: Option<&Frame>, chunk: &Frame) -> Delivery {
        if self.full.load(Ordering::Relaxed) {
            return Delivery::Full;
        }
        before
            .into_iter()
            .chain([chunk])
            .for_each(|frame| self.keep(frame));
        Delivery::Sent
    }
}

/// Client of an engine.
pub(crate) struct EngineClient {
    pub(crate) session: Session,
    pub(crate) outlet: Arc<FrameRecorder>,
    acks: AtomicI64,
}

impl EngineClient {
    pub(crate) fn new(engine: &Engine) -> Self {
        let outlet = Arc::new(FrameRecorder::default());
        Self {
            session: engine.session(
                outlet.clone(),
                opentelemetry::Context::new(),
                SessionIdentity {
                    session: "of a test".into(),
                    address: std::net::Ipv4Addr::LOCALHOST.into(),
                },
            ),
            outlet,
            acks: AtomicI64::new(0),
        }
    }

    /// Sends a request, and returns the id of its acknowledgement.
    #[allow(clippy::needless_pass_by_value, reason = "written as `json!`")]
    pub(crate) fn send(&self, event: &str, argument: Value) -> i64 {
        let ack = self.acks.fetch_add(1, Ordering::Relaxed);
        let text = json!([event, argument]).to_string();
        self.session.receive(event, &text, Vec::new(), Some(ack));
        ack
    }

    /// Sends a request, and returns its answer, which must arrive at once.
    pub(crate) fn request(&self, event: &str, argument: Value) -> Value {
        let ack = self.send(event, argument);
        self.answer(ack).expect("an answer at once")
    }

    pub(crate) fn answer(&self, ack: i64) -> Option<Value> {
        let told = self.told();
        let answer = told.iter().find(|told| told.ack == Some(ack));
        answer.map(|answer| answer.argument.clone())
    }

    /// Sends a chunk, and returns the acknowledgement.
    pub(crate) fn chunk(&self, track: &Value, ts: i64, key: bool) -> Value {
        let ack = self.acks.fetch_add(1, Ordering::Relaxed);
        let place = json!({"_placeholder": true, "num": 0});
        let text = json!(["media", {"track": track, "ts": ts, "key": key}, place]).to_string();
        let payload = Bytes::from(ts.to_string());
        self.session
            .receive("media", &text, vec![payload], Some(ack));
        self.answer(ack).expect("an answer at once")
    }

    /// Joins a room, and returns the acknowledgement.
    pub(crate) fn join(&self, room: &Value) -> Value {
        let joined = self.request("room:join", json!({"room": room}));
        assert_eq!(joined["ok"], true, "{joined}");
        joined
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.outlet.told.lock().expect("nobody panicked").clone()
    }

    /// Returns the received events in order, without acknowledgements.
    pub(crate) fn events(&self) -> Vec<(String, Value)> {
        let told = self.told().into_iter().filter(|told| told.ack.is_none());
        told.map(|told| (told.event, told.argument)).collect()
    }

    /// Returns the names of the received events.
    pub(crate) fn names(&self) -> Vec<String> {
        self.events().into_iter().map(|(name, _)| name).collect()
    }
}

/// Creates a room, and returns its id.
pub(crate) fn room(engine: &Engine) -> Value {
    let created = EngineClient::new(engine).request("room:create", json!({}));
    created["room"]["id"].clone()
}

/// Publishes a track, and returns its id.
pub(crate) fn publish(client: &EngineClient, kind: &str) -> Value {
    let published = client.request("track:publish", json!({"kind": kind, "codec": "x"}));
    assert_eq!(published["ok"], true, "{published}");
    published["track"]["id"].clone()
}

/// Returns a client's view of a room: from the answer to its join, and the events since.
pub(crate) fn view(
    client: &EngineClient,
    joined: &Value,
) -> (BTreeMap<String, Value>, BTreeMap<u64, Value>) {
    let list = |name: &str| joined[name].as_array().expect("a list").clone();
    let id = |value: &Value| value["id"].as_str().expect("an id").to_owned();
    let number = |value: &Value| value.as_u64().expect("a number");
    let mut members: BTreeMap<_, _> = list("members").into_iter().map(|m| (id(&m), m)).collect();
    let mut tracks: BTreeMap<_, _> = list("tracks")
        .into_iter()
        .map(|track| (number(&track["id"]), track))
        .collect();
    let mut version = number(&joined["version"]);
    let joined_at = client
        .told()
        .iter()
        .position(|told| told.argument == *joined);
    for told in client
        .told()
        .into_iter()
        .skip(joined_at.expect("its answer") + 1)
    {
        let argument = told.argument;
        if let Some(next) = argument["version"].as_u64()
            && told.ack.is_none()
        {
            // Only its own arrival has no event; it is part of the answer.
            assert_eq!(next, version + 1, "{} {argument}", told.event);
            version = next;
        }
        match told.event.as_str() {
            "member:joined" | "member:updated" => {
                members.insert(id(&argument["member"]), argument["member"].clone());
            }
            "member:left" => assert!(members.remove(&id(&argument)).is_some(), "{argument}"),
            "track:published" | "track:updated" => {
                let track = argument["track"].clone();
                tracks.insert(number(&track["id"]), track);
            }
            "track:unpublished" => {
                assert!(
                    tracks.remove(&number(&argument["id"])).is_some(),
                    "{argument}"
                );
            }
            _ => {}
        }
    }
    (members, tracks)
}

/// Directory whose operations wait for the test.
#[derive(Debug)]
pub(crate) struct Waiting {
    directory: Arc<dyn Directory>,
    /// Each permit starts one operation, or returns one answer.
    pub(crate) turns: Arc<Semaphore>,
}

impl Waiting {
    /// Creates an engine whose operations need two turns each: one to execute, one to return.
    pub(crate) fn engine(options: EngineOptions) -> (Engine, Arc<Semaphore>) {
        let turns = Arc::new(Semaphore::new(0));
        let hub = MemoryHub::new(MemoryOptions::default());
        let (engine, late) = Self::node(options, &hub, &turns);
        late.pass(usize::MAX);
        (engine, turns)
    }

    /// Creates such an engine on a shared hub, with events that wait for the test.
    pub(crate) fn node(
        options: EngineOptions,
        hub: &MemoryHub,
        turns: &Arc<Semaphore>,
    ) -> (Engine, Arc<Late>) {
        let mut late = None;
        let engine = Engine::new(options, |inbox| {
            let inbox = late.insert(Late::new(inbox)).clone();
            let directory = Self {
                directory: Arc::new(hub.directory(inbox)),
                turns: Arc::clone(turns),
            };
            Ok::<_, Infallible>(Ports {
                directory: Arc::new(directory),
                bus: Arc::new(hub.bus()),
            })
        });
        (
            engine.expect("it cannot fail"),
            late.expect("it was just made"),
        )
    }

    async fn turn(&self) {
        self.turns.acquire().await.expect("never closed").forget();
    }

    fn wait<'a, T: Send + 'a>(
        &'a self,
        operation: BoxFuture<'a, Result<T, DirectoryError>>,
    ) -> BoxFuture<'a, Result<T, DirectoryError>> {
        Box::pin(async move {
            self.turn().await;
            let outcome = operation.await;
            self.turn().await;
            outcome
        })
    }
}

impl Directory for Waiting {
    fn create(&self, room: NewRoom) -> BoxFuture<'_, Result<Room, DirectoryError>> {
        self.wait(self.directory.create(room))
    }

    fn join<'a>(
        &'a self,
        room: &'a RoomId,
        member: NewMember,
    ) -> BoxFuture<'a, Result<Joined, DirectoryError>> {
        self.wait(self.directory.join(room, member))
    }

    fn leave<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        reason: LeaveReason,
    ) -> BoxFuture<'a, Result<(), DirectoryError>> {
        self.wait(self.directory.leave(room, member, reason))
    }

    fn update_member<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        name: Option<String>,
        metadata: Option<Json>,
    ) -> BoxFuture<'a, Result<Member, DirectoryError>> {
        self.wait(self.directory.update_member(room, member, name, metadata))
    }

    fn publish<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        spec: TrackSpec,
        limit: usize,
    ) -> BoxFuture<'a, Result<Track, DirectoryError>> {
        self.wait(self.directory.publish(room, member, spec, limit))
    }

    fn update_track<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        track: TrackId,
        update: TrackUpdate,
    ) -> BoxFuture<'a, Result<Track, DirectoryError>> {
        self.wait(self.directory.update_track(room, member, track, update))
    }

    fn unpublish<'a>(
        &'a self,
        room: &'a RoomId,
        member: &'a MemberId,
        track: TrackId,
    ) -> BoxFuture<'a, Result<(), DirectoryError>> {
        self.wait(self.directory.unpublish(room, member, track))
    }

    fn snapshot<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Snapshot, DirectoryError>> {
        self.wait(self.directory.snapshot(room))
    }

    fn watch<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Watch, DirectoryError>> {
        self.wait(self.directory.watch(room))
    }

    fn resign(&self) -> BoxFuture<'_, Result<(), DirectoryError>> {
        self.wait(self.directory.resign())
    }
}

/// Inbox that delays events, in order.
#[derive(Debug)]
pub(crate) struct Late {
    inbox: Arc<dyn Inbox>,
    waiting: Mutex<Waits>,
}

#[derive(Debug, Default)]
struct Waits {
    events: VecDeque<(RoomId, Arc<RoomEvent>)>,
    /// Number of events that may pass.
    passing: usize,
}

impl Late {
    pub(crate) fn new(inbox: Arc<dyn Inbox>) -> Arc<Self> {
        let waiting = Mutex::default();
        Arc::new(Self { inbox, waiting })
    }

    /// Lets `count` more events pass.
    pub(crate) fn pass(&self, count: usize) {
        let mut waiting = self.waiting.lock().expect("nobody panicked");
        waiting.passing = waiting.passing.saturating_add(count);
        self.deliver(&mut waiting);
    }

    /// Holds all events from now on.
    pub(crate) fn hold(&self) {
        self.waiting.lock().expect("nobody panicked").passing = 0;
    }

    fn deliver(&self, waiting: &mut Waits) {
        while waiting.passing > 0
            && let Some((room, event)) = waiting.events.pop_front()
        {
            if waiting.passing < usize::MAX {
                waiting.passing -= 1;
            }
            self.inbox.room_event(&room, &event);
        }
    }
}

impl Inbox for Late {
    fn room_event(&self, room: &RoomId, event: &Arc<RoomEvent>) {
        let mut waiting = self.waiting.lock().expect("nobody panicked");
        waiting.events.push_back((room.clone(), Arc::clone(event)));
        self.deliver(&mut waiting);
    }
}
