//! What the tests of a whole node share.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;
use weir_testkit::{Client, Process, eventually};

/// How long what is meant to happen may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Starts a node with these variables set.
pub(crate) async fn node(variables: &[(&str, &str)]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--ops-listen",
            "127.0.0.1:0",
        ])
        .envs(variables.iter().copied());
    Process::start(command).await.expect("the node starts")
}

/// Starts a node of the cluster on `redis`, with these variables set, and waits until it is ready.
pub(crate) async fn cluster_node(redis: &str, variables: &[(&str, &str)]) -> Process {
    let mut variables = variables.to_vec();
    variables.push(("WEIR_REDIS__URL", redis));
    let node = node(&variables).await;
    until_ready(&node).await;
    node
}

/// Starts so many nodes of one cluster.
pub(crate) async fn cluster(redis: &str, count: usize, variables: &[(&str, &str)]) -> Vec<Process> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(cluster_node(redis, variables).await);
    }
    nodes
}

/// Waits until a node takes clients.
pub(crate) async fn until_ready(node: &Process) {
    let address = node.ops_listen().expect("the node said it");
    eventually("the node is ready", PATIENCE, async || {
        let answer = get(address, "/readyz").await;
        answer.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
}

/// Sends a signal, such as `STOP`, to a process.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = std::process::Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status();
    assert!(sent.expect("kill runs").success());
}

/// Variables that lift the limits on how often clients may do something.
pub(crate) const UNHURRIED: &[(&str, &str)] = &[
    ("WEIR_LIMITS__REQUESTS_PER_SECOND", "1000000"),
    ("WEIR_LIMITS__REQUEST_BURST", "1000000"),
    ("WEIR_LIMITS__CHUNKS_PER_SECOND", "1000000"),
    ("WEIR_LIMITS__INGEST_BITS_PER_SECOND", "100000000000"),
];

pub(crate) async fn connect(node: &Process) -> Client {
    Client::connect(node.listen()).await.expect("it connects")
}

/// Makes a request that must succeed.
pub(crate) async fn ask(client: &Client, event: &str, argument: Value) -> Value {
    let answer = client.request(event, argument).await.expect("an answer");
    assert_eq!(answer["ok"], true, "{event}: {answer}");
    answer
}

/// Makes a request that must fail; answers with the error's code.
pub(crate) async fn refusal(client: &Client, event: &str, argument: Value) -> String {
    let answer = client.request(event, argument).await.expect("an answer");
    assert_eq!(answer["ok"], false, "{event}: {answer}");
    code(&answer)
}

/// The code of a refusal, whose shape is checked.
pub(crate) fn code(answer: &Value) -> String {
    let error = &answer["error"];
    assert!(
        error["message"].is_string() && error["retryable"].is_boolean(),
        "{answer}"
    );
    error["code"].as_str().expect("a code").to_owned()
}

/// Creates a room; answers with its id.
pub(crate) async fn room(client: &Client) -> String {
    let created = ask(client, "room:create", json!({})).await;
    created["room"]["id"].as_str().expect("an id").to_owned()
}

/// Connects a client and joins it to a room.
pub(crate) async fn member(node: &Process, room: &str) -> Client {
    let client = connect(node).await;
    ask(&client, "room:join", json!({"room": room})).await;
    client
}

/// Publishes a track; answers with its id.
pub(crate) async fn publish(client: &Client, kind: &str) -> u64 {
    let published = ask(client, "track:publish", json!({"kind": kind, "codec": "x"})).await;
    published["track"]["id"].as_u64().expect("an id")
}

/// The sum of a metric over all samples that have the labels that are given, such as
/// `weir_egress_chunks_total{way="direct"}`.
pub(crate) async fn counter(node: &Process, wanted: &str) -> u64 {
    let address = node.ops_listen().expect("the node said it");
    let answer = get(address, "/metrics").await;
    let (name, labels) = wanted
        .trim_end_matches('}')
        .split_once('{')
        .unwrap_or((wanted, ""));
    let samples = answer.lines().filter_map(|line| {
        let (sample, value) = line.rsplit_once(' ')?;
        let (found, rest) = sample.split_once('{').unwrap_or((sample, ""));
        let wanted = found == name && labels.split(',').all(|label| rest.contains(label));
        wanted.then(|| value.parse::<u64>().expect("a whole number"))
    });
    let samples: Vec<_> = samples.collect();
    assert!(!samples.is_empty(), "no {wanted} in {answer}");
    samples.iter().sum()
}

pub(crate) async fn get(address: std::net::SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address)
        .await
        .expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .expect("it answers");
    answer
}
