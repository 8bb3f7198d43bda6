//! Limits are exact: a value at the limit is accepted, and one over it is refused.

use serde_json::{Value, json};
use weir_protocol::{Code, Fault, Init, Limits, Published, Request};

const PLACE: &str = r#"{"_placeholder":true,"num":0}"#;

fn parse(event: &str, argument: &Value, attachments: &[usize]) -> Result<(), Fault> {
    let text = json!([event, argument]).to_string();
    let attachments = attachments.iter().map(|length| vec![0; *length].into());
    Request::parse(event, &text, attachments.collect(), &Limits::default()).map(|_| ())
}

/// Asserts that `limit` is accepted, and that one more is refused with both numbers and the field.
fn assert_exact(field: &str, limit: usize, parse: impl Fn(usize) -> Result<(), Fault>) {
    assert_eq!(parse(limit), Ok(()), "{field} at its limit");
    let fault = parse(limit + 1).expect_err(field);
    assert_eq!(fault.code, Code::TooLarge, "{fault}");
    for part in [
        format!("{field}: "),
        (limit + 1).to_string(),
        limit.to_string(),
    ] {
        assert!(fault.message.contains(&part), "{part} in {fault}");
    }
}

#[test]
fn text_limits_count_characters() {
    for (event, field, base) in [
        ("room:join", "name", json!({ "room": "a" })),
        ("member:update", "name", json!({})),
        (
            "track:publish",
            "name",
            json!({ "kind": "data", "codec": "x" }),
        ),
        (
            "track:publish",
            "source",
            json!({ "kind": "data", "codec": "x" }),
        ),
        ("track:publish", "codec", json!({ "kind": "data" })),
        ("track:update", "codec", json!({ "track": 1 })),
        ("message", "topic", json!({ "data": 1 })),
    ] {
        for character in ["a", "ß", "界", "🎥", "\""] {
            assert_exact(field, 128, |length| {
                let mut argument = base.clone();
                argument[field] = json!(character.repeat(length));
                parse(event, &argument, &[])
            });
        }
    }
    for (event, field) in [("room:create", "id"), ("room:join", "room")] {
        let id = |length| json!({ field: "_".repeat(length) });
        assert_exact(field, 64, |length| parse(event, &id(length), &[]));
    }
}

#[test]
fn metadata_limit_counts_bytes_of_json() {
    for event in ["room:create", "room:join", "member:update"] {
        assert_exact("metadata", 16 * 1024, |length| {
            let metadata = "x".repeat(length - 2);
            parse(event, &json!({ "room": "a", "metadata": metadata }), &[])
        });
    }
}

#[test]
fn message_limit_counts_json_and_binary_together() {
    assert_exact("data", 64 * 1024, |length| {
        parse("message", &json!({ "data": "x".repeat(length - 2) }), &[])
    });
    assert_exact("data", 64 * 1024, |length| {
        let place: Value = serde_json::from_str(PLACE).expect("JSON");
        let binary = length - place.to_string().len();
        parse("message", &json!({ "data": place }), &[binary])
    });
    assert_exact("data", 10, |count| {
        let places = (0..count).map(|num| json!({ "_placeholder": true, "num": num }));
        let data = places.collect::<Value>();
        parse("message", &json!({ "data": data }), &vec![1; count])
    });
    assert_exact("to", 1_000, |length| {
        parse(
            "message",
            &json!({ "data": 1, "to": vec!["a"; length] }),
            &[],
        )
    });
}

#[test]
fn members_initialisation_and_media_have_exact_limits() {
    assert_exact("maxMembers", 1_000, |members| {
        parse("room:create", &json!({ "maxMembers": members }), &[])
    });
    for (event, base) in [
        ("track:publish", json!({ "kind": "data", "codec": "x" })),
        ("track:update", json!({ "track": 1 })),
    ] {
        assert_exact("init", 64 * 1024, |length| {
            let mut argument = base.clone();
            argument["init"] = json!(Init::encode(&vec![7; length]));
            parse(event, &argument, &[])
        });
    }
    let media = |header: &str, payload: usize| {
        let text = format!(r#"["media",{header},{PLACE}]"#);
        let payload = vec![0; payload];
        Published::parse(&text, Some(&payload), &Limits::default()).map(|_| ())
    };
    let header = r#"{"track":1,"ts":0}"#;
    assert_exact("payload", 1024 * 1024, |length| media(header, length));
    assert_exact("header", 512, |length| {
        let more = r#"{"track":1,"ts":0,"x":""}"#.len();
        media(
            &format!(
                r#"{{"track":1,"ts":0,"x":"{}"}}"#,
                "x".repeat(length - more)
            ),
            1,
        )
    });
}

#[test]
fn numbers_have_the_range_of_their_types() {
    let taken = |field: &str, value: Value| {
        let mut argument = json!({ "kind": "video", "codec": "vp8" });
        argument[field] = value;
        parse("track:publish", &argument, &[]).is_ok()
    };
    for field in ["width", "height", "sampleRate", "channels"] {
        assert!(
            taken(field, json!(1)) && taken(field, json!(u32::MAX)),
            "{field}"
        );
        for wrong in [
            json!(0),
            json!(-1),
            json!(1.5),
            json!(1_000.0),
            json!(1_u64 << 32),
        ] {
            assert!(!taken(field, wrong.clone()), "{field} {wrong}");
        }
    }
    assert!(taken("frameRate", json!(0.001)) && taken("frameRate", json!(1e300)));
    assert!(!taken("frameRate", json!(-0.001)));
    let track = |track: Value| parse("track:subscribe", &json!({ "track": track }), &[]).is_ok();
    assert!(track(json!(0)) && track(json!(u32::MAX)));
    assert!(!track(json!(1_u64 << 32)) && !track(json!(1_u64 << 53)) && !track(json!(-1)));
}

#[test]
fn json_is_nested_at_most_fifty_levels() {
    let nested = |open: &str, close: &str, levels: usize| {
        let value = format!("{}{}", open.repeat(levels), close.repeat(levels));
        let text = format!(r#"["member:update",{{"metadata":{value}}}]"#);
        Request::parse("member:update", &text, Vec::new(), &Limits::default()).map(|_| ())
    };
    assert_eq!(nested("[", "]", 50), Ok(()));
    let message = "bad_request: metadata: is nested more than 50 levels deep";
    for levels in [51, 127, 128, 5_000] {
        let fault = nested("[", "]", levels).expect_err("too deep");
        assert_eq!(fault.to_string(), message, "{levels}");
    }
    let objects = |levels| nested("{\"a\":", "}", levels);
    let filled = |levels: usize| {
        let value = format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        let text = format!(r#"["message",{{"data":{value}}}]"#);
        Request::parse("message", &text, Vec::new(), &Limits::default()).map(|_| ())
    };
    assert!(
        objects(2).is_err(),
        "an object without its value is not JSON"
    );
    assert_eq!(filled(50), Ok(()));
    let fault = filled(51).expect_err("too deep");
    assert_eq!(fault.message, "data: is nested more than 50 levels deep");
}

#[test]
fn packet_of_millions_of_values_is_refused_like_any_other() {
    let zeros = "0,".repeat(1_000_000);
    let text = format!(r#"["room:create",{zeros}0]"#);
    let fault = Request::parse("room:create", &text, Vec::new(), &Limits::default());
    let message = "bad_request: argument: one is allowed, not 1000001";
    assert_eq!(fault.expect_err("too many").to_string(), message);
    let fields: String = (0..200_000).map(|n| format!("\"{n}\":[[]],")).collect();
    let text = format!(r#"["room:leave",{{{fields}"x":0}}]"#);
    let leave = Request::parse("room:leave", &text, Vec::new(), &Limits::default());
    assert_eq!(leave, Ok(Request::LeaveRoom), "unknown fields are ignored");
}
