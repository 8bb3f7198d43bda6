//! Events of a room, as the scripts publish them.

use bytes::Bytes;
use weir_protocol::{Change, LeaveReason, MemberId, Track, TrackId};

use super::{
    record::{self, RecordError},
    seated::Seated,
};

/// A published change.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) version: u64,
    pub(crate) kind: EventKind,
    /// Trace that the change belongs to, as a `traceparent`.
    pub(crate) trace: Option<String>,
}

/// Kind of a published change.
#[derive(Debug, Clone)]
pub(crate) enum EventKind {
    /// A member joined.
    Joined(Seated),
    /// Any other change of the state.
    Change(Change),
    /// A node restored the state. Every node with another one reads it.
    Restored,
}

impl Event {
    /// Parses an event as `tell` in the scripts writes it: a line with version, kind and lengths of the
    /// parts, followed by the parts.
    pub(crate) fn parse(payload: &Bytes) -> Result<Self, RecordError> {
        let end = payload.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or(RecordError("an event without its line"))?;
        let line = std::str::from_utf8(&payload[..end]);
        let mut words = line.map_err(|_| RecordError("an event's line"))?.split(' ');
        let first = words.next().unwrap_or_default();
        let (version, trace) = match first.split_once('@') {
            Some((version, trace)) => (version, Some(trace.to_owned())),
            None => (first, None),
        };
        let version = version.parse().ok();
        let version = version.ok_or(RecordError("an event's version"))?;
        let kind = words.next().unwrap_or_default();
        let mut at = end + 1;
        let mut parts = Vec::new();
        for word in words {
            let length: usize = word.parse().map_err(|_| RecordError("a part's length"))?;
            let part = at..at.saturating_add(length);
            if part.end > payload.len() {
                return Err(RecordError("a part that is cut off"));
            }
            at = part.end;
            parts.push(payload.slice(part));
        }
        let kind = EventKind::parse(kind, &parts)?;
        Ok(Self {
            version,
            kind,
            trace,
        })
    }
}

impl EventKind {
    fn parse(kind: &str, parts: &[Bytes]) -> Result<Self, RecordError> {
        let change = match (kind, parts) {
            ("j", [_, seat, member]) => {
                return Seated::parse(member, seat).map(Self::Joined);
            }
            ("s", []) => return Ok(Self::Restored),
            ("u", [_, member]) => Change::MemberUpdated(record::member(member)?),
            ("l", [id, reason]) => Change::MemberLeft {
                id: member_id(id)?,
                reason: leave_reason(record::text(reason)?)?,
            },
            ("p", [id, owner, track]) => Change::TrackPublished(track_of(id, owner, track)?),
            ("t", [id, owner, track]) => Change::TrackUpdated(track_of(id, owner, track)?),
            ("x", [id, owner]) => Change::TrackUnpublished {
                id: track_id(id)?,
                member: member_id(owner)?,
            },
            _ => return Err(RecordError("an event of an unknown kind")),
        };
        Ok(Self::Change(change))
    }
}

pub(crate) fn member_id(id: &Bytes) -> Result<MemberId, RecordError> {
    record::text(id).map(MemberId::new)
}

pub(crate) fn track_id(id: &Bytes) -> Result<TrackId, RecordError> {
    let id = record::text(id)?.parse();
    id.map(TrackId).map_err(|_| RecordError("a track's id"))
}

pub(crate) fn track_of(id: &Bytes, owner: &Bytes, track: &Bytes) -> Result<Track, RecordError> {
    record::track(track_id(id)?, member_id(owner)?, track)
}

fn leave_reason(text: &str) -> Result<LeaveReason, RecordError> {
    let mut all = LeaveReason::ALL.iter().copied();
    all.find(|reason| reason.as_str() == text)
        .ok_or(RecordError("a reason for leaving"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTED: &str = include_str!("../../../../../docs/redis.md");

    #[test]
    fn documented_kinds_match_the_code() {
        let parts = |names: &str| {
            let names = names.split(", ").filter(|name| !name.is_empty());
            let example = |name| match name {
                "seat" => "0f.1 7",
                "reason" => "left",
                "record" => {
                    r#"{"id":"1","name":"","metadata":{},"joinedAt":1,"kind":"audio","codec":"opus","muted":false}"#
                }
                _ => "1",
            };
            names
                .map(example)
                .map(|part| Bytes::from_static(part.as_bytes()))
                .collect::<Vec<_>>()
        };
        let section = DOCUMENTED.split("## Events").nth(1).expect("the section");
        let section = section.split("\n## ").next().expect("its text");
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        let mut kinds = String::new();
        for row in rows {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let kind = cells[1].trim_matches('`');
            let parsed = EventKind::parse(kind, &parts(cells[2]));
            parsed.unwrap_or_else(|error| panic!("{row}: {error}"));
            kinds.push_str(kind);
        }
        assert_eq!(kinds, "julptxs");
    }

    #[test]
    fn events_are_parsed_and_damaged_ones_refused() {
        let event = Event::parse(&Bytes::from_static(b"7 l 2 9\nabnode-lost")).expect("an event");
        assert_eq!((event.version, event.trace), (7, None));
        let EventKind::Change(Change::MemberLeft { id, reason }) = event.kind else {
            panic!("{:?}", event.kind);
        };
        assert_eq!((id.as_str(), reason), ("ab", LeaveReason::NodeLost));
        let traced = Event::parse(&Bytes::from_static(b"7@00-ab-cd-01 x 1 1\n1a"));
        let traced = traced.expect("an event");
        assert_eq!(traced.version, 7);
        assert_eq!(traced.trace.as_deref(), Some("00-ab-cd-01"));
        for damaged in [
            "",
            "7",
            "x l 0\n",
            "7 l 2 9\nabnode",
            "7 q 1\na",
            "7 l 2 3\nabbad",
            "7 x 1 1\naa",
        ] {
            Event::parse(&Bytes::from_static(damaged.as_bytes())).expect_err(damaged);
        }
    }
}
