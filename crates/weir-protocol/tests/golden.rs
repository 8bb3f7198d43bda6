//! Packets are encoded and parsed as in the fixtures, which clients in other languages read too.

mod fixtures;
mod wire;

use bytes::Bytes;
use fixtures::{Case, bytes, placed, read, typed};
use serde_json::{Value, json};
use weir_protocol::{
    Ack, Change, Chunk, CloseReason, Code, Fault, Frame, GapReason, LeaveReason, Limits, Member,
    MemberId, Notice, Published, Request, RoomEvent, Snapshot,
};
use wire::SocketIoPacket;

/// Asserts that every event, reason or code has a fixture.
fn assert_all_covered<'a>(what: &str, wanted: impl Iterator<Item = &'a str>, cases: &[Case]) {
    let text: Vec<_> = cases.iter().map(|case| case.0.to_string()).collect();
    for wanted in wanted {
        let quoted = format!("\"{wanted}\"");
        let found = text.iter().any(|case| case.contains(&quoted));
        assert!(found, "no fixture for the {what} {wanted}");
    }
}

fn assert_encodes(case: &Case, frame: &Frame) {
    let (text, attachments) = wire::read(frame.bytes());
    let packet = SocketIoPacket::parse(&text);
    assert_eq!(text, case.text(), "{case}");
    assert_eq!(attachments, case.attachments(), "{case}");
    assert_eq!(frame.body(), packet.body, "{case}");
    assert_eq!(frame.ack(), packet.ack, "{case}");
    assert_eq!(
        frame.attachments().collect::<Vec<_>>(),
        attachments,
        "{case}"
    );
    let name = packet.ack.map_or(case.0["event"].as_str(), |_| None);
    let content: Value = serde_json::from_str(&packet.body).expect("an array");
    let wanted = [name.map(Value::from), Some(placed(&case.0["argument"]).0)];
    if !case.0["argument"].is_null() {
        assert_eq!(
            content,
            json!(wanted.into_iter().flatten().collect::<Vec<_>>()),
            "{case}"
        );
    }
}

fn change(event: &str, argument: &Value) -> Option<Change> {
    Some(match event {
        "member:joined" => Change::MemberJoined(typed(&argument["member"])),
        "member:updated" => Change::MemberUpdated(typed(&argument["member"])),
        "member:left" => Change::MemberLeft {
            id: typed(&argument["id"]),
            reason: typed(&argument["reason"]),
        },
        "track:published" => Change::TrackPublished(typed(&argument["track"])),
        "track:updated" => Change::TrackUpdated(typed(&argument["track"])),
        "track:unpublished" => Change::TrackUnpublished {
            id: typed(&argument["id"]),
            member: typed(&argument["member"]),
        },
        "room:updated" => Change::RoomUpdated(typed(&argument["room"])),
        "room:closed" => Change::RoomClosed {
            reason: typed(&argument["reason"]),
        },
        _ => return None,
    })
}

fn fault(value: &Value) -> Fault {
    let code = Code::ALL.iter().find(|code| value["code"] == code.as_str());
    let code = *code.expect("a code of the contract");
    assert_eq!(value["retryable"], code.retryable(), "{code}");
    Fault::new(code, typed::<String>(&value["message"]))
}

fn notice_frame(case: &Case) -> Frame {
    let (event, argument) = (
        case.0["event"].as_str().expect("a name"),
        &case.0["argument"],
    );
    if let Some(change) = change(event, argument) {
        let version = argument["version"].as_u64().unwrap_or_default();
        return Notice::Room(&RoomEvent { version, change }).frame();
    }
    match event {
        "message" => {
            let (data, attachments) = placed(&argument["data"]);
            Notice::Message {
                from: &typed::<MemberId>(&argument["from"]),
                topic: argument.get("topic").and_then(Value::as_str),
                data: &typed(&data),
                attachments: &attachments,
            }
            .frame()
        }
        "media:gap" => Notice::Gap {
            track: typed(&argument["track"]),
            from: typed(&argument["from"]),
            to: typed(&argument["to"]),
            reason: match argument["reason"].as_str() {
                Some("slow") => GapReason::Slow,
                Some("lost") => GapReason::Lost,
                other => panic!("{other:?} is no reason for a gap"),
            },
        }
        .frame(),
        "node:draining" => Notice::Draining {
            reconnect_in_ms: typed(&argument["reconnectInMs"]),
        }
        .frame(),
        "track:keyframe-requested" => Notice::KeyframeRequested(typed(&argument["track"])).frame(),
        "error" => Notice::Error {
            event: argument.get("event").and_then(Value::as_str),
            error: &fault(&argument["error"]),
        }
        .frame(),
        other => panic!("{other} is no notice"),
    }
}

#[test]
fn notices_encode_as_in_the_fixtures() {
    let cases = read("notices.json");
    for case in &cases {
        assert_encodes(case, &notice_frame(case));
    }
    // Chunks have a file of their own.
    let events = weir_protocol::event::SENT.iter().copied();
    assert_all_covered("event", events.filter(|name| *name != "media"), &cases);
    let left = LeaveReason::ALL.iter().map(|reason| reason.as_str());
    assert_all_covered("reason", left, &cases);
    let closed = [CloseReason::Expired, CloseReason::Closed];
    for reason in closed.map(|reason| json!(reason)) {
        assert_all_covered("reason", reason.as_str().into_iter(), &cases);
    }
}

fn ack_frame(argument: &Value, id: i64) -> Frame {
    let fields = argument.as_object().expect("an object");
    match fields.keys().map(String::as_str).collect::<Vec<_>>()[..] {
        ["ok"] => Ack::Done.frame(id),
        ["ok", "room"] => Ack::Room(&typed(&argument["room"])).frame(id),
        ["members", "ok", "room", "self", "tracks", "version"] => {
            let tracks = argument["tracks"].as_array().expect("a list");
            let snapshot = Snapshot {
                room: typed(&argument["room"]),
                members: typed(&argument["members"]),
                tracks: tracks.iter().map(typed).collect(),
                version: typed(&argument["version"]),
            };
            let member = &typed::<Member>(&argument["self"]);
            let snapshot = &snapshot;
            Ack::Joined { member, snapshot }.frame(id)
        }
        ["member", "ok"] => Ack::Member(&typed(&argument["member"])).frame(id),
        ["ok", "track"] => Ack::Track(&typed(&argument["track"])).frame(id),
        ["ok", "seq"] => Ack::Seq(typed(&argument["seq"])).frame(id),
        ["error", "ok"] => Ack::Failed(&fault(&argument["error"])).frame(id),
        ref other => panic!("{other:?} is no answer"),
    }
}

#[test]
fn acknowledgements_encode_as_in_the_fixtures() {
    for case in read("acknowledgements.json") {
        let id = case.0["id"].as_i64().expect("a number");
        assert_encodes(&case, &ack_frame(&case.0["argument"], id));
    }
}

#[test]
fn chunks_encode_as_in_the_fixtures() {
    for case in read("chunks.json") {
        let header = &case.0["header"];
        let chunk = Chunk {
            track: typed(&header["track"]),
            seq: typed(&header["seq"]),
            ts: typed(&header["ts"]),
            key: header.get("key").is_some_and(|key| key == true),
            dur: header.get("dur").map(typed),
            payload: bytes(&case.0["payload"]),
        };
        assert_encodes(&case, &chunk.frame());
    }
}

fn parse(name: &str, body: &str, attachments: Vec<Bytes>) -> Result<(String, Value), Fault> {
    let limits = Limits::default();
    if name == "media" {
        let payload = <&[_; 1]>::try_from(&attachments[..]).ok();
        let payload = payload.map(|[payload]| &**payload);
        let chunk = Published::parse(body, payload, &limits)?;
        return Ok((name.to_owned(), fixtures::chunk_meaning(&chunk)));
    }
    Request::parse(name, body, attachments, &limits).map(|request| fixtures::meaning(&request))
}

#[test]
fn requests_parse_as_in_the_fixtures() {
    let cases = read("requests.json");
    for case in &cases {
        let packet = SocketIoPacket::parse(&case.text());
        let attachments = case.attachments();
        assert_eq!(packet.attachments, attachments.len(), "{case}");
        assert_eq!(
            matches!(packet.kind, '5' | '6'),
            !attachments.is_empty(),
            "{case}"
        );
        let array: Vec<Value> = serde_json::from_str(&without_escapes(&packet.body))
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        let name = array[0].as_str().expect("a name");
        match parse(name, &packet.body, attachments) {
            Ok((request, meaning)) => {
                assert_eq!(case.0["request"], request, "{case}");
                assert_eq!(case.0["parsed"], meaning, "{case}");
            }
            Err(fault) => {
                let error = json!({ "code": fault.code.as_str(), "message": fault.message });
                assert_eq!(case.0["error"], error, "{case}");
            }
        }
    }
    let requests = weir_protocol::REQUESTS.iter().map(|request| request.event);
    assert_all_covered("request", requests.clone(), &cases);
    for request in requests {
        let accepted = cases.iter().any(|case| case.0["request"] == request);
        assert!(accepted, "no fixture in which {request} is accepted");
    }
}

/// Replaces what `serde_json` refuses (lone surrogates, large numbers), so that the name can be read.
fn without_escapes(body: &str) -> String {
    body.replace("\\u", "u").replace("1e999", "0")
}
