//! Acknowledged messages arrive exactly once and in order, whatever happens to Redis.
//!
//! Pub/sub drops what a subscriber misses: redis/redis#3559, redis/redis#4079. An error reply to
//! `PUBLISH` does not mean zero subscribers: socketio/socket.io-redis-adapter#425. Subscribers of
//! an old primary receive nothing: redis/redis#6545.

mod talkers;

use std::time::Duration;

use talkers::Talkers;
use tokio::time::{Instant, interval};
use weir_testkit::{RedisServer, eventually};

const SOON: Duration = Duration::from_secs(30);

/// Duration of the faults; the test needs real time.
const TROUBLE: Duration = Duration::from_secs(6);

/// Repeats an action while messages flow.
async fn repeat(every: Duration, mut act: impl FnMut()) {
    let mut ticks = interval(every);
    let end = Instant::now() + TROUBLE;
    while Instant::now() < end {
        ticks.tick().await;
        act();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_subscribers_miss_nothing() {
    let server = RedisServer::standalone().await;
    let talkers = Talkers::start(&server, 3).await;
    let talk = talkers.talk();
    repeat(Duration::from_millis(500), || {
        server.processes[0].cli(&["client", "kill", "type", "pubsub"]);
    })
    .await;
    let said = talk.stop().await;
    assert!(said.confirmed > 100, "{said:?}");
    talkers.until_all_is_heard(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_publishers_miss_nothing() {
    let server = RedisServer::standalone().await;
    let talkers = Talkers::start(&server, 2).await;
    let talk = talkers.talk();
    repeat(Duration::from_millis(700), || {
        server.processes[0].cli(&["client", "kill", "type", "normal", "skipme", "yes"]);
    })
    .await;
    let said = talk.stop().await;
    assert!(said.confirmed > 100, "{said:?}");
    talkers.until_all_is_heard(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_learn_of_a_blocked_redis_and_no_signal_is_delivered() {
    let server = RedisServer::standalone_with("lua-time-limit 100").await;
    let talkers = Talkers::start(&server, 2).await;
    let talk = talkers.talk();
    let port = server.processes[0].port.to_string();
    let mut blocking = std::process::Command::new("redis-cli")
        .args(["-p", &port, "eval", "while true do end", "0"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("redis-cli runs");
    eventually("a sender is told why", SOON, async || {
        talkers
            .refusals()
            .iter()
            .any(|why| why.contains("BUSY"))
            .then_some(())
    })
    .await;
    assert_eq!(server.processes[0].cli(&["script", "kill"]), "OK");
    blocking.wait().expect("it ends");
    let before = talkers.confirmed();
    eventually("messages flow again", SOON, async || {
        (talkers.confirmed() > before + 20).then_some(())
    })
    .await;
    talk.stop().await;
    talkers.until_all_is_heard(SOON).await;
    talkers.nothing_refused_was_heard();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_learn_of_a_missing_permission() {
    let server = RedisServer::standalone().await;
    let redis = &server.processes[0];
    let all = ["acl", "setuser", "node", "on", ">pw", "~*", "&*", "+@all"];
    assert_eq!(redis.cli(&all), "OK");
    let url = server.url().replace("redis://", "redis://node:pw@");
    let talkers = Talkers::start_at(&url, 2).await;
    assert_eq!(redis.cli(&["acl", "setuser", "node", "-publish"]), "OK");
    let refused = talkers.say(0).await.expect_err("it may not publish");
    assert!(refused.contains("NOPERM"), "{refused}");
    assert_eq!(redis.cli(&["acl", "setuser", "node", "+publish"]), "OK");
    talkers.say(0).await.expect("it may publish");
    talkers.until_all_is_heard(SOON).await;
    talkers.nothing_refused_was_heard();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrated_slots_lose_nothing() {
    let server = RedisServer::cluster_with_replicas().await;
    let talkers = Talkers::start(&server, 3).await;
    let slot = server.slot("room");
    let talk = talkers.talk();
    for _ in 0..2 {
        for to in 0..3 {
            let before = talkers.confirmed();
            server.move_slot(slot, to);
            eventually("messages flow", SOON, async || {
                (talkers.confirmed() > before + 20).then_some(())
            })
            .await;
        }
    }
    server.fail_over(slot).await;
    let before = talkers.confirmed();
    eventually("messages flow", SOON, async || {
        (talkers.confirmed() > before + 20).then_some(())
    })
    .await;
    talk.stop().await;
    talkers.until_all_is_heard(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demoted_primary_loses_nothing() {
    let server = RedisServer::sentinel().await;
    let talkers = Talkers::start(&server, 2).await;
    let talk = talkers.talk();
    let asked = server.processes[2].cli(&["sentinel", "failover", "m"]);
    assert_eq!(asked, "OK");
    server.until_another_master().await;
    // The old primary continues as a replica, which accepts `PUBLISH` but reaches no other
    // subscribers.
    eventually("it is a replica", SOON, async || {
        let role = server.processes[0].cli(&["role"]);
        role.starts_with("slave").then_some(())
    })
    .await;
    let before = talkers.heard();
    eventually("messages are heard", SOON, async || {
        (talkers.heard() > before + 20).then_some(())
    })
    .await;
    talk.stop().await;
    talkers.until_all_is_heard(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_listener_receives_no_old_signal() {
    let server = RedisServer::standalone().await;
    let mut talkers = Talkers::start(&server, 2).await;
    for _ in 0..10 {
        talkers.say(0).await.expect("it is published");
    }
    talkers.until_all_is_heard(SOON).await;
    talkers.add(&server).await;
    talkers.say(0).await.expect("it is published");
    talkers.until_all_is_heard(SOON).await;
    assert_eq!(talkers.heard_by(2), 1);
}
