//! Both planes connect with every valid Redis URL.
//!
//! Passwords: redis/node-redis#1716, hepengju/redis-me#68, wooga/eredis#79; fred 10.1.0 writes
//! `HELLO` as one unquoted line (redis-protocol 6.0.0, `gen_hello` in `resp3/encode.rs`). IPv6:
//! redis/node-redis#2734, redis/hiredis#276. Sentinels: redis/redis-py#1172.

mod common;
mod planes;

use std::sync::Arc;

use common::Nobody;
use planes::{Planes, new_room};
use weir_cluster::{Bus, Directory, Signal};
use weir_protocol::{RoomId, TrackId};
use weir_redis::Target;
use weir_testkit::RedisServer;

/// Returns all printable ASCII characters, and some of other scripts.
fn characters() -> Vec<char> {
    (' '..='~').chain(['é', '語', '🗝']).collect()
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Asserts that both planes become healthy and execute operations.
async fn both_work(target: &Target, prefix: &str) {
    let planes = Planes::new(target, prefix);
    planes.until_healthy(|| target.to_string()).await;
    let Planes { directory, bus } = planes;
    let room = RoomId::made("room");
    let created = directory.create(new_room(&room)).await;
    created.expect("the directory works");
    let listening = bus.listen(&room, Arc::new(Nobody)).await;
    let _listening = listening.expect("the bus delivers signals");
    let signal = Signal::KeyframeRequested(TrackId(1));
    let sent = bus.signals(&room).send(&signal);
    sent.expect("the bus accepts signals");
    bus.flush(&room).await;
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
async fn passwords_may_contain_every_printable_character() {
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
async fn user_names_may_be_percent_encoded() {
    let server = RedisServer::standalone().await;
    let port = server.processes[0].port;
    allow(&server, 0, "me@home/&é", "p w\"");
    let name = percent_encoded("me@home/&é");
    let url = format!("redis://{name}:p%20w%22@127.0.0.1:{port}");
    both_work(&target(&url), "names").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ipv6_address_is_reachable() {
    let server = RedisServer::standalone_with("bind 127.0.0.1 ::1").await;
    let port = server.processes[0].port;
    both_work(&target(&format!("redis://[::1]:{port}")), "ipv6").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_is_reachable_by_ipv6_addresses() {
    let server = RedisServer::cluster_on("::1").await;
    both_work(&target(server.url()), "ipv6").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_are_reachable_by_ipv6_addresses_and_name_one() {
    let server = RedisServer::sentinel_on("::1").await;
    both_work(&target(server.url()), "ipv6").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_with_separate_credentials_are_queried() {
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
