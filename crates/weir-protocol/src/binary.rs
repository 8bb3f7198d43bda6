//! Binary values inside JSON: placeholders and the attachments that they stand for.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor},
    ser::SerializeMap,
};

/// The key by which Socket.IO marks the place of a binary attachment.
///
/// Source: Socket.IO protocol, revision 5, "Packet encoding", binary packets.
pub(crate) const PLACEHOLDER: &str = "_placeholder";

/// The key that holds the attachment's number.
pub(crate) const NUMBER: &str = "num";

/// What a key means where an object may be a placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(field_identifier)]
enum Key {
    /// [`PLACEHOLDER`].
    #[serde(rename = "_placeholder")]
    Marker,
    /// [`NUMBER`].
    #[serde(rename = "num")]
    Number,
    /// Nothing.
    #[serde(other)]
    Other,
}

/// The object that stands for attachment `num`.
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

// By hand, since a derived one would also take `[true, 0]`.
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
