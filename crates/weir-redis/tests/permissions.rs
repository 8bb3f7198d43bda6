//! The Redis permissions in docs/redis.md are sufficient: a node needs no others.

mod common;

use std::{sync::Arc, time::Duration};

use common::{Nobody, options};
use tokio::time::timeout;
use weir_cluster::{Bus, Directory, NewMember, NewRoom};
use weir_protocol::{Json, LeaveReason, MemberId, RoomId};
use weir_redis::{Health, RedisBus, RedisDirectory};
use weir_testkit::RedisServer;

const SOON: Duration = Duration::from_secs(30);

const DOCUMENTED: &str = include_str!("../../../docs/redis.md");

/// Creates the documented user on the servers that hold data, and uses it.
async fn documented_user_is_enough(redis: RedisServer, servers: usize, url: String) {
    let block = DOCUMENTED.split("```acl\n").nth(1).expect("the rules");
    let rules = block.split("```").next().expect("their end");
    let rules = rules.replace("PASSWORD", "secret");
    let words: Vec<_> = rules.split_whitespace().skip(1).collect();
    for server in &redis.processes[..servers] {
        let made = server.cli(&[&["acl", "setuser"], &words[..]].concat());
        assert_eq!(made, "OK");
    }
    let target = url.parse().expect("a Redis");
    let options = options("weir");
    let directory = RedisDirectory::new(&target, &options, Arc::new(Nobody)).expect("a target");
    let bus = RedisBus::new(&target, "weir");
    let planes = [
        directory.health(),
        directory.hears(),
        bus.hears(),
        bus.publishes(),
    ];
    for mut health in planes {
        let works = {
            let waited = timeout(SOON, health.wait_for(Health::works));
            waited.await.is_ok()
        };
        let refused = || {
            let servers = redis.processes[..servers].iter();
            servers
                .map(|server| server.cli(&["acl", "log"]))
                .collect::<String>()
        };
        assert!(works, "{:?}; {}", health.borrow(), refused());
    }
    for number in 0..9 {
        let room = RoomId::made(&format!("room{number}"));
        let new = NewRoom {
            id: room.clone(),
            metadata: Json::empty_object(),
            max_members: 2,
        };
        directory.create(new).await.expect("it creates");
        let _watch = directory.watch(&room).await.expect("it watches");
        let _listening = bus
            .listen(&room, Arc::new(Nobody))
            .await
            .expect("it listens");
        let member = NewMember {
            id: MemberId::new("m"),
            name: String::new(),
            metadata: Json::empty_object(),
            create_missing: None,
        };
        let id = member.id.clone();
        directory.join(&room, member).await.expect("it joins");
        let left = directory.leave(&room, &id, LeaveReason::Left).await;
        left.expect("it leaves");
    }
    directory.resign().await.expect("it resigns");
    for server in &redis.processes[..servers] {
        let refused = server.cli(&["acl", "log"]);
        let harmless = |line: &&str| line.contains("client|setinfo");
        assert!(
            refused.is_empty() || refused.lines().any(|line| harmless(&line)),
            "{refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_server() {
    let redis = RedisServer::standalone().await;
    let url = redis.url().replace("redis://", "redis://weir:secret@") + "/3";
    documented_user_is_enough(redis, 1, url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_redis_cluster() {
    let redis = RedisServer::cluster().await;
    let url = redis.url().replace("://", "://weir:secret@");
    documented_user_is_enough(redis, 3, url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_sentinels() {
    let redis = RedisServer::sentinel().await;
    let url = redis.url().replace("://", "://weir:secret@");
    documented_user_is_enough(redis, 2, url).await;
}
