//! Settings in `[rooms]`.

mod common;

use std::time::Duration;

use serde_json::json;
use weir_testkit::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn room_above_max_rooms_is_refused_until_another_ends() {
    let node = common::node(&[
        ("WEIR_ROOMS__MAX_ROOMS", "1"),
        ("WEIR_ROOMS__EMPTY_TTL_MS", "1"),
        // Joining creates the room, so that it is empty only after the leave.
        ("WEIR_ROOMS__CREATE_ON_JOIN", "true"),
        ("WEIR_LIMITS__REQUESTS_PER_SECOND", "1000000"),
        ("WEIR_LIMITS__REQUEST_BURST", "1000000"),
    ])
    .await;
    let client = common::connect(&node).await;
    common::ask(&client, "room:join", json!({"room": "first"})).await;
    let other = common::connect(&node).await;
    let code = common::refusal(&other, "room:create", json!({})).await;
    assert_eq!(code, "rate_limited");

    common::ask(&client, "room:leave", json!({})).await;
    eventually("the empty room ends", Duration::from_secs(10), async || {
        let answer = other.request("room:create", json!({})).await.ok()?;
        (answer["ok"] == true).then_some(())
    })
    .await;
}
