//! Unparsed arguments of a packet.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// Arguments of an event. Requests have at most one.
///
/// Further arguments are counted, but not kept: a packet with millions of them would need many times
/// its length in memory.
#[derive(Debug)]
pub(crate) struct Arguments<'a> {
    /// First argument.
    pub(crate) first: Option<&'a RawValue>,
    /// Number of arguments.
    pub(crate) count: usize,
}

impl<'a> Arguments<'a> {
    /// Parses a packet's array, which starts with the event's name. Returns `None` for other text.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Arguments<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Arguments<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                seq.next_element::<IgnoredAny>()?;
                let first = seq.next_element()?;
                let mut count = usize::from(first.is_some());
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Arguments { first, count })
            }
        }

        deserializer.deserialize_seq(Entries)
    }
}
