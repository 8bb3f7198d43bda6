//! The Redis permissions in docs/redis.md are sufficient: a node needs no others.

mod common;
mod planes;

use std::sync::Arc;

use common::Nobody;
use planes::{Planes, new_room};
use weir_cluster::{Bus, Directory, NewMember};
use weir_protocol::{Json, LeaveReason, MemberId, RoomId};
use weir_testkit::RedisServer;

const DOCUMENTED: &str = include_str!("../../../docs/redis.md");

/// Creates the documented user on the servers that hold data.
fn create_documented_user(redis: &RedisServer, servers: usize) {
    let block = DOCUMENTED.split("```acl\n").nth(1).expect("the rules");
    let rules = block.split("```").next().expect("their end");
    let rules = rules.replace("PASSWORD", "secret");
    let words: Vec<_> = rules.split_whitespace().skip(1).collect();
    for server in &redis.processes[..servers] {
        let made = server.cli(&[&["acl", "setuser"], &words[..]].concat());
        assert_eq!(made, "OK");
    }
}

/// Performs every operation that needs a permission, in one room.
async fn use_room(Planes { directory, bus }: &Planes, room: &RoomId) {
    directory.create(new_room(room)).await.expect("it creates");
    let _watch = directory.watch(room).await.expect("it watches");
    let listening = bus.listen(room, Arc::new(Nobody)).await;
    let _listening = listening.expect("it listens");
    let member = NewMember {
        id: MemberId::new("m"),
        name: String::new(),
        metadata: Json::empty_object(),
        create_missing: None,
    };
    let id = member.id.clone();
    directory.join(room, member).await.expect("it joins");
    let left = directory.leave(room, &id, LeaveReason::Left).await;
    left.expect("it leaves");
}

/// Asserts that the documented user may do everything that a node does.
async fn documented_user_is_enough(redis: RedisServer, servers: usize, url: String) {
    create_documented_user(&redis, servers);
    let planes = Planes::new(&url.parse().expect("a Redis"), "weir");
    let refused = || {
        let servers = redis.processes[..servers].iter();
        servers.map(|server| server.cli(&["acl", "log"])).collect()
    };
    planes.until_healthy(refused).await;
    for number in 0..9 {
        use_room(&planes, &RoomId::made(&format!("room{number}"))).await;
    }
    planes.directory.resign().await.expect("it resigns");
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
async fn documented_user_suffices_on_one_server() {
    let redis = RedisServer::standalone().await;
    let url = redis.url().replace("redis://", "redis://weir:secret@") + "/3";
    documented_user_is_enough(redis, 1, url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documented_user_suffices_in_a_redis_cluster() {
    let redis = RedisServer::cluster().await;
    let url = redis.url().replace("://", "://weir:secret@");
    documented_user_is_enough(redis, 3, url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documented_user_suffices_with_sentinels() {
    let redis = RedisServer::sentinel().await;
    let url = redis.url().replace("://", "://weir:secret@");
    documented_user_is_enough(redis, 2, url).await;
}
