//! Helpers of the tests of a whole node.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::timeout,
};
use weir_testkit::{ServerProcess, SocketClient, eventually};

/// Maximum wait for anything whose duration is not under test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Starts a node with these environment variables.
pub(crate) async fn node(variables: &[(&str, &str)]) -> ServerProcess {
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
    ServerProcess::start(command)
        .await
        .expect("the node starts")
}

/// Starts a node of the cluster on `redis` with these variables, and waits until it is ready.
pub(crate) async fn cluster_node(redis: &str, variables: &[(&str, &str)]) -> ServerProcess {
    let mut variables = variables.to_vec();
    variables.push(("WEIR_REDIS__URL", redis));
    let node = node(&variables).await;
    until_ready(&node).await;
    node
}

/// Starts `count` nodes of one cluster.
pub(crate) async fn cluster(
    redis: &str,
    count: usize,
    variables: &[(&str, &str)],
) -> Vec<ServerProcess> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(cluster_node(redis, variables).await);
    }
    nodes
}

/// Waits until a node accepts clients.
pub(crate) async fn until_ready(node: &ServerProcess) {
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

/// Variables that lift the rate limits.
pub(crate) const UNHURRIED: &[(&str, &str)] = &[
    ("WEIR_LIMITS__REQUESTS_PER_SECOND", "1000000"),
    ("WEIR_LIMITS__REQUEST_BURST", "1000000"),
    ("WEIR_LIMITS__CHUNKS_PER_SECOND", "1000000"),
    ("WEIR_LIMITS__INGEST_BITS_PER_SECOND", "100000000000"),
];

pub(crate) async fn connect(node: &ServerProcess) -> SocketClient {
    SocketClient::connect(node.listen())
        .await
        .expect("it connects")
}

/// Sends a request that must succeed. Returns its answer.
pub(crate) async fn ask(client: &SocketClient, event: &str, argument: Value) -> Value {
    let answer = client.request(event, argument).await.expect("an answer");
    assert_eq!(answer["ok"], true, "{event}: {answer}");
    answer
}

/// Sends a request that must fail. Returns the error's code.
pub(crate) async fn refusal(client: &SocketClient, event: &str, argument: Value) -> String {
    let answer = client.request(event, argument).await.expect("an answer");
    assert_eq!(answer["ok"], false, "{event}: {answer}");
    code(&answer)
}

/// Returns the code of a refusal. Asserts its shape.
pub(crate) fn code(answer: &Value) -> String {
    let error = &answer["error"];
    assert!(
        error["message"].is_string() && error["retryable"].is_boolean(),
        "{answer}"
    );
    error["code"].as_str().expect("a code").to_owned()
}

/// Creates a room. Returns its id.
pub(crate) async fn room(client: &SocketClient) -> String {
    let created = ask(client, "room:create", json!({})).await;
    created["room"]["id"].as_str().expect("an id").to_owned()
}

/// Joins a client to a room. Returns its member id.
pub(crate) async fn join(client: &SocketClient, room: &str) -> String {
    let joined = ask(client, "room:join", json!({"room": room})).await;
    joined["self"]["id"].as_str().expect("an id").to_owned()
}

/// Connects a client and joins it to a room.
pub(crate) async fn member(node: &ServerProcess, room: &str) -> SocketClient {
    member_with_id(node, room).await.0
}

/// Connects a client and joins it to a room. Returns its member id, too.
pub(crate) async fn member_with_id(node: &ServerProcess, room: &str) -> (SocketClient, String) {
    let client = connect(node).await;
    let id = join(&client, room).await;
    (client, id)
}

/// Publishes a track. Returns its id.
pub(crate) async fn publish(client: &SocketClient, kind: &str) -> u64 {
    let published = ask(client, "track:publish", json!({"kind": kind, "codec": "x"})).await;
    published["track"]["id"].as_u64().expect("an id")
}

/// Returns the sum of a metric over all samples with the given labels, as in
/// `weir_egress_chunks_total{way="direct"}`.
pub(crate) async fn counter(node: &ServerProcess, wanted: &str) -> u64 {
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

/// Gets a path by HTTP. Returns the whole answer.
pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n\r\n");
    exchange(address, &request).await
}

/// Sends an HTTP request as it is, and reads until the server closes the connection.
pub(crate) async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let sent = stream.write_all(request.as_bytes()).await;
    sent.expect("it reads");
    let mut answer = String::new();
    let read = timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
    read.expect("the connection ends").expect("it answers");
    answer
}
