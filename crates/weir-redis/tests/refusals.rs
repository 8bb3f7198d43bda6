//! Error replies of Redis: the requester gets them with Redis' text, or a retry succeeds.
//!
//! The errors are real ones. A primary that becomes a replica: redis-rb/redis-client#69,
//! redis/redis-py#935, n8n-io/n8n#25038.

mod common;

use std::{
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::{Nobody, options};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::AbortHandle,
    time::Instant,
};
use weir_cluster::{Directory, NewMember};
use weir_protocol::{Json, MemberId, RoomId};
use weir_redis::{Health, RedisDirectory};
use weir_testkit::{RedisServer, eventually};

const SOON: Duration = Duration::from_secs(30);

/// Maximum time until a requester gets an answer, per command.
const ANSWERED: Duration = Duration::from_secs(2);

async fn directory(url: &str) -> RedisDirectory {
    let options = options("test");
    let target = url.parse().expect("a Redis");
    let directory = RedisDirectory::new(&target, &options, Arc::new(Nobody));
    let directory = directory.expect("a good target");
    let mut health = directory.health();
    health.wait_for(Health::works).await.expect("it lives");
    directory
}

async fn join(directory: &RedisDirectory, room: &str) -> Result<(), String> {
    static MEMBERS: AtomicUsize = AtomicUsize::new(0);
    let member = NewMember {
        id: MemberId::new(&MEMBERS.fetch_add(1, Ordering::Relaxed).to_string()),
        name: "somebody".to_owned(),
        metadata: Json::empty_object(),
        create_missing: Some(1_000),
    };
    let start = Instant::now();
    let joined = directory.join(&RoomId::made(room), member).await;
    // Joining sends two commands in sequence.
    assert!(start.elapsed() < 2 * ANSWERED, "{:?}", start.elapsed());
    joined.map(drop).map_err(|error| error.to_string())
}

async fn until_health_is(directory: &RedisDirectory, wanted: bool) {
    let mut health = directory.health();
    let what = format!("the directory's health is {wanted}");
    eventually(&what, SOON, async || {
        (health.borrow_and_update().works() == wanted).then_some(())
    })
    .await;
}

/// Starts a command that does not end by itself.
fn blocking(server: &RedisServer, arguments: &[&str]) -> Child {
    Command::new("redis-cli")
        .args(["-p", &server.processes[0].port.to_string()])
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-cli runs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lasting_errors_reach_the_requester_and_fail_the_health() {
    let server = RedisServer::standalone_with("enable-protected-configs yes").await;
    let redis = &server.processes[0];
    let cli = |arguments: &str| {
        let answer = redis.cli(&arguments.split(' ').collect::<Vec<_>>());
        assert!(answer.starts_with("OK"), "{arguments}: {answer}");
    };
    let all = "acl setuser node on >pw ~* &* +@all";
    cli(all);
    let url = server.url().replace("redis://", "redis://node:pw@");
    let directory = directory(&url).await;
    // Commands that cause the error, its code, and commands that end it.
    let cases: &[(&[&str], &str, &[&str])] = &[
        (
            &["config set maxmemory 1"],
            "OOM",
            &["config set maxmemory 0"],
        ),
        (
            &["config set min-replicas-to-write 1"],
            "NOREPLICAS",
            &["config set min-replicas-to-write 0"],
        ),
        (&["acl setuser node -@write"], "NOPERM", &[all]),
        (&["acl setuser node -evalsha -eval"], "NOPERM", &[all]),
        (
            &["replicaof 127.0.0.1 1"],
            "READONLY",
            &["replicaof no one"],
        ),
        (
            &[
                "config set replica-serve-stale-data no",
                "config set replica-read-only no",
                "replicaof 127.0.0.1 1",
            ],
            "MASTERDOWN",
            &[
                "replicaof no one",
                "config set replica-serve-stale-data yes",
                "config set replica-read-only yes",
            ],
        ),
    ];
    for (n, (begin, code, end)) in cases.iter().enumerate() {
        begin.iter().for_each(|command| cli(command));
        let refused = join(&directory, &format!("refused{n}")).await;
        let refused = refused.expect_err(code);
        assert!(refused.contains(code), "{code}: {refused}");
        until_health_is(&directory, false).await;
        end.iter().for_each(|command| cli(command));
        until_health_is(&directory, true).await;
        let created = join(&directory, &format!("created{n}")).await;
        created.unwrap_or_else(|error| panic!("after {code}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn error_of_a_server_that_cannot_save_reaches_the_requester() {
    let server = RedisServer::standalone_with("enable-protected-configs yes").await;
    let redis = &server.processes[0];
    let directory = directory(server.url()).await;
    for (name, value) in [
        ("save", "3600 1"),
        ("stop-writes-on-bgsave-error", "yes"),
        ("dbfilename", "taken.rdb"),
    ] {
        assert_eq!(redis.cli(&["config", "set", name, value]), "OK", "{name}");
    }
    let folder = redis.cli(&["config", "get", "dir"]);
    let folder = folder.lines().last().expect("a folder").to_owned();
    let file = std::path::Path::new(&folder).join("taken.rdb");
    std::fs::create_dir_all(file.join("inside")).expect("a folder in the file's place");
    redis.cli(&["set", "something", "1"]);
    redis.cli(&["bgsave"]);
    let refused = eventually("it is refused", SOON, async || {
        join(&directory, "room").await.err()
    })
    .await;
    assert!(refused.contains("MISCONF"), "{refused}");
    until_health_is(&directory, false).await;
    assert_eq!(redis.cli(&["config", "set", "save", ""]), "OK");
    until_health_is(&directory, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_errors_are_retried_and_long_ones_reported() {
    let server = RedisServer::standalone_with("lua-time-limit 50").await;
    let directory = directory(server.url()).await;
    let mut script = blocking(&server, &["eval", "while true do end", "0"]);
    let redis = &server.processes[0];
    eventually("Redis is busy", SOON, async || {
        redis.cli(&["get", "x"]).contains("BUSY").then_some(())
    })
    .await;
    let refused = join(&directory, "refused").await.expect_err("busy");
    assert!(refused.contains("BUSY"), "{refused}");
    until_health_is(&directory, false).await;
    let (created, killed) = tokio::join!(join(&directory, "room"), async {
        redis.cli(&["script", "kill"])
    });
    assert_eq!(killed, "OK");
    created.expect("it was tried again");
    script.wait().expect("it ends");
    until_health_is(&directory, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn error_of_a_cluster_without_all_slots_reaches_the_requester() {
    let server = RedisServer::cluster().await;
    let directory = directory(server.url()).await;
    let slot = server.slot("room");
    let owner = &server.processes[server.primary(slot)];
    let slot = slot.to_string();
    for process in &server.processes {
        process.cli(&["config", "set", "cluster-require-full-coverage", "no"]);
        process.cli(&["cluster", "delslots", &slot]);
    }
    let refused = join(&directory, "room").await.expect_err("no owner");
    // The error of Redis, or that of a client whose slot map has no owner.
    let told = ["CLUSTERDOWN", "Missing server for hash slot"];
    assert!(told.iter().any(|part| refused.contains(part)), "{refused}");
    assert_eq!(owner.cli(&["cluster", "addslots", &slot]), "OK");
    eventually("the slot is served again", SOON, async || {
        let joined = join(&directory, "room").await;
        joined.inspect_err(|error| println!("{error}")).ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_follow_a_migrating_slot() {
    let server = RedisServer::cluster().await;
    let directory = directory(server.url()).await;
    for round in 0..3 {
        for to in 0..3 {
            server.move_slot(server.slot("room"), to);
            let name = "room";
            let created = join(&directory, name).await;
            let exists = created
                .as_ref()
                .is_err_and(|error| error.contains("exists"));
            assert!(
                created.is_ok() || exists,
                "round {round} to {to}: {created:?}"
            );
        }
    }
}

/// Address with a changing server, like a DNS name.
struct Address {
    port: u16,
    target: watch::Sender<u16>,
    task: AbortHandle,
}

impl Address {
    async fn of(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").port();
        let (target, targets) = watch::channel(port);
        let task = tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                let port = *targets.borrow();
                tokio::spawn(async move {
                    if let Ok(mut to) = TcpStream::connect(("127.0.0.1", port)).await {
                        let _ = copy_bidirectional(&mut from, &mut to).await;
                    }
                });
            }
        });
        Self {
            port: address,
            target,
            task: task.abort_handle(),
        }
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_follow_an_address_to_another_primary() {
    let (old, new) = (
        RedisServer::standalone().await,
        RedisServer::standalone().await,
    );
    let (first, second) = (&old.processes[0], &new.processes[0]);
    let address = Address::of(first.port).await;
    let directory = directory(&format!("redis://127.0.0.1:{}", address.port)).await;
    join(&directory, "before").await.expect("it works");
    // The old primary continues as a replica, and keeps its connections.
    address.target.send_replace(second.port);
    let follow = ["replicaof", "127.0.0.1", &second.port.to_string()];
    assert_eq!(first.cli(&follow), "OK");
    join(&directory, "after")
        .await
        .expect("it went to the new primary");
    assert_eq!(second.cli(&["exists", "test:{after}:room"]), "1");
    until_health_is(&directory, true).await;
}
