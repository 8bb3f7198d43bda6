//! Lanes: which messages wait for which server.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::oneshot;
use weir_cluster::BusError;

use super::{
    lane_handle::LaneHandle,
    message::{OutboxMessage, PublishReply},
    outbox_core::Outbox,
};
use crate::{
    Health,
    bus::topic::{ChannelKind, Topic},
    connection::{
        cluster::{ClusterView, SlotMap},
        server::ServerId,
    },
};

fn server(number: u16) -> ServerId {
    ServerId::at("host", number)
}

/// Outbox of a Redis Cluster in which each topic has a slot of its own.
struct Scene {
    outbox: Arc<Outbox>,
    topics: [Arc<Topic>; 2],
    lanes: Vec<LaneHandle>,
}

impl Scene {
    /// Creates an outbox whose topics are on these servers, all of which are connected.
    fn new(owners: [u16; 2]) -> Self {
        let topics = ["{a}", "{b}"].map(|name| Topic::new(name.to_owned(), ChannelKind::Sharded));
        let outbox = Outbox::new(ChannelKind::Sharded);
        let lanes = Vec::new();
        let mut scene = Self {
            outbox,
            topics,
            lanes,
        };
        scene.show(owners);
        for lane in &scene.lanes {
            lane.set_health(&Health::Works);
        }
        scene
    }

    fn show(&mut self, owners: [u16; 2]) {
        let mut slots = SlotMap::default();
        for (topic, owner) in self.topics.iter().zip(owners) {
            slots.moved(topic.slot, server(owner));
        }
        let slots = Arc::new(slots);
        let unknown = None;
        self.outbox.set_view(&ClusterView { slots, unknown });
        self.lanes.extend(LaneHandle::start_all(&self.outbox));
    }

    fn lane(&self, number: u16) -> &LaneHandle {
        let mut lanes = self.lanes.iter();
        let lane = lanes.find(|lane| *lane.server() == server(number));
        lane.expect("a lane")
    }

    fn try_put(&self, topic: usize, byte: u8) -> Result<(), BusError> {
        self.outbox.put(OutboxMessage::signal(
            Arc::clone(&self.topics[topic]),
            Bytes::from(vec![byte]),
        ))
    }

    fn put(&self, topic: usize, byte: u8) {
        self.try_put(topic, byte).expect("it is accepted");
    }

    fn awaited(&self, topic: usize) -> oneshot::Receiver<Result<(), BusError>> {
        let topic = Arc::clone(&self.topics[topic]);
        let (message, outcome) = OutboxMessage::awaited(topic, Bytes::from_static(b"!"));
        self.outbox.put(message).expect("it is accepted");
        outcome
    }
}

/// Returns the payloads, of one byte each.
fn bytes(batch: &[OutboxMessage]) -> Vec<u8> {
    let content = batch.iter().map(|message| {
        let mut written = Vec::new();
        message.write(&mut written);
        written[written.len() - 3]
    });
    content.collect()
}

fn published(count: usize) -> Vec<PublishReply> {
    vec![PublishReply::Nodes(1); count]
}

#[tokio::test]
async fn moved_messages_precede_those_queued_behind_them() {
    let scene = Scene::new([1, 2]);
    (1..4).for_each(|byte| scene.put(0, byte));
    let batch = scene.lane(1).batch();
    (4..6).for_each(|byte| scene.put(0, byte));
    let moved = || PublishReply::Moved(server(2), "MOVED".into());
    let replies = [PublishReply::Nodes(1), moved(), moved()];
    scene.lane(1).answered(batch, &replies);
    let sent = scene.lane(2).batch();
    assert_eq!(bytes(&sent), [2, 3, 4, 5]);
    assert_eq!(scene.lane(1).due().now_or_never(), Some(false), "it ends");
}

#[tokio::test]
async fn slot_waits_for_the_replies_to_what_was_sent_before() {
    let mut scene = Scene::new([1, 2]);
    scene.put(0, 1);
    let batch = scene.lane(1).batch();
    scene.show([2, 2]);
    scene.put(0, 2);
    scene.put(1, 3);
    let other = scene.lane(2).batch();
    assert_eq!(bytes(&other), [3], "the order of a slot would be lost");
    scene.lane(2).answered(other, &published(1));
    scene.lane(1).answered(batch, &published(1));
    let sent = scene.lane(2).batch();
    assert_eq!(bytes(&sent), [2]);
}

#[tokio::test]
async fn lost_server_stops_only_its_own_slots() {
    let mut scene = Scene::new([1, 2]);
    assert_eq!(*scene.outbox.health().borrow(), Health::Works);
    scene.lane(1).set_health(&Health::fails("refused"));
    assert_eq!(scene.outbox.epoch(), 1, "what it knew of interest is void");
    let health = scene.outbox.health();
    let cause = health.borrow().cause().map(ToString::to_string);
    assert_eq!(cause.as_deref(), Some("host:1: refused"));
    // Signals wait for a second.
    scene.put(0, 1);
    scene.put(1, 2);
    let sent = scene.lane(2).batch();
    assert_eq!(bytes(&sent), [2]);
    scene.lane(2).answered(sent, &published(1));
    // Another server takes over, before it is connected.
    scene.show([3, 2]);
    assert!(!health.borrow().works(), "it may be lost as well");
    scene.put(0, 3);
    scene.lane(3).set_health(&Health::Works);
    assert!(health.borrow().works());
    let sent = scene.lane(3).batch();
    assert_eq!(bytes(&sent), [1, 3]);
}

#[tokio::test]
async fn new_server_fails_a_working_bus_only_after_its_first_attempt() {
    let mut scene = Scene::new([1, 2]);
    let health = scene.outbox.health();
    scene.show([3, 2]);
    assert!(health.borrow().works());
    scene.lane(3).set_health(&Health::fails("refused"));
    assert!(!health.borrow().works());
}

#[tokio::test]
async fn flush_waits_for_the_messages_of_its_slot_only() {
    let mut scene = Scene::new([1, 2]);
    scene.put(0, 1);
    scene.put(1, 2);
    let (first, second) = (scene.lane(1).batch(), scene.lane(2).batch());
    let outbox = Arc::clone(&scene.outbox);
    let (a, b) = (scene.topics[0].slot, scene.topics[1].slot);
    assert_eq!(outbox.flush(a).now_or_never(), None);
    scene.lane(1).answered(first, &published(1));
    assert_eq!(outbox.flush(a).now_or_never(), Some(()));
    assert_eq!(outbox.flush(b).now_or_never(), None);
    // It follows the messages to another lane.
    let mut flushed = Box::pin(outbox.flush(b));
    assert_eq!((&mut flushed).now_or_never(), None);
    scene.show([1, 1]);
    let replies = [PublishReply::Moved(server(1), "MOVED".into())];
    scene.lane(2).answered(second, &replies);
    assert_eq!((&mut flushed).now_or_never(), None);
    let moved = scene.lane(1).batch();
    scene.lane(1).answered(moved, &published(1));
    assert_eq!(flushed.now_or_never(), Some(()));
}

#[tokio::test]
async fn slots_without_an_owner_are_refused_with_the_cause() {
    let topic = Topic::new("{a}".to_owned(), ChannelKind::Sharded);
    let outbox = Outbox::new(ChannelKind::Sharded);
    let put = || {
        let message = OutboxMessage::signal(Arc::clone(&topic), Bytes::new());
        outbox.put(message).expect_err("no owner").to_string()
    };
    assert!(put().contains("there is no connection yet"), "{}", put());
    let slots = Arc::new(SlotMap::default());
    let unknown = Some("no server answers".into());
    outbox.set_view(&ClusterView { slots, unknown });
    assert!(put().contains("no server answers"), "{}", put());
    assert_eq!(
        *outbox.health().borrow(),
        Health::fails("no server answers")
    );
    let mut slots = SlotMap::default();
    slots.moved(
        Topic::new("{b}".to_owned(), ChannelKind::Sharded).slot,
        server(1),
    );
    let slots = Arc::new(slots);
    let unknown = None;
    outbox.set_view(&ClusterView { slots, unknown });
    assert!(put().contains("no server owns the slot"), "{}", put());
}

#[tokio::test]
async fn servers_that_disagree_do_not_exchange_a_message_without_pause() {
    let scene = Scene::new([1, 2]);
    let mut outcome = scene.awaited(0);
    let retries = || {
        let samples = scene.outbox.samples();
        let retries = samples.iter().find(|one| one.metric == "weir.bus.retries");
        retries.expect("a sample").value
    };
    for lane in [1, 2, 1, 2, 1] {
        assert_eq!(retries(), 0.0, "it is sent on at once");
        let batch = scene.lane(lane).batch();
        assert_eq!(batch.len(), 1);
        let replies = [PublishReply::Moved(server(3 - lane), "MOVED".into())];
        scene.lane(lane).answered(batch, &replies);
    }
    assert_eq!(retries(), 1.0, "it pauses");
    assert!(outcome.try_recv().is_err());
    // The new connection ends the pause.
    scene.lane(2).set_health(&Health::Works);
    assert_eq!(scene.lane(2).batch().len(), 1);
}
