//! Chunks of media: what publishers send and what subscribers get.

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::{
    Fault, Frame, Limits, TrackId, arguments::Arguments, binary::Placeholder, encode::json, event,
    fields::Fields,
};

const NOT_BINARY: &str = "must be exactly one binary value";

/// A chunk as its publisher sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The track that it belongs to.
    pub track: TrackId,
    /// Microseconds of the track's own clock.
    pub ts: i64,
    /// Whether the publisher says that decoding can start here.
    pub key: bool,
    /// How long it lasts, in microseconds.
    pub dur: Option<u64>,
    /// Opaque bytes.
    pub payload: Bytes,
}

/// A chunk as its subscribers get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The track that it belongs to.
    pub track: TrackId,
    /// Its number: 1 for the track's first chunk, one more for each.
    pub seq: u64,
    /// Microseconds of the track's own clock.
    pub ts: i64,
    /// Whether the publisher says that decoding can start here.
    pub key: bool,
    /// How long it lasts, in microseconds.
    pub dur: Option<u64>,
    /// Opaque bytes.
    pub payload: Bytes,
}

impl Chunk {
    /// Encodes it.
    #[must_use]
    pub fn frame(&self) -> Frame {
        #[derive(Serialize)]
        struct Header {
            track: TrackId,
            seq: u64,
            ts: i64,
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            key: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            dur: Option<u64>,
        }
        let Self {
            track,
            seq,
            ts,
            key,
            dur,
            payload,
        } = self;
        let header = Header {
            track: *track,
            seq: *seq,
            ts: *ts,
            key: *key,
            dur: *dur,
        };
        let body = json(&(event::MEDIA, header, Placeholder::FIRST));
        Frame::new(None, &body, std::slice::from_ref(payload))
    }
}

/// Why chunks are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GapReason {
    /// The subscriber did not keep up.
    Slow,
    /// They were lost between nodes.
    Lost,
}

#[derive(Deserialize)]
struct Header {
    track: u32,
    ts: i64,
    #[serde(default)]
    key: bool,
    dur: Option<u64>,
}

impl Published {
    /// Parses the arguments of a `media` event: `text` is the packet's array, its name included.
    ///
    /// # Errors
    /// `bad_request` naming the field; `too_large` for a header over
    /// [`Limits::media_header_bytes`] or a payload over [`Limits::chunk_bytes`].
    pub fn parse(text: &str, attachments: &[Bytes], limits: &Limits) -> Result<Self, Fault> {
        // The usual form first, in one pass; whatever is not of it is looked at again for its fault.
        let Ok((_, header, place)) =
            serde_json::from_str::<(IgnoredAny, &RawValue, Placeholder)>(text)
        else {
            return Err(arguments_fault(text));
        };
        let length = header.get().len();
        if length > limits.media_header_bytes {
            let limit = limits.media_header_bytes;
            return Err(Fault::too_large("header", length, limit, "bytes"));
        }
        let payload = place
            .resolve(attachments)
            .filter(|_| attachments.len() == 1)
            .ok_or_else(|| Fault::field("payload", NOT_BINARY))?;
        if payload.len() > limits.chunk_bytes {
            return Err(Fault::too_large(
                "payload",
                payload.len(),
                limits.chunk_bytes,
                "bytes",
            ));
        }
        let header = match usual_header(header.get()) {
            Some(header) => header,
            None => slow_header(header, limits)?,
        };
        let Header {
            track,
            ts,
            key,
            dur,
        } = header;
        Ok(Self {
            track: TrackId(track),
            ts,
            key,
            dur,
            payload,
        })
    }

    /// This chunk with the number that it was given.
    #[must_use]
    pub fn numbered(self, seq: u64) -> Chunk {
        let Self {
            track,
            ts,
            key,
            dur,
            payload,
        } = self;
        Chunk {
            track,
            seq,
            ts,
            key,
            dur,
            payload,
        }
    }
}

/// Parses a header in one pass; `None` if that would take what is none.
fn usual_header(text: &str) -> Option<Header> {
    // An array would pass for an object, and `dur: null` for a missing one.
    let header: Header = serde_json::from_str(text).ok()?;
    let plain = text.starts_with('{') && (header.dur.is_some() || !text.contains("null"));
    plain.then_some(header)
}

/// Parses a header field by field, to name the one that is wrong.
fn slow_header(raw: &RawValue, limits: &Limits) -> Result<Header, Fault> {
    let fields = Fields::parse("header", Some(raw), limits)?;
    Ok(Header {
        track: fields.required("track", fields.integer("track")?)?,
        ts: fields.required("ts", fields.integer("ts")?)?,
        key: fields.boolean("key")?.unwrap_or(false),
        dur: fields.integer("dur")?,
    })
}

/// Says which of the arguments is not what it should be.
fn arguments_fault(text: &str) -> Fault {
    let Some(arguments) = Arguments::parse(text) else {
        return Fault::field("header", "the packet is not a JSON array");
    };
    match arguments.count {
        0 => Fault::field("header", "is missing"),
        1 => Fault::field("payload", "is missing"),
        2 => Fault::field("payload", NOT_BINARY),
        _ => Fault::field("payload", "nothing may follow it"),
    }
}
