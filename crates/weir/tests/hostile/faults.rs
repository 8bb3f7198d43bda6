//! Faults in the form of requests, generated from the contract's table.

use std::fmt;

use serde_json::{Value, json};
use weir_protocol::{FieldShape, FieldType, Limits, REQUESTS, RequestShape};
use weir_testkit::placeholder;

/// Existing objects that valid values refer to.
#[derive(Debug, Clone)]
pub(crate) struct Targets {
    pub(crate) room: String,
    /// Track of the requesting member.
    pub(crate) own: u64,
    /// Track of another member.
    pub(crate) others: u64,
}

/// Request that must be refused.
#[derive(Debug, Clone)]
pub(crate) struct BadRequest {
    pub(crate) event: &'static str,
    pub(crate) arguments: Vec<Value>,
    pub(crate) attachments: Vec<Vec<u8>>,
    /// Expected error code.
    pub(crate) code: &'static str,
    /// Text that the error message contains.
    pub(crate) names: String,
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments: String = json!(self.arguments)
            .to_string()
            .chars()
            .take(200)
            .collect();
        let sizes: Vec<_> = self.attachments.iter().map(Vec::len).collect();
        write!(f, "{} {arguments} with attachments {sizes:?}", self.event)
    }
}

impl BadRequest {
    pub(crate) fn new(event: &'static str, arguments: Vec<Value>) -> Self {
        Self {
            event,
            arguments,
            attachments: Vec::new(),
            code: "",
            names: String::new(),
        }
    }

    /// Returns a valid request with all its fields.
    pub(crate) fn good(shape: &RequestShape, targets: &Targets) -> Self {
        let mut case = Self::new(shape.event, vec![json!({})]);
        for field in shape.fields {
            case.arguments[0][field.name] = good(field.holds, targets);
        }
        if shape.event == "media" {
            case.arguments.push(placeholder(0));
            case.attachments.push(vec![7; 3]);
        }
        case
    }

    /// Expects a refusal with this code and with `names` in its message.
    pub(crate) fn but(mut self, code: &'static str, names: &str) -> Self {
        self.code = code;
        names.clone_into(&mut self.names);
        self
    }

    /// Adds an attachment.
    pub(crate) fn with(mut self, attachment: &[u8]) -> Self {
        self.attachments.push(attachment.to_vec());
        self
    }
}

fn good(holds: FieldType, targets: &Targets) -> Value {
    match holds {
        FieldType::RoomId => json!(targets.room),
        FieldType::Text | FieldType::Token | FieldType::Word => json!("word"),
        FieldType::Boolean => json!(true),
        FieldType::TrackId => json!(targets.own),
        FieldType::Positive | FieldType::Members | FieldType::Integer | FieldType::Natural => {
            json!(7)
        }
        FieldType::Rate => json!(29.97),
        FieldType::Kind => json!("video"),
        FieldType::Metadata | FieldType::Data => json!({"any": [1, null, "thing"]}),
        FieldType::MemberIds => json!([]),
        FieldType::Base64 => json!("BwcH"),
    }
}

/// Returns values of each JSON type.
fn values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(1.5),
        json!(4_294_967_296_u64),
        json!(""),
        json!("1"),
        json!("a b"),
        json!("ü"),
        json!([]),
        json!([1]),
        json!(["a", null]),
        json!({}),
        json!({"a": 1}),
        json!({"_placeholder": true, "num": 99}),
        json!({"_placeholder": true, "num": -1}),
        json!({"_placeholder": true}),
    ]
}

/// Returns whether a value fits a field.
fn fits(holds: FieldType, value: &Value) -> bool {
    let forged = value.get("_placeholder").is_some();
    let whole = |from: i64, to: i64| value.as_i64().is_some_and(|n| (from..=to).contains(&n));
    match holds {
        FieldType::RoomId => value.as_str().is_some_and(|text| {
            !text.is_empty()
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        }),
        FieldType::Text | FieldType::Token => value.is_string(),
        FieldType::Word => value.as_str().is_some_and(|text| !text.is_empty()),
        FieldType::Boolean => value.is_boolean(),
        FieldType::TrackId => whole(0, u32::MAX.into()),
        FieldType::Positive | FieldType::Members => whole(1, u32::MAX.into()),
        FieldType::Rate => value.as_f64().is_some_and(|rate| rate > 0.0),
        FieldType::Kind => false,
        FieldType::Base64 => value == "",
        FieldType::Metadata | FieldType::Data => !forged,
        FieldType::MemberIds => value
            .as_array()
            .is_some_and(|ids| ids.iter().all(Value::is_string)),
        FieldType::Integer => value.as_i64().is_some(),
        FieldType::Natural => value.as_u64().is_some(),
    }
}

/// Returns a value that exceeds the field's limit by one, and the limit as in the refusal.
fn oversize(holds: FieldType) -> Option<(Value, String)> {
    let limits = Limits::default();
    let text = |length: usize| json!("x".repeat(length));
    Some(match holds {
        FieldType::RoomId => (
            text(limits.room_id_chars + 1),
            limits.room_id_chars.to_string(),
        ),
        FieldType::Text | FieldType::Word => {
            (text(limits.name_chars + 1), limits.name_chars.to_string())
        }
        FieldType::Members => (
            json!(limits.members_per_room + 1),
            limits.members_per_room.to_string(),
        ),
        // With its quotes.
        FieldType::Metadata => (
            text(limits.metadata_bytes - 1),
            limits.metadata_bytes.to_string(),
        ),
        FieldType::Data => (
            text(limits.message_bytes - 1),
            limits.message_bytes.to_string(),
        ),
        FieldType::MemberIds => (
            json!(vec!["a"; limits.members_per_room + 1]),
            limits.members_per_room.to_string(),
        ),
        // The limit applies to the decoded bytes.
        FieldType::Base64 => (
            json!("AAAA".repeat(limits.init_bytes / 3 + 1)),
            limits.init_bytes.to_string(),
        ),
        _ => return None,
    })
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!([inner]))
}

/// Returns each request with each fault of its form.
pub(crate) fn of_fields(targets: &Targets) -> Vec<BadRequest> {
    let mut cases = Vec::new();
    for shape in REQUESTS {
        let good = BadRequest::good(shape, targets);
        for field in shape.fields {
            cases.extend(of_field(&good, field));
        }
        for argument in [json!(true), json!(1), json!("text"), json!([]), json!([{}])] {
            let mut case = good.clone();
            case.arguments[0] = argument;
            let name = if shape.event == "media" {
                "header"
            } else {
                "argument"
            };
            cases.push(case.but("bad_request", name));
        }
        let mut surplus = good.clone();
        surplus.arguments.push(json!({}));
        let name = if shape.event == "media" {
            "payload"
        } else {
            "argument"
        };
        cases.push(surplus.but("bad_request", name));
    }
    cases.extend(of_media(targets));
    cases
}

/// Returns each fault of one field.
fn of_field(good: &BadRequest, field: &FieldShape) -> Vec<BadRequest> {
    let with = |value: Value| {
        let mut case = good.clone();
        case.arguments[0][field.name] = value;
        case
    };
    let mut cases = Vec::new();
    for value in values()
        .into_iter()
        .filter(|value| !fits(field.holds, value))
    {
        cases.push(with(value).but("bad_request", field.name));
    }
    if field.required {
        let mut case = good.clone();
        case.arguments[0]
            .as_object_mut()
            .expect("an object")
            .remove(field.name);
        cases.push(case.but("bad_request", field.name));
    }
    if let Some((value, limit)) = oversize(field.holds) {
        let case = with(value).but("too_large", field.name);
        cases.push(BadRequest {
            names: limit,
            ..case.clone()
        });
        cases.push(case);
    }
    match field.holds {
        FieldType::Metadata | FieldType::Data => {
            cases.push(with(nested(60)).but("bad_request", field.name));
            cases.push(with(nested(120)).but("bad_request", field.name));
        }
        _ => {}
    }
    // A chunk is refused for a second attachment.
    if !matches!(field.holds, FieldType::Data) && good.event != "media" {
        let at = good.attachments.len();
        cases.push(
            with(placeholder(at))
                .with(b"binary")
                .but("bad_request", field.name),
        );
    }
    cases
}

/// Returns faults of a chunk outside the fields of its header.
fn of_media(targets: &Targets) -> Vec<BadRequest> {
    let limits = Limits::default();
    let header = json!({"track": targets.own, "ts": 0});
    let chunk = |arguments: Vec<Value>| BadRequest::new("media", arguments);
    let long =
        json!({"track": targets.own, "ts": 0, "more": "x".repeat(limits.media_header_bytes)});
    let payload = vec![0; limits.chunk_bytes + 1];
    let mut cases = vec![
        chunk(vec![]).but("bad_request", "header"),
        chunk(vec![header.clone()]).but("bad_request", "payload"),
        chunk(vec![placeholder(0), header.clone()])
            .with(b"x")
            .but("bad_request", "payload"),
        chunk(vec![header.clone(), placeholder(0)])
            .with(b"x")
            .with(b"y")
            .but("bad_request", "payload"),
        chunk(vec![header.clone(), placeholder(1)])
            .with(b"x")
            .with(b"y")
            .but("bad_request", "payload"),
        chunk(vec![long, placeholder(0)])
            .with(b"x")
            .but("too_large", &limits.media_header_bytes.to_string()),
        chunk(vec![header.clone(), placeholder(0)])
            .with(&payload)
            .but("too_large", &limits.chunk_bytes.to_string()),
    ];
    for value in values() {
        cases.push(chunk(vec![header.clone(), value]).but("bad_request", "payload"));
    }
    cases
}
