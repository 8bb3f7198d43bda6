//! JSON of clients: forwarded unchanged, but checked for what other clients cannot read.

use std::{collections::HashSet, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    Fault,
    binary::{NUMBER, PLACEHOLDER},
    event,
};

/// Maximum nesting of a value: `1` has no level, `[1]` has one.
///
/// Packets wrap a value in up to five more levels. Parsers of common languages stop at 64 (.NET), 100
/// (Ruby) or 127 levels (`serde_json`).
const DEEPEST: usize = 50;

/// Any JSON value, as text. Cheap to clone.
///
/// A value from a client is nested at most 50 levels deep and has no duplicate key, since other
/// clients' parsers have limits. It holds no attachment placeholders, except those that were
/// validated together with their attachments.
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// Returns the value `{}`.
    #[must_use]
    pub fn empty_object() -> Self {
        let raw = RawValue::from_string("{}".into()).expect("{} is JSON");
        Self(raw.into())
    }

    /// Validates a client's JSON that may hold no binary.
    ///
    /// # Errors
    /// `bad_request` if it is nested too deeply or holds binary, `too_large` if its text is longer
    /// than `limit` bytes. Both name `field`.
    pub(crate) fn plain(field: &str, raw: &RawValue, limit: usize) -> Result<Self, Fault> {
        let (json, placeholders) = Self::checked(field, raw, limit)?;
        if placeholders.is_empty() {
            Ok(json)
        } else {
            Err(Fault::field(field, "holds binary"))
        }
    }

    /// Validates a client's JSON with exactly one placeholder for each of `attachments` attachments.
    ///
    /// # Errors
    /// As [`Json::plain`], and `bad_request` if placeholders and attachments do not match.
    pub(crate) fn with_attachments(
        field: &str,
        raw: &RawValue,
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
        raw: &RawValue,
        limit: usize,
    ) -> Result<(Self, Vec<Option<usize>>), Fault> {
        let length = raw.get().len();
        if length > limit {
            return Err(Fault::too_large(field, length, limit, "bytes of JSON"));
        }
        let mut scan = Scan::default();
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        let scanned = Walk {
            scan: &mut scan,
            levels: DEEPEST,
        }
        .deserialize(&mut deserializer);
        match scanned {
            Ok(_) => Ok((Self(raw.to_owned().into()), scan.placeholders)),
            Err(_) if scan.too_deep => Err(Fault::field(
                field,
                format!("is nested more than {DEEPEST} levels deep"),
            )),
            Err(_) if scan.twice.is_some() => {
                let key = scan.twice.unwrap_or_default();
                let problem = format!("holds the key {:?} twice", event::shown(&key));
                Err(Fault::field(field, problem))
            }
            Err(_) => Err(Fault::field(
                field,
                "holds half a character (a lone surrogate) or an impossible number",
            )),
        }
    }

    /// Returns the value's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

/// Findings of the walk over a value.
#[derive(Default)]
struct Scan {
    /// Attachment number of every object that a client might read as a placeholder. `None` for one
    /// that is not exactly `{"_placeholder":true,"num":n}`.
    placeholders: Vec<Option<usize>>,
    too_deep: bool,
    /// Duplicate key of an object.
    twice: Option<String>,
}

/// Walk over the text of a value.
///
/// A duplicate key in one object is refused. Clients differ in which value counts, and one cannot
/// read the packet at all: `JSONObject` of org.json 20090211, which the Java client uses, throws on
/// it (`putOnce`).
struct Walk<'a> {
    scan: &'a mut Scan,
    /// Remaining levels of nesting.
    levels: usize,
}

/// Value of a placeholder's field.
#[derive(PartialEq)]
enum Seen {
    True,
    Natural(u64),
    Other,
}

impl Walk<'_> {
    /// Returns the walk over a nested value.
    fn inner<E: de::Error>(&mut self) -> Result<Walk<'_>, E> {
        let Some(levels) = self.levels.checked_sub(1) else {
            self.scan.too_deep = true;
            return Err(E::custom("nested too deeply"));
        };
        Ok(Walk {
            scan: &mut *self.scan,
            levels,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Seen;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Seen, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Seen, E> {
        Ok(if value { Seen::True } else { Seen::Other })
    }

    fn visit_u64<E>(self, value: u64) -> Result<Seen, E> {
        Ok(Seen::Natural(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_unit<E>(self) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Seen, A::Error> {
        while seq.next_element_seed(self.inner()?)?.is_some() {}
        Ok(Seen::Other)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Seen, A::Error> {
        let (mut entries, mut marked, mut exact, mut number) = (0, false, false, None);
        // An empty object counts as a level.
        self.inner::<A::Error>()?;
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if keys.contains(&key) {
                self.scan.twice = Some(key);
                return Err(de::Error::custom("the same key twice"));
            }
            let value = map.next_value_seed(self.inner()?)?;
            entries += 1;
            match (key.as_str(), value) {
                (PLACEHOLDER, value) => (marked, exact) = (true, value == Seen::True),
                (NUMBER, Seen::Natural(n)) => number = usize::try_from(n).ok(),
                _ => {}
            }
            keys.insert(key);
        }
        if marked {
            let number = number.filter(|_| exact && entries == 2);
            self.scan.placeholders.push(number);
        }
        Ok(Seen::Other)
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
