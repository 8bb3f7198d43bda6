//! Fields of an object that the contract defines.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::shape::REQUESTS;

/// Fields of a CONNECT packet's `auth`.
const CONNECT: &[&str] = &["token", "traceparent"];

/// Unparsed known fields of an object. Of a duplicate field, the last value counts.
///
/// Other fields are not kept: an object with millions of them would need many times its length in
/// memory.
#[derive(Debug, Default)]
pub(crate) struct KnownFields<'a>(Vec<(&'static str, &'a RawValue)>);

impl<'a> KnownFields<'a> {
    /// Returns the value of a field.
    pub(crate) fn value(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }

    fn set(&mut self, name: &'static str, value: &'a RawValue) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some(field) => field.1 = value,
            None => self.0.push((name, value)),
        }
    }
}

/// Deserializes a field's name: `None` if the contract does not define it.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let requested = REQUESTS.iter().flat_map(|request| request.fields);
        let mut known = requested
            .map(|field| field.name)
            .chain(CONNECT.iter().copied());
        Ok(known.find(|known| *known == name))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for KnownFields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = KnownFields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut known = KnownFields::default();
                while let Some(name) = map.next_key_seed(Name)? {
                    match name {
                        Some(name) => known.set(name, map.next_value()?),
                        None => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(known)
            }
        }

        deserializer.deserialize_map(Entries)
    }
}
