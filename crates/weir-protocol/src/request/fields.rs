//! Fields of a request's argument. Errors state the expected value.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::known::KnownFields;
use crate::{Fault, Init, Json, Limits, RoomId, TrackId, binary::PLACEHOLDER};

const OBJECT: &str = "an object";

/// Fields of one argument. Unknown fields are ignored, so that later versions may add some.
pub(crate) struct Fields<'a> {
    known: KnownFields<'a>,
    limits: &'a Limits,
}

impl<'a> Fields<'a> {
    /// Parses an object. Without an argument there are no fields.
    pub(crate) fn parse(
        name: &str,
        argument: Option<&'a RawValue>,
        limits: &'a Limits,
    ) -> Result<Self, Fault> {
        let known = match argument {
            None => KnownFields::default(),
            Some(raw) => serde_json::from_str(raw.get())
                .map_err(|_| Fault::field(name, wrong(OBJECT, raw)))?,
        };
        Ok(Self { known, limits })
    }

    /// Returns the limits of the fields.
    pub(crate) fn limits(&self) -> &'a Limits {
        self.limits
    }

    fn read<T: serde::de::DeserializeOwned>(
        &self,
        field: &str,
        wanted: &str,
    ) -> Result<Option<T>, Fault> {
        let Some(raw) = self.known.value(field) else {
            return Ok(None);
        };
        // Deserialization would accept `null` as a missing value.
        if raw.get() == "null" {
            return Err(Fault::field(field, wrong(wanted, raw)));
        }
        serde_json::from_str(raw.get())
            .map(Some)
            .map_err(|_| Fault::field(field, wrong(wanted, raw)))
    }

    /// Requires a value.
    pub(crate) fn required<T>(&self, field: &str, value: Option<T>) -> Result<T, Fault> {
        value.ok_or_else(|| Fault::field(field, "is missing"))
    }

    /// Reads `true` or `false`.
    pub(crate) fn boolean(&self, field: &str) -> Result<Option<bool>, Fault> {
        self.read(field, "true or false")
    }

    /// Reads an integer in the range of `T`.
    pub(crate) fn integer<T: serde::de::DeserializeOwned>(
        &self,
        field: &str,
    ) -> Result<Option<T>, Fault> {
        self.read(field, integer_range::<T>())
    }

    /// Reads an integer of at least 1.
    pub(crate) fn positive(&self, field: &str) -> Result<Option<u32>, Fault> {
        let value: Option<std::num::NonZeroU32> =
            self.read(field, "an integer from 1 to 4294967295")?;
        Ok(value.map(std::num::NonZeroU32::get))
    }

    /// Reads a number over 0.
    pub(crate) fn rate(&self, field: &str) -> Result<Option<f64>, Fault> {
        let value: Option<f64> = self.read(field, "a number over 0")?;
        match value {
            Some(rate) if rate <= 0.0 => Err(Fault::field(field, "must be a number over 0")),
            value => Ok(value),
        }
    }

    /// Reads text of at most [`Limits::name_chars`] characters.
    pub(crate) fn text(&self, field: &str) -> Result<Option<String>, Fault> {
        let value: Option<String> = self.read(field, "a string")?;
        let length = value.as_ref().map_or(0, |text| text.chars().count());
        if length > self.limits.name_chars {
            return Err(Fault::too_large(
                field,
                length,
                self.limits.name_chars,
                "characters",
            ));
        }
        Ok(value)
    }

    /// Reads text that is not empty.
    pub(crate) fn word(&self, field: &str) -> Result<Option<String>, Fault> {
        match self.text(field)? {
            Some(text) if text.is_empty() => Err(Fault::field(field, "must not be empty")),
            value => Ok(value),
        }
    }

    /// Reads text that represents a `T`, such as a variant's name.
    pub(crate) fn one_of<T: serde::de::DeserializeOwned>(
        &self,
        field: &str,
        wanted: &str,
    ) -> Result<Option<T>, Fault> {
        match self.known.value(field) {
            // Deserialization would accept an object as an enum.
            Some(raw) if !raw.get().starts_with('"') => {
                Err(Fault::field(field, wrong(wanted, raw)))
            }
            _ => self.read(field, wanted),
        }
    }

    /// Reads text without a length limit. `null` counts as absent.
    pub(crate) fn text_or_null(&self, field: &str) -> Result<Option<String>, Fault> {
        match self.known.value(field) {
            Some(raw) if raw.get() == "null" => Ok(None),
            _ => self.read(field, "a string"),
        }
    }

    /// Reads a list of at most `limit` texts.
    pub(crate) fn list(&self, field: &str, limit: usize) -> Result<Option<Vec<String>>, Fault> {
        let value: Option<Vec<String>> = self.read(field, "an array of strings")?;
        match value {
            Some(list) if list.len() > limit => {
                Err(Fault::too_large(field, list.len(), limit, "entries"))
            }
            value => Ok(value),
        }
    }

    /// Reads a room's id.
    pub(crate) fn room(&self, field: &str) -> Result<Option<RoomId>, Fault> {
        let value: Option<String> = self.read(field, "a string")?;
        value
            .map(|id| RoomId::parse(field, &id, self.limits))
            .transpose()
    }

    /// Reads a track's id, which is required.
    pub(crate) fn track(&self) -> Result<TrackId, Fault> {
        Ok(TrackId(self.required("track", self.integer("track")?)?))
    }

    /// Reads JSON of at most [`Limits::metadata_bytes`].
    pub(crate) fn metadata(&self) -> Result<Option<Json>, Fault> {
        let raw = self.known.value("metadata");
        raw.map(|raw| Json::plain("metadata", raw, self.limits.metadata_bytes))
            .transpose()
    }

    /// Reads JSON with placeholders for the packet's attachments: at most
    /// [`Limits::message_attachments`], and [`Limits::message_bytes`] in all.
    pub(crate) fn data(&self, attachments: &[Bytes]) -> Result<Json, Fault> {
        let raw = self.required("data", self.known.value("data"))?;
        let (count, limit) = (attachments.len(), self.limits.message_attachments);
        if count > limit {
            return Err(Fault::too_large("data", count, limit, "attachments"));
        }
        let limit = self.limits.message_bytes;
        let binary: usize = attachments.iter().map(Bytes::len).sum();
        let length = raw.get().len() + binary;
        if length > limit {
            return Err(Fault::too_large("data", length, limit, "bytes"));
        }
        Json::with_attachments("data", raw, limit, attachments.len())
    }

    /// Reads base64 text of at most [`Limits::init_bytes`] decoded bytes.
    pub(crate) fn init(&self) -> Result<Option<Init>, Fault> {
        let text: Option<String> = self.read("init", "base64 text")?;
        text.map(|text| Init::parse(&text, self.limits)).transpose()
    }
}

fn integer_range<T>() -> &'static str {
    match std::any::type_name::<T>() {
        "u32" => "an integer from 0 to 4294967295",
        "u64" => "an integer from 0 on",
        _ => "an integer",
    }
}

fn wrong(wanted: &str, raw: &RawValue) -> String {
    let text = raw.get();
    let actual = match text.as_bytes().first() {
        Some(b'"') if serde_json::from_str::<String>(text).is_err() => {
            "a string with half a character (a lone surrogate)"
        }
        Some(b'"') => "a string",
        Some(b'{') if text.contains(PLACEHOLDER) => "binary",
        Some(b'{') if wanted == OBJECT => "one with half a character (a lone surrogate) in a name",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    };
    let value = if text.len() <= 40 {
        format!(" ({text})")
    } else {
        String::new()
    };
    format!("must be {wanted}, not {actual}{value}")
}
