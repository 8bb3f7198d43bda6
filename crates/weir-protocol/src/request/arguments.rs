//! A packet's arguments, before anything is known of them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// The arguments of an event, of which requests have one at the most.
///
/// Further ones are counted and not kept: a packet of millions would otherwise take many times its
/// own length of memory.
#[derive(Debug)]
pub(crate) struct Arguments<'a> {
    /// The first.
    pub(crate) first: Option<&'a RawValue>,
    /// How many there are.
    pub(crate) count: usize,
}

impl<'a> Arguments<'a> {
    /// Takes a packet's array apart, whose first entry is the event's name; `None` if it is none.
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
