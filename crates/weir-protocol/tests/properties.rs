//! Properties of parsing and encoding for arbitrary input.

mod wire;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use weir_protocol::{Code, Fault, Frame, Limits, Published, REQUESTS, Request, TrackId};
use wire::SocketIoPacket;

/// Lengths around those at which a frame's header changes its form.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![0..300_usize, 124..129_usize, 65_500..65_600_usize]
}

fn payload() -> impl Strategy<Value = Bytes> {
    (length(), any::<u8>()).prop_map(|(length, byte)| vec![byte; length].into())
}

/// Arbitrary JSON, including that of a hostile client.
fn json_value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!(9_007_199_254_740_992_u64)),
        Just(json!(4_294_967_296_u64)),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number,
        any::<String>().prop_map(Value::from),
        prop_oneof![Just("audio"), Just("video"), Just("data")].prop_map(Value::from),
        (0..3_u64).prop_map(|n| json!({ "_placeholder": true, "num": n })),
        any::<bool>().prop_map(|marked| json!({ "_placeholder": marked, "x": 1 })),
    ];
    let names = REQUESTS
        .iter()
        .flat_map(|request| request.fields)
        .map(|field| field.name);
    let names: Vec<_> = names.chain(["_placeholder", "num"]).collect();
    leaf.prop_recursive(4, 24, 6, move |inner| {
        let key = prop_oneof![
            4 => prop::sample::select(names.clone()).prop_map(str::to_owned),
            1 => any::<String>(),
        ];
        let object = prop::collection::hash_map(key, inner.clone(), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            object.prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn event_name() -> impl Strategy<Value = String> {
    let known: Vec<_> = REQUESTS.iter().map(|request| request.event).collect();
    prop_oneof![
        9 => prop::sample::select(known).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

/// A field of a header, often a valid one.
fn header_field() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["track", "ts", "key", "dur", "other"]);
    let value = prop::sample::select(vec![
        "0",
        "7",
        "-1",
        "true",
        "false",
        "null",
        "1.5",
        "1e3",
        "\"a\"",
        "{}",
        "[1]",
        "4294967296",
        "18446744073709551616",
        " 1",
        "\"\\ud800\"",
    ]);
    (name, value).prop_map(|(name, value)| format!("\"{name}\":{value}"))
}

/// Text that is rarely JSON, or JSON that no client sends.
fn garbage() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just(",".to_owned()),
        Just(":".to_owned()),
        Just("\"media\"".to_owned()),
        Just("\"\\ud800\"".to_owned()),
        Just("\"track\"".to_owned()),
        Just("{\"_placeholder\":true,\"num\":0}".to_owned()),
        Just("1e999".to_owned()),
        Just("-0".to_owned()),
        Just("null".to_owned()),
        any::<String>(),
    ];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

/// Parses a packet as the request `name` and as a chunk. Returns the faults.
fn faults(name: &str, text: &str, attachments: &[Bytes]) -> Vec<Fault> {
    let limits = Limits::default();
    let request = Request::parse(name, text, attachments.to_vec(), &limits).err();
    let payload = <&[_; 1]>::try_from(attachments)
        .ok()
        .map(|[payload]| &**payload);
    let chunk = Published::parse(text, payload, &limits).err();
    request.into_iter().chain(chunk).collect()
}

fn assert_documented(faults: &[Fault]) -> Result<(), TestCaseError> {
    for fault in faults {
        let code = fault.code;
        prop_assert!(matches!(code, Code::BadRequest | Code::TooLarge), "{fault}");
        let (field, problem) = fault.message.split_once(": ").expect("names the field");
        prop_assert!(!field.is_empty() && !problem.is_empty(), "{fault}");
        prop_assert!(fault.message.len() < 1_024, "{fault}");
    }
    Ok(())
}

/// Returns the header that subscribers receive for a published one.
fn forwarded(header: &Value, seq: u64) -> Value {
    let mut wanted = json!({ "track": header["track"], "seq": seq, "ts": header["ts"] });
    if header["key"] == true {
        wanted["key"] = json!(true);
    }
    if let Some(dur) = header.get("dur") {
        wanted["dur"] = dur.clone();
    }
    wanted
}

proptest! {
    #[test]
    fn frames_decode_to_what_was_encoded(
        ack in prop::option::of(any::<u32>()),
        text in length(),
        attachments in prop::collection::vec(payload(), 0..4),
    ) {
        let ack = ack.map(i64::from);
        let body = json!(["x".repeat(text)]).to_string();
        let frame = Frame::new(ack, &body, &attachments);
        let (read, read_attachments) = wire::read(frame.bytes());
        let kind = match (ack.is_some(), attachments.is_empty()) {
            (false, true) => '2',
            (true, true) => '3',
            (false, false) => '5',
            (true, false) => '6',
        };
        let packet = SocketIoPacket { kind, attachments: attachments.len(), ack, body: body.clone() };
        prop_assert_eq!(SocketIoPacket::parse(&read), packet);
        prop_assert_eq!(&read_attachments, &attachments);
        prop_assert_eq!(frame.body(), body);
        prop_assert_eq!(frame.ack(), ack);
        prop_assert_eq!(frame.attachments().collect::<Vec<_>>(), attachments);
    }

    #[test]
    fn any_json_is_accepted_or_refused_with_a_documented_code(
        name in event_name(),
        arguments in prop::collection::vec(json_value(), 0..3),
        attachments in prop::collection::vec(payload(), 0..3),
    ) {
        let array = [json!(name)].into_iter().chain(arguments).collect::<Vec<_>>();
        assert_documented(&faults(&name, &json!(array).to_string(), &attachments))?;
    }

    #[test]
    fn garbage_is_refused_with_a_documented_code(
        name in event_name(),
        text in garbage(),
        attachments in prop::collection::vec(payload(), 0..3),
    ) {
        assert_documented(&faults(&name, &text, &attachments))?;
        assert_documented(&faults(&name, &format!("[\"media\",{text}]"), &attachments))?;
    }

    #[test]
    fn chunk_reaches_subscribers_as_published(
        track: u32,
        ts in prop_oneof![any::<i64>(), Just(-1), Just(1 << 53), Just(i64::MIN), Just(i64::MAX)],
        key in prop::option::of(any::<bool>()),
        dur in prop::option::of(prop_oneof![any::<u64>(), Just(0), Just(1 << 53)]),
        seq in 1..=u64::MAX,
        payload in payload(),
    ) {
        let mut header = json!({ "track": track, "ts": ts });
        if let Some(key) = key {
            header["key"] = json!(key);
        }
        if let Some(dur) = dur {
            header["dur"] = json!(dur);
        }
        let place = json!({ "_placeholder": true, "num": 0 });
        let text = json!(["media", header, place]).to_string();
        let published = Published::parse(&text, Some(&payload), &Limits::default());
        let published = published.expect("all fields are in range");
        prop_assert_eq!(published.track, TrackId(track));
        let frame = published.frame(seq);
        let chunk = published.chunk(seq, Some(&frame));
        prop_assert_eq!(&chunk, &published.chunk(seq, None));
        let relayed = chunk.frame();
        prop_assert_eq!(relayed.bytes(), frame.bytes());
        let (read, attachments) = wire::read(frame.bytes());
        let read: Value = serde_json::from_str(&SocketIoPacket::parse(&read).body).expect("JSON");
        prop_assert_eq!(read, json!(["media", forwarded(&header, seq), place]));
        prop_assert_eq!(attachments, [payload]);
    }

    #[test]
    fn header_parses_alike_on_both_paths(
        fields in prop::collection::vec(header_field(), 0..6),
        length in 1..3_usize,
    ) {
        let fields = fields.join(",");
        let limits = Limits { chunk_bytes: 1, ..Limits::default() };
        let parse = |header: &str| {
            let array = format!(r#"["media",{header},{{"_placeholder":true,"num":0}}]"#);
            Published::parse(&array, Some(&[0, 0][..length]), &limits)
        };
        // A space before the header takes the path of unusual packets.
        prop_assert_eq!(parse(&format!("{{{fields}}}")), parse(&format!(" {{{fields}}}")));
    }

    #[test]
    fn message_keeps_its_binary_or_is_refused(
        data in json_value(),
        attachments in prop::collection::vec(payload(), 0..3),
    ) {
        let text = json!(["message", { "data": data }]).to_string();
        let limits = Limits { message_bytes: usize::MAX, ..Limits::default() };
        let parsed = Request::parse("message", &text, attachments.clone(), &limits);
        let mut places = Vec::new();
        let plain = find_places(&data, &mut places);
        places.sort_unstable();
        let matching = plain && places.iter().copied().eq(0..attachments.len() as u64);
        prop_assert_eq!(parsed.is_ok(), matching, "{:?}", parsed);
        if let Ok(Request::SendMessage(message)) = parsed {
            prop_assert_eq!(message.data.as_str(), data.to_string());
            prop_assert_eq!(message.attachments, attachments);
        }
    }
}

#[test]
fn frames_of_every_header_length_decode() {
    let around = [0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537];
    for length in around {
        // Beside the text itself: Engine.IO's 4, the packet's kind, brackets and quotes.
        let body = format!("[\"{}\"]", "x".repeat(length.max(6) - 6));
        let (text, _) = wire::read(Frame::new(None, &body, &[]).bytes());
        assert_eq!(text, format!("2{body}"), "{length}");
        let payload = Bytes::from(vec![7; length]);
        let frame = Frame::new(Some(0), "[]", std::slice::from_ref(&payload));
        assert_eq!(
            wire::read(frame.bytes()),
            ("61-0[]".to_owned(), vec![payload])
        );
    }
}

/// Collects the numbers of all placeholders. Returns false if one is malformed.
fn find_places(value: &Value, found: &mut Vec<u64>) -> bool {
    match value {
        Value::Array(list) => list.iter().all(|value| find_places(value, found)),
        Value::Object(object) if object.contains_key("_placeholder") => {
            let number = object.get("num").and_then(Value::as_u64);
            found.extend(number);
            object.len() == 2 && object["_placeholder"] == true && number.is_some()
        }
        Value::Object(object) => object.values().all(|value| find_places(value, found)),
        _ => true,
    }
}
