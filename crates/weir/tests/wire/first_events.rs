//! Requests sent as soon as the client is connected.

use std::net::{IpAddr, Ipv4Addr};

use crate::common::node;
use serde_json::json;
use tokio::task::JoinSet;
use weir_testkit::{ConnectOptions, SocketClient};

const CONNECTIONS: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_request_of_each_of_1000_connections_is_answered() {
    let node = node(&[]).await;
    let address = node.listen();
    let mut asking = JoinSet::new();
    for index in 0..CONNECTIONS {
        asking.spawn(async move {
            let last = 1 + (index % 8) as u8;
            let options = ConnectOptions {
                source: Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))),
                ..ConnectOptions::default()
            };
            // Resolves in the tick that reads the answer to CONNECT.
            let client = SocketClient::connect_with(address, &options)
                .await
                .expect("it connects");
            let asked = client.request("room:create", json!({})).await;
            let answer = asked.unwrap_or_else(|error| panic!("connection {index}: {error}"));
            assert_eq!(answer["ok"], true, "connection {index}: {answer}");
            client
        });
    }
    assert_eq!(asking.join_all().await.len(), CONNECTIONS);
}
