//! Polling requests that are not what they should be.

mod common;

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Sends a request and reads until the node ends the connection.
async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let sent = stream.write_all(request.as_bytes()).await;
    sent.expect("it reads");
    let mut answer = String::new();
    let read = timeout(Duration::from_secs(30), stream.read_to_string(&mut answer)).await;
    read.expect("the connection ends").expect("it answers");
    answer
}

fn head(method: &str, query: &str, more: &str) -> String {
    format!(
        "{method} /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nhost: weir\r\n{more}\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_ends_ends_its_connection() {
    let node = common::node(&[]).await;
    let opened = ask(node.listen(), &head("GET", "", "connection: close\r\n")).await;
    let (_, body) = opened.split_once("\r\n\r\n").expect("an answer");
    let session: Value = serde_json::from_str(&body[1..]).expect("the session");
    let sid = session["sid"].as_str().expect("its id");
    let endless = head("POST", &format!("&sid={sid}"), "content-length: 9\r\n") + "4";
    let answer = ask(node.listen(), &endless).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let unknown = head(
        "POST",
        "&sid=nobody",
        "content-length: 1\r\nconnection: close\r\n",
    ) + "1";
    let answer = ask(node.listen(), &unknown).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}
