//! Slot migrations, failovers, killed connections and address changes of Redis under load. Each
//! room hears each node again within 3 s. Acknowledged messages arrive exactly once. No node
//! reports ready while it is deaf.
//!
//! `WEIR_TEST_FAULTS_ROUNDS` sets the number of rounds of each fault; the default is two.

#![allow(clippy::print_stdout, reason = "a run says what it has measured")]

#[path = "../common/mod.rs"]
mod common;
mod participant;
mod scene;

use std::time::Duration;

use scene::Scene;
use tokio::time::{MissedTickBehavior, interval};
use weir_testkit::{Forwarder, RedisServer};

fn rounds() -> usize {
    let rounds = std::env::var("WEIR_TEST_FAULTS_ROUNDS").ok();
    let rounds = rounds.map(|text| text.parse().expect("WEIR_TEST_FAULTS_ROUNDS is a number"));
    rounds.unwrap_or(2)
}

/// Returns rooms in slots of each of the three primaries.
fn rooms(redis: &RedisServer) -> Vec<String> {
    let mut rooms: [Option<String>; 3] = Default::default();
    for room in (0..).map(|n| format!("hall{n}")) {
        let shard = usize::try_from(redis.slot(&room) / 5_462).expect("one of three");
        rooms[shard].get_or_insert(room);
        if rooms.iter().all(Option::is_some) {
            break;
        }
    }
    rooms.into_iter().flatten().collect()
}

/// `redis/node-redis#3311` and `StackExchange/StackExchange.Redis#2969`: after a slot migration,
/// only a push message reports the end of a subscription.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_survive_slot_migrations_and_failovers() {
    let redis = RedisServer::cluster_with_replicas().await;
    let rooms = rooms(&redis);
    let scene = Scene::start(redis.url(), &rooms).await;
    // At most six per minute: a node of Redis 7.0 that is elected twice within 8 s counts its old
    // votes. It then takes over with an epoch to which its primary does not yield.
    let mut minute = interval(Duration::from_secs(10));
    minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for round in 0..rounds() {
        if round > 1 {
            minute.tick().await;
        }
        for room in &rooms {
            let slot = redis.slot(room);
            let primaries: Vec<_> = [0, 6_000, 12_000].map(|slot| redis.primary(slot)).into();
            let from = redis.primary(slot);
            let to = primaries.iter().find(|to| **to != from);
            redis.move_slot(slot, *to.expect("another"));
        }
        scene.until_everybody_hears("slots have moved").await;
        redis
            .fail_over(redis.slot(&rooms[round % rooms.len()]))
            .await;
        scene
            .until_everybody_hears("a replica has taken over")
            .await;
    }
    scene.end().await;
}

/// `redis/redis#3559`: subscriptions end with their connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_survive_killed_subscriber_connections() {
    let redis = RedisServer::standalone().await;
    let scene = Scene::start(redis.url(), &["hall".to_owned(), "yard".to_owned()]).await;
    // The test needs real time.
    let mut kills = interval(Duration::from_secs(1));
    kills.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..12 * (rounds() - 1) {
        kills.tick().await;
        redis.processes[0].cli(&["client", "kill", "type", "pubsub"]);
    }
    scene.until_everybody_hears("connections were killed").await;
    scene.end().await;
}

/// `redis/go-redis#583`: the old master keeps running, and keeps its connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_survive_sentinel_failover_with_live_old_master() {
    let redis = RedisServer::sentinel().await;
    let scene = Scene::start(redis.url(), &["hall".to_owned(), "yard".to_owned()]).await;
    for _ in 0..rounds() {
        redis.sentinel_failover().await;
        scene
            .until_everybody_hears("Sentinels have failed over")
            .await;
    }
    scene.end().await;
}

/// `ghostdogpr/sage#108`: an address that changes its server, while the old server continues as a
/// replica.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_leave_a_demoted_primary() {
    let redis = RedisServer::replicated().await;
    let forwarder = Forwarder::to(redis.processes[0].port).await;
    let scene = Scene::start(
        &forwarder.redis_url(),
        &["hall".to_owned(), "yard".to_owned()],
    )
    .await;
    for round in 0..rounds() {
        let (old, new) = (round % 2, (round + 1) % 2);
        redis.hand_over(old, new).await;
        forwarder.redirect(redis.processes[new].port);
        scene
            .until_everybody_hears("the address leads to another")
            .await;
        // Nodes that stay on the old server hear each other, but no other node.
        redis.until_left(old, "pubsub").await;
        redis.until_left(old, "normal").await;
        scene
            .until_everybody_hears("all have left the old one")
            .await;
        redis.until_in_sync(new, old).await;
    }
    scene.end().await;
}
