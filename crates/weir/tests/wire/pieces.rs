//! Media and other events in one stream that is split anywhere.

use crate::common::{self, UNHURRIED, member, node, publish, room};
use bytes::BytesMut;
use serde_json::json;
use weir_testkit::{Opcode, put_frame};

/// Rounds of a chunk, a message, and a message with an attachment.
const ROUNDS: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_keep_their_order_however_the_stream_is_split() {
    let node = node(UNHURRIED).await;
    let opener = common::connect(&node).await;
    let room = room(&opener).await;
    let mut subscriber = member(&node, &room).await;
    for piece in [3, 61, 127, 700, 1_999, 5_003, 70_001, usize::MAX] {
        let publisher = member(&node, &room).await;
        let track = publish(&publisher, "data").await;
        let mut stream = BytesMut::new();
        for round in 1..=ROUNDS {
            let payload = vec![round as u8; round * round * 3];
            let header = json!({"track": track, "ts": round});
            let place = json!({"_placeholder": true, "num": 0});
            let media = json!(["media", header, place]);
            put_frame(&mut stream, Opcode::Text, format!("451-{media}").as_bytes());
            put_frame(&mut stream, Opcode::Binary, &payload);
            let message = json!(["message", {"data": round}]);
            put_frame(&mut stream, Opcode::Text, format!("42{message}").as_bytes());
            let message = json!(["message", {"data": place}]);
            put_frame(
                &mut stream,
                Opcode::Text,
                format!("451-{message}").as_bytes(),
            );
            put_frame(&mut stream, Opcode::Binary, &payload);
        }
        let sent = publisher.send_pieces(&stream, piece).await;
        sent.expect("it is sent");
        let mut heard = Vec::new();
        while heard.len() < 3 * ROUNDS {
            let event = subscriber.next().await.expect("an event");
            assert_ne!(event.event, "error", "{event:?}");
            if let Some((header, payload)) = event.media() {
                let round = header.seq as usize;
                assert_eq!(*payload, vec![round as u8; round * round * 3]);
                heard.push(("media", round));
            } else if event.event == "message" {
                let data = &event.arg(0)["data"];
                heard.push(match data.as_u64() {
                    Some(round) => ("message", round as usize),
                    None => ("attachment", event.attachments[0][0] as usize),
                });
            }
        }
        let rounds = (1..=ROUNDS)
            .flat_map(|round| [("media", round), ("message", round), ("attachment", round)]);
        assert_eq!(
            heard,
            rounds.collect::<Vec<_>>(),
            "in pieces of {piece} bytes"
        );
        publisher.close().await.expect("it is open");
    }
}

#[tokio::test]
async fn client_that_ends_within_a_chunk_leaves_like_any_other() {
    let node = node(&[]).await;
    let opener = common::connect(&node).await;
    let room = room(&opener).await;
    let mut subscriber = member(&node, &room).await;
    let publisher = member(&node, &room).await;
    let track = publish(&publisher, "data").await;
    let mut stream = BytesMut::new();
    let text =
        format!(r#"451-["media",{{"track":{track},"ts":1}},{{"_placeholder":true,"num":0}}]"#);
    put_frame(&mut stream, Opcode::Text, text.as_bytes());
    put_frame(&mut stream, Opcode::Binary, &[7; 5_000]);
    let begun = &stream[..stream.len() - 1];
    publisher.send_bytes(begun).await.expect("it is sent");
    publisher.vanish().await.expect("it is open");
    loop {
        let event = subscriber.next().await.expect("an event");
        assert!(event.media().is_none(), "the chunk was never whole");
        if event.event == "member:left" {
            break assert_eq!(event.arg(0)["reason"], "disconnected");
        }
    }
}
