//! Placeholders of binary values in JSON.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor},
    ser::SerializeMap,
};

/// Key that marks a placeholder of a binary attachment.
///
/// Source: Socket.IO protocol, revision 5, "Packet encoding", binary packets.
pub(crate) const PLACEHOLDER: &str = "_placeholder";

/// Key of the attachment's number.
pub(crate) const NUMBER: &str = "num";

/// Key of an object that may be a placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(field_identifier)]
enum Key {
    /// [`PLACEHOLDER`].
    #[serde(rename = "_placeholder")]
    Marker,
    /// [`NUMBER`].
    #[serde(rename = "num")]
    Number,
    /// Any other.
    #[serde(other)]
    Other,
}

/// Placeholder of an attachment, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placeholder {
    number: usize,
}

impl Placeholder {
    /// Placeholder of a packet's only attachment.
    pub(crate) const FIRST: Self = Self { number: 0 };
}

impl Serialize for Placeholder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(PLACEHOLDER, &true)?;
        map.serialize_entry(NUMBER, &self.number)?;
        map.end()
    }
}

// A derived implementation would also accept `[true, 0]`.
impl<'de> Deserialize<'de> for Placeholder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Placeholder;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a binary value's placeholder")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Placeholder, A::Error> {
                let (mut marked, mut number) = (None, None);
                while let Some(key) = map.next_key()? {
                    let again = match key {
                        Key::Marker => marked.replace(map.next_value::<bool>()?).is_some(),
                        Key::Number => number.replace(map.next_value()?).is_some(),
                        Key::Other => return Err(de::Error::custom("an unknown key")),
                    };
                    if again {
                        return Err(de::Error::custom("the same key twice"));
                    }
                }
                match (marked, number) {
                    (Some(true), Some(number)) => Ok(Placeholder { number }),
                    _ => Err(de::Error::custom("no placeholder")),
                }
            }
        }

        deserializer.deserialize_map(Fields)
    }
}
