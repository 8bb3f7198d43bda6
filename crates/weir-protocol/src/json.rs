//! A client's own JSON: kept as it was written, checked to be harmless to those it is sent to.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::Fault;

/// The key by which Socket.IO marks the place of a binary attachment.
///
/// Source: Socket.IO protocol, revision 5, "Packet encoding", binary packets.
pub(crate) const PLACEHOLDER: &str = "_placeholder";

/// Any JSON value, as text. Cheap to clone.
///
/// It is nested less than 128 levels deep, since clients walk what they receive recursively, and it
/// holds no attachment placeholder unless it was made with [`Json::with_attachments`].
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// The value `{}`.
    #[must_use]
    pub fn empty_object() -> Self {
        let raw = RawValue::from_string("{}".into()).expect("{} is JSON");
        Self(raw.into())
    }

    /// Takes a client's JSON that may hold no binary.
    ///
    /// # Errors
    /// `bad_request` if it is nested too deeply or holds binary, `too_large` if its text is longer
    /// than `limit` bytes. Both name `field`.
    pub(crate) fn plain(field: &str, raw: Box<RawValue>, limit: usize) -> Result<Self, Fault> {
        let (json, placeholders) = Self::checked(field, raw, limit)?;
        if placeholders.is_empty() {
            Ok(json)
        } else {
            Err(Fault::field(field, "holds binary"))
        }
    }

    /// Takes a client's JSON in which each of `attachments` attachments has exactly one place.
    ///
    /// # Errors
    /// As [`Json::plain`], and `bad_request` if places and attachments do not match.
    pub(crate) fn with_attachments(
        field: &str,
        raw: Box<RawValue>,
        limit: usize,
        attachments: usize,
    ) -> Result<Self, Fault> {
        let (json, mut placeholders) = Self::checked(field, raw, limit)?;
        placeholders.sort_unstable();
        if placeholders.iter().copied().eq((0..attachments).map(Some)) {
            Ok(json)
        } else {
            Err(Fault::field(
                field,
                "its binary placeholders do not match the attachments",
            ))
        }
    }

    fn checked(
        field: &str,
        raw: Box<RawValue>,
        limit: usize,
    ) -> Result<(Self, Vec<Option<usize>>), Fault> {
        let length = raw.get().len();
        if length > limit {
            return Err(Fault::too_large(field, length, limit, "bytes of JSON"));
        }
        // serde_json refuses more than 127 levels.
        let value: serde_json::Value = serde_json::from_str(raw.get()).map_err(|_| {
            Fault::field(field, "is nested too deeply or holds an impossible number")
        })?;
        let mut placeholders = Vec::new();
        find_placeholders(&value, &mut placeholders);
        Ok((Self(raw.into()), placeholders))
    }

    /// The value's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

/// Collects the attachment number of every object that a client might take for a placeholder;
/// `None` for one that is not exactly `{"_placeholder":true,"num":n}`.
fn find_placeholders(value: &serde_json::Value, found: &mut Vec<Option<usize>>) {
    match value {
        serde_json::Value::Array(items) => {
            items.iter().for_each(|item| find_placeholders(item, found));
        }
        serde_json::Value::Object(object) if object.contains_key(PLACEHOLDER) => {
            let exact = object.len() == 2 && object[PLACEHOLDER] == true;
            let number = object.get("num").and_then(serde_json::Value::as_u64);
            found.push(
                number
                    .filter(|_| exact)
                    .and_then(|n| usize::try_from(n).ok()),
            );
        }
        serde_json::Value::Object(object) => {
            object
                .values()
                .for_each(|item| find_placeholders(item, found));
        }
        _ => {}
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl Default for Json {
    fn default() -> Self {
        Self::empty_object()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Box::<RawValue>::deserialize(deserializer)?.into()))
    }
}
