//! Malformed polling requests.

use serde_json::Value;

use crate::common::{exchange, node};

fn head(method: &str, query: &str, more: &str) -> String {
    format!(
        "{method} /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nhost: weir\r\n{more}\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_polling_body_times_out_with_408() {
    let node = node(&[]).await;
    let opened = exchange(node.listen(), &head("GET", "", "connection: close\r\n")).await;
    let (_, body) = opened.split_once("\r\n\r\n").expect("an answer");
    let session: Value = serde_json::from_str(&body[1..]).expect("the session");
    let sid = session["sid"].as_str().expect("its id");
    let endless = head("POST", &format!("&sid={sid}"), "content-length: 9\r\n") + "4";
    let answer = exchange(node.listen(), &endless).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let unknown = head(
        "POST",
        "&sid=nobody",
        "content-length: 1\r\nconnection: close\r\n",
    ) + "1";
    let answer = exchange(node.listen(), &unknown).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}
