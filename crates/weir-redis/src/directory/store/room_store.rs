//! Calls of scripts, and their refusals.

use std::{sync::Arc, time::Duration};

use fred::types::Value;
use weir_cluster::{DirectoryError, trace};
use weir_protocol::{MemberId, RoomId, TrackId};

use super::{commands::Commands, script::Script};
use crate::{
    Target,
    directory::{
        counts::{DirectoryCounts, count},
        node::incarnation::Incarnation,
        room::record::RecordError,
    },
    keys::Keys,
    target::Topology,
};

/// Lifetime of rooms with members, of ledgers and of fences since they were last touched. Nodes touch what they hold
/// more often.
pub(crate) const LIVE_TTL: Duration = Duration::from_secs(60 * 60);

/// Limits of the rooms in Redis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoreLimits {
    /// Lifetime of an empty room.
    pub(crate) empty_ttl: Duration,
    /// Maximum size of a room's state as JSON, in bytes.
    pub(crate) state_bytes: usize,
}

/// Rooms and nodes in Redis.
#[derive(Debug)]
pub(crate) struct RoomStore {
    pub(super) commands: Commands,
    pub(crate) keys: Keys,
    /// Command that publishes an event: sharded in a Redis Cluster.
    pub(super) publish: &'static str,
    limits: StoreLimits,
    counts: Arc<DirectoryCounts>,
}

/// Answer of a script.
pub(super) enum Answer {
    /// Success, with the values after the status.
    Done(Vec<Value>),
    /// Refusal: its cause, with the values after it.
    Refused(String, Vec<Value>),
}

impl RoomStore {
    /// Creates a store that connects in the background.
    pub(crate) fn new(
        target: &Target,
        keys: Keys,
        limits: StoreLimits,
        counts: Arc<DirectoryCounts>,
    ) -> Result<Self, DirectoryError> {
        let publish = match target.topology {
            Topology::Cluster => "SPUBLISH",
            Topology::Standalone | Topology::Sentinel { .. } => "PUBLISH",
        };
        Ok(Self {
            commands: Commands::new(target)?,
            keys,
            publish,
            limits,
            counts,
        })
    }

    /// Calls a script on a room. `writer` is the incarnation on whose behalf it writes.
    pub(super) async fn call(
        &self,
        script: &Script,
        room: &RoomId,
        writer: Option<&Incarnation>,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<Answer, DirectoryError> {
        let publish = match trace::inject() {
            Some(trace) => format!("{} {trace}", self.publish).into(),
            None => self.publish.into(),
        };
        let writer = writer.map(ToString::to_string).unwrap_or_default();
        let mut all = vec![
            publish,
            self.keys.events(room).into(),
            number(LIVE_TTL.as_millis()),
            number(self.limits.empty_ttl.as_millis()),
            number(self.limits.state_bytes),
            writer.into(),
        ];
        all.extend(arguments);
        let keys = self.keys.room(room);
        let answer = script.call(&self.commands, keys, all).await?;
        let mut answer = answer.into_array().into_iter();
        let status = answer.next().and_then(|status| status.into_string());
        let rest = answer.collect();
        Ok(match status.as_deref() {
            Some("ok") => Answer::Done(rest),
            Some("large") => return Err(self.too_large(&rest)),
            Some(why) => Answer::Refused(why.to_owned(), rest),
            None => Answer::Refused("nothing".to_owned(), rest),
        })
    }

    fn too_large(&self, rest: &[Value]) -> DirectoryError {
        let bytes = rest.first().and_then(Value::as_u64);
        let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
        DirectoryError::StateTooLarge {
            bytes: bytes.unwrap_or(usize::MAX),
            limit: self.limits.state_bytes,
        }
    }

    /// Converts the refusal of a write to a member or track.
    pub(super) fn refused(
        &self,
        why: &str,
        room: &RoomId,
        member: &MemberId,
        track: Option<TrackId>,
    ) -> DirectoryError {
        match (why, track) {
            ("no member", _) => DirectoryError::MemberNotFound(member.clone()),
            ("no track", Some(track)) => DirectoryError::TrackNotFound(track),
            ("not owner", Some(track)) => DirectoryError::NotTrackOwner(track),
            ("fenced", _) => {
                count(&self.counts.fenced, 1);
                DirectoryError::NotSeatOwner(member.clone())
            }
            _ => refusal(why, room),
        }
    }
}

/// Converts the refusal of an operation on a room.
pub(super) fn refusal(why: &str, room: &RoomId) -> DirectoryError {
    match why {
        "no room" => DirectoryError::RoomNotFound(room.clone()),
        "exists" => DirectoryError::RoomExists(room.clone()),
        other => DirectoryError::Unavailable(format!("a script answered {other:?}")),
    }
}

/// Converts the error for a value in Redis that is damaged or not Weir's.
pub(super) fn unreadable(error: RecordError) -> DirectoryError {
    DirectoryError::Unavailable(error.to_string())
}

pub(super) fn text(text: &str) -> Value {
    Value::from(text)
}

#[allow(clippy::needless_pass_by_value, reason = "numbers are copied")]
pub(super) fn number(number: impl ToString) -> Value {
    Value::from(number.to_string())
}
