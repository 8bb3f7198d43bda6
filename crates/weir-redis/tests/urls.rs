//! Both planes connect with every valid Redis URL.
//!
//! Passwords: redis/node-redis#1716, hepengju/redis-me#68, wooga/eredis#79; fred 10.1.0 writes
//! `HELLO` as one unquoted line (redis-protocol 6.0.0, `gen_hello` in `resp3/encode.rs`). IPv6:
//! redis/node-redis#2734, redis/hiredis#276. Sentinels: redis/redis-py#1172.

mod common;

use std::{sync::Arc, time::Duration};

use common::{Nobody, options};
use tokio::time::timeout;
use weir_cluster::{Bus, Directory, NewRoom, Signal};
use weir_protocol::{Json, RoomId, TrackId};
use weir_redis::{Health, RedisBus, RedisDirectory, Target};
use weir_testkit::RedisServer;

const SOON: Duration = Duration::from_secs(20);

/// Returns all printable ASCII characters, and some of other scripts.
fn characters() -> Vec<char> {
    (' '..='~').chain(['é', '語', '🗝']).collect()
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Asserts that both planes become healthy and execute operations.
async fn both_work(target: &Target, prefix: &str) {
    let options = options(prefix);
    let directory = RedisDirectory::new(target, &options, Arc::new(Nobody)).expect("a target");
    let bus = RedisBus::new(target, prefix);
    let planes = [
        ("directory", directory.health()),
        ("events", directory.hears()),
        ("subscriptions", bus.hears()),
        ("publishing", bus.publishes()),
    ];
    for (plane, mut health) in planes {
        let up = timeout(SOON, health.wait_for(Health::works)).await;
        assert!(up.is_ok(), "{plane} of {target} is not up");
    }
    let room = RoomId::made("room");
    let new = NewRoom {
        id: room.clone(),
        metadata: Json::empty_object(),
        max_members: 2,
    };
    directory.create(new).await.expect("the directory works");
    let _listening = bus
        .listen(&room, Arc::new(Nobody))
        .await
        .expect("the bus can be listened to");
    let signal = Signal::KeyframeRequested(TrackId(1));
    bus.signals(&room)
        .send(&signal)
        .expect("the bus takes signals");
    bus.flush().await;
}

fn target(url: &str) -> Target {
    url.parse().unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn allow(server: &RedisServer, process: usize, name: &str, password: &str) {
    let secret = format!(">{password}");
    let rights = ["on", &secret, "~*", "&*", "+@all"];
    let set = [&["acl", "setuser", name][..], &rights].concat();
    assert_eq!(server.processes[process].cli(&set), "OK", "{password:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_hold_every_printable_character() {
    let server = RedisServer::standalone().await;
    let port = server.processes[0].port;
    let every: String = characters().into_iter().collect();
    let single = characters().into_iter().map(|one| format!("a{one}b"));
    for (n, password) in single.chain([every]).enumerate() {
        let name = format!("user{n}");
        allow(&server, 0, &name, &password);
        let escaped = percent_encoded(&password);
        let url = format!("redis://{name}:{escaped}@127.0.0.1:{port}");
        both_work(&target(&url), &format!("escaped{n}")).await;
        // Characters that a URL can hold unescaped.
        let raw = format!("redis://{name}:{password}@127.0.0.1:{port}").parse::<Target>();
        if let Ok(raw) = raw {
            both_work(&raw, &format!("raw{n}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_names_may_be_escaped() {
    let server = RedisServer::standalone().await;
    let port = server.processes[0].port;
    allow(&server, 0, "me@home/&é", "p w\"");
    let name = percent_encoded("me@home/&é");
    let url = format!("redis://{name}:p%20w%22@127.0.0.1:{port}");
    both_work(&target(&url), "names").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ipv6_address_is_reached() {
    let server = RedisServer::standalone_with("bind 127.0.0.1 ::1").await;
    let port = server.processes[0].port;
    both_work(&target(&format!("redis://[::1]:{port}")), "ipv6").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_reached_by_ipv6_addresses() {
    let server = RedisServer::cluster_on("::1").await;
    both_work(&target(server.url()), "ipv6").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_are_reached_by_ipv6_addresses_and_name_one() {
    let server = RedisServer::sentinel_on("::1").await;
    both_work(&target(server.url()), "ipv6").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_with_passwords_of_their_own_are_asked() {
    let server = RedisServer::sentinel().await;
    allow(&server, 0, "node", "server's & own");
    allow(&server, 1, "node", "server's & own");
    for sentinel in 2..5 {
        allow(&server, sentinel, "watcher", "Sentinel's \"own\"");
        let set = ["acl", "setuser", "default", "resetpass", ">s3 &"];
        assert_eq!(server.processes[sentinel].cli(&set), "OK");
    }
    let hosts = server
        .url()
        .strip_prefix("redis-sentinel://")
        .expect("Sentinels");
    let url = format!("redis-sentinel://node:server's%20%26%20own@{hosts}");
    // With a user name, and with `requirepass` alone.
    let credentials = [("watcher", "Sentinel's \"own\""), ("", "s3 &")];
    for (n, (username, password)) in credentials.into_iter().enumerate() {
        let target = target(&url).with_sentinel_credentials(username, password);
        both_work(&target, &format!("sentinel{n}")).await;
    }
}
