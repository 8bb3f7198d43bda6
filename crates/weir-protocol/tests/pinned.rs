//! Words of the wire contract, which no renaming may change.

use serde_json::json;
use weir_protocol::{CloseReason, Code, GapReason, LeaveReason, REQUESTS, TrackKind, event};

#[test]
fn error_codes_and_their_retryability() {
    let codes: Vec<_> = Code::ALL
        .iter()
        .map(|code| (code.as_str(), code.retryable()))
        .collect();
    let pinned = [
        ("bad_request", false),
        ("unauthorized", false),
        ("forbidden", false),
        ("room_not_found", false),
        ("track_not_found", false),
        ("member_not_found", false),
        ("room_exists", false),
        ("room_full", false),
        ("already_joined", false),
        ("not_joined", false),
        ("not_track_owner", false),
        ("too_large", false),
        ("rate_limited", true),
        ("unavailable", true),
        ("draining", true),
        ("internal", true),
    ];
    assert_eq!(codes, pinned);
}

#[test]
fn event_names() {
    let requests: Vec<_> = REQUESTS.iter().map(|request| request.event).collect();
    let pinned = [
        "room:create",
        "room:join",
        "room:leave",
        "member:update",
        "track:publish",
        "track:update",
        "track:unpublish",
        "track:subscribe",
        "track:unsubscribe",
        "track:request-keyframe",
        "message",
        "media",
    ];
    assert_eq!(requests, pinned);
    let pinned = [
        "member:joined",
        "member:updated",
        "member:left",
        "track:published",
        "track:updated",
        "track:unpublished",
        "track:keyframe-requested",
        "room:updated",
        "room:closed",
        "message",
        "media",
        "media:gap",
        "node:draining",
        "error",
    ];
    assert_eq!(event::SENT, pinned);
}

#[test]
fn reasons_and_kinds() {
    let left = ["left", "disconnected", "kicked", "node-lost", "room-closed"];
    assert_eq!(json!(LeaveReason::ALL), json!(left));
    assert_eq!(
        LeaveReason::ALL
            .iter()
            .map(|one| one.as_str())
            .collect::<Vec<_>>(),
        left
    );
    assert_eq!(
        json!([CloseReason::Expired, CloseReason::Closed]),
        json!(["expired", "closed"])
    );
    assert_eq!(
        json!([GapReason::Slow, GapReason::Lost]),
        json!(["slow", "lost"])
    );
    let kinds = [TrackKind::Audio, TrackKind::Video, TrackKind::Data];
    assert_eq!(json!(kinds), json!(["audio", "video", "data"]));
}
