//! Compares each table of `docs/protocol.md` with the code, in both directions.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use weir_protocol::{
    CloseReason, Code, FieldType, GapReason, LeaveReason, Limits, REQUESTS, RequestShape, event,
};

const PAGE: &str = include_str!("../../../docs/protocol.md");

/// Returns the lines under a heading, up to the next heading of any level.
fn section(heading: &str) -> Vec<&'static str> {
    let mut lines = PAGE.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "the page has no {heading:?}");
    lines.take_while(|line| !line.starts_with('#')).collect()
}

/// Returns the cells of a section's only table, by row, without its head.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let lines = section(heading);
    let rows = lines.iter().filter_map(|line| {
        let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
        Some(row.split(" | ").collect())
    });
    rows.skip(1).collect()
}

/// Returns the word of a cell that is written as code.
fn word(cell: &str) -> &str {
    let word = cell
        .strip_prefix('`')
        .and_then(|rest| rest.strip_suffix('`'));
    word.unwrap_or_else(|| panic!("{cell} is not one word in backticks"))
}

/// Returns the page's name of a type.
const fn called(holds: FieldType) -> &'static str {
    match holds {
        FieldType::RoomId => "room id",
        FieldType::Text => "text",
        FieldType::Word => "non-empty text",
        FieldType::Token => "string",
        FieldType::Boolean => "boolean",
        FieldType::TrackId => "track id",
        FieldType::Positive => "positive integer",
        FieldType::Members => "member count",
        FieldType::Rate => "positive number",
        FieldType::Kind => "kind",
        FieldType::Metadata => "JSON",
        FieldType::Data => "JSON with binary",
        FieldType::Base64 => "base64",
        FieldType::MemberIds => "list of member ids",
        FieldType::Integer => "integer",
        FieldType::Natural => "natural integer",
    }
}

#[test]
fn requests_and_their_fields() {
    let headings = PAGE.lines().filter_map(|line| line.strip_prefix("### `"));
    let headings: Vec<_> = headings.map(|name| name.trim_end_matches('`')).collect();
    let requests: Vec<_> = REQUESTS.iter().map(|request| request.event).collect();
    assert_eq!(headings, requests);
    for RequestShape { event, fields, .. } in REQUESTS {
        let documented: Vec<_> = table(&format!("### `{event}`"))
            .into_iter()
            .map(|row| (word(row[0]), row[1], row[2]))
            .collect();
        let required = |required| if required { "yes" } else { "no" };
        let fields = fields.iter();
        let coded = fields.map(|field| (field.name, called(field.holds), required(field.required)));
        assert_eq!(documented, coded.collect::<Vec<_>>(), "{event}");
    }
}

#[test]
fn types() {
    let fields = REQUESTS.iter().flat_map(|request| request.fields);
    let mut coded: Vec<_> = fields.map(|field| called(field.holds)).collect();
    coded.sort_unstable();
    coded.dedup();
    let mut documented: Vec<_> = table("### Types").iter().map(|row| row[0]).collect();
    documented.sort_unstable();
    assert_eq!(documented, coded);
}

#[test]
fn requests_outside_of_a_room() {
    let outside = REQUESTS.iter().filter(|request| !request.in_room);
    let outside: Vec<_> = outside
        .map(|request| format!("`{}`", request.event))
        .collect();
    let refusals = table("## Refusals");
    let row = refusals.iter().find(|row| row[0] == "`not_joined`");
    let meaning = row.expect("a row")[2];
    let wanted = format!("every request but {} needs one", outside.join(" and "));
    assert!(
        meaning.contains(&wanted),
        "{meaning} does not say: {wanted}"
    );
}

#[test]
fn events() {
    let documented: Vec<_> = table("## Events").iter().map(|row| word(row[0])).collect();
    assert_eq!(documented, event::SENT);
}

/// Returns the reasons in an event's row: all words in backticks after `reason:`.
fn reasons(event: &str) -> Value {
    let name = format!("`{event}`");
    let rows = table("## Events");
    let row = rows.iter().find(|row| row[0] == name).expect("a row");
    let (_, reasons) = row[1].split_once("reason: ").expect("reasons");
    json!(reasons.split('`').skip(1).step_by(2).collect::<Vec<_>>())
}

#[test]
fn reasons_of_events() {
    assert_eq!(reasons(event::MEMBER_LEFT), json!(LeaveReason::ALL));
    let closed = [CloseReason::Expired, CloseReason::Closed];
    assert_eq!(reasons(event::ROOM_CLOSED), json!(closed));
    let gaps = [GapReason::Slow, GapReason::Lost];
    assert_eq!(reasons(event::MEDIA_GAP), json!(gaps));
}

/// Returns the fields of the object at the start of a cell, including those with `?`.
fn fields(cell: &str) -> Vec<&str> {
    let inside = cell
        .strip_prefix("`{ ")
        .and_then(|rest| rest.split_once(" }`"));
    let (inside, _) = inside.unwrap_or_else(|| panic!("{cell} begins with no object"));
    inside.split(", ").collect()
}

#[test]
fn arguments_of_events() {
    let fixtures = include_str!("../../../tests/fixtures/protocol/notices.json");
    let cases: Vec<Value> = serde_json::from_str(fixtures).expect("JSON");
    for row in table("## Events") {
        let name = word(row[0]);
        // It has no object.
        if name == event::MEDIA {
            continue;
        }
        let documented = fields(row[1]);
        for case in cases.iter().filter(|case| case["event"] == name) {
            let argument = case["argument"].as_object().expect("an object");
            for field in &documented {
                let found = argument.contains_key(field.trim_end_matches('?'));
                assert!(found || field.ends_with('?'), "{name} without {field}");
            }
            for key in argument.keys() {
                let known = documented
                    .iter()
                    .any(|field| field.trim_end_matches('?') == key);
                assert!(known, "{name} with {key}");
            }
        }
    }
}

#[test]
fn error_codes() {
    let documented: Vec<_> = table("## Refusals")
        .iter()
        .map(|row| (word(row[0]), row[1]))
        .collect();
    let retryable = |code: &Code| if code.retryable() { "yes" } else { "no" };
    let coded = Code::ALL
        .iter()
        .map(|code| (code.as_str(), retryable(code)));
    assert_eq!(documented, coded.collect::<Vec<_>>());
}

#[test]
fn limits() {
    let documented: BTreeMap<_, _> = table("## Limits")
        .iter()
        .map(|row| (word(row[0]), row[1].parse::<u64>().expect("a number")))
        .collect();
    let coded = json!(Limits::default());
    assert_eq!(json!(documented), coded);
    for row in table("## Limits") {
        for code in row[3].split('`').skip(1).step_by(2) {
            assert!(
                Code::ALL.iter().any(|known| known.as_str() == code),
                "{code}"
            );
        }
    }
}

#[test]
fn links() {
    let headings = PAGE.lines().filter(|line| line.starts_with('#'));
    let anchors: Vec<_> = headings
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .replace([':', '`'], "")
                .to_lowercase()
        })
        .map(|heading| heading.replace(' ', "-"))
        .collect();
    for link in PAGE.split("](#").skip(1) {
        let (anchor, _) = link.split_once(')').expect("a link ends");
        assert!(anchors.iter().any(|known| known == anchor), "#{anchor}");
    }
}
