//! Slow subscribers.

mod common;

use common::{UNHURRIED, ask, counter, member, node, publish, room};
use serde_json::json;
use weir_testkit::{ConnectOptions, Incoming, ServerProcess, SocketClient};

const CHUNK: usize = 16 * 1024;
const GROUP: u64 = 30;

async fn slow_member(node: &ServerProcess, room: &str) -> SocketClient {
    let options = ConnectOptions {
        receive_buffer: Some(64 * 1024),
        ..ConnectOptions::default()
    };
    let client = SocketClient::connect_with(node.listen(), &options)
        .await
        .expect("it connects");
    ask(&client, "room:join", json!({"room": room})).await;
    client
}

async fn send(publisher: &SocketClient, track: u64, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let ts = i64::try_from(number).expect("small");
        publisher
            .send_media(track, ts, number % GROUP == 1, &vec![number as u8; CHUNK])
            .await
            .expect("it is sent");
    }
}

/// Subscriber that checks each event against the contract.
struct Subscriber {
    client: SocketClient,
    /// Number of the next chunk that is neither received nor announced as missing.
    next: u64,
    /// Whether the previous event announced a gap.
    gap: bool,
    gaps: usize,
    /// Events other than media.
    others: Vec<Incoming>,
}

impl Subscriber {
    fn new(client: SocketClient) -> Self {
        Self {
            client,
            next: 1,
            gap: false,
            gaps: 0,
            others: Vec::new(),
        }
    }

    /// Reads up to this chunk, or to the end of a gap that contains it.
    async fn read(&mut self, upto: u64) {
        while self.next <= upto {
            let event = self.client.next().await.expect("an event");
            if let Some((header, payload)) = event.media() {
                assert_eq!(header.seq, self.next, "a gap was not announced");
                assert!(!self.gap || header.key, "{header:?} after a gap");
                assert_eq!(payload.len(), CHUNK);
                assert!(payload.iter().all(|byte| *byte == header.seq as u8));
                (self.next, self.gap) = (self.next + 1, false);
            } else if event.event == "media:gap" {
                let gap = event.arg(0);
                assert_eq!(gap["from"], self.next, "{gap}");
                assert_eq!(gap["reason"], "slow", "{gap}");
                assert!(!self.gap, "two gaps in a row: {gap}");
                self.next = gap["to"].as_u64().expect("a number") + 1;
                self.gap = true;
                self.gaps += 1;
            } else {
                self.others.push(event);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paused_reader_misses_only_announced_media_and_no_event() {
    const GROUPS: u64 = 50;
    let node = node(UNHURRIED).await;
    let room = room(&common::connect(&node).await).await;
    let publisher = member(&node, &room).await;
    let track = publish(&publisher, "video").await;
    let mut quick = Subscriber::new(member(&node, &room).await);
    let slow = slow_member(&node, &room).await;
    slow.pause_reading();

    // One group fits into the quick subscriber's queue.
    for group in 0..GROUPS {
        send(&publisher, track, group * GROUP + 1..=(group + 1) * GROUP).await;
        ask(
            &publisher,
            "member:update",
            json!({"name": group.to_string()}),
        )
        .await;
        quick.read((group + 1) * GROUP).await;
    }
    assert_eq!(quick.gaps, 0);
    assert!(
        counter(&node, r#"weir_egress_dropped_total{reason="slow"}"#).await > 0,
        "nobody was slow"
    );

    slow.resume_reading();
    let sent = GROUPS * GROUP;
    let caught_up = tokio::spawn(async move {
        let mut slow = Subscriber::new(slow);
        slow.read(sent + 1).await;
        slow
    });
    // The stream continues until a key chunk ends the last gap.
    let mut number = sent;
    while !caught_up.is_finished() {
        number += 1;
        send(&publisher, track, number..=number).await;
        quick.read(number).await;
        assert!(number < 100 * sent, "no chunk gets through");
    }
    let slow = caught_up.await.expect("what it was told is in order");
    assert!(slow.gaps > 0);
    let names: Vec<_> = slow
        .others
        .iter()
        .filter(|event| event.event == "member:updated")
        .map(|event| event.arg(0)["member"]["name"].clone())
        .collect();
    let wanted: Vec<_> = (0..GROUPS).map(|group| json!(group.to_string())).collect();
    assert_eq!(names, wanted);
    assert!(counter(&node, "weir_egress_gaps_total").await >= slow.gaps as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_with_full_event_queue_is_closed_alone() {
    let node = node(UNHURRIED).await;
    let room = room(&common::connect(&node).await).await;
    let speaker = member(&node, &room).await;
    let mut witness = member(&node, &room).await;
    let slow = slow_member(&node, &room).await;
    slow.pause_reading();
    let talk = "x".repeat(60_000);
    let speaking = async {
        // Far more than a connection's queue and the kernel's buffers hold.
        for _ in 0..400 {
            ask(&speaker, "message", json!({"data": talk})).await;
        }
    };
    let witnessing = async {
        let (mut messages, mut left) = (0, None);
        while messages < 400 || left.is_none() {
            let event = witness.next().await.expect("the witness stays");
            match event.event.as_str() {
                "message" => messages += 1,
                "member:left" => left = Some(event.arg(0)["reason"].clone()),
                _ => {}
            }
        }
        left
    };
    let ((), left) = tokio::join!(speaking, witnessing);
    assert_eq!(left, Some(json!("disconnected")));
    assert_eq!(
        counter(&node, r#"weir_connection_closed_total{reason="slow"}"#).await,
        1
    );
    slow.resume_reading();
    slow.disconnected().await;
}
