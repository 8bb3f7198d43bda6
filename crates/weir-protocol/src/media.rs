//! Chunks of media: as publishers send them and as subscribers receive them.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::{
    Fault, Frame, Limits, TrackId,
    binary::Placeholder,
    event,
    packet::MediaPacket,
    request::{Arguments, Fields},
};

const NOT_BINARY: &str = "must be exactly one binary value";

/// The end of a chunk's header, and the placeholder of its payload.
const PAYLOAD_PLACE: &str = r#"},{"_placeholder":true,"num":0}]"#;

/// Upper bound on the length of a `media` event's JSON array.
const ARRAY_BYTES: usize = 160;

/// A chunk as its publisher sends it. The payload stays in the buffer that it was received in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published<'a> {
    /// Track of the chunk.
    pub track: TrackId,
    /// Timestamp in microseconds of the track's own clock.
    pub ts: i64,
    /// Whether the publisher marks it as a key chunk, where decoding can start.
    pub key: bool,
    /// Duration in microseconds.
    pub dur: Option<u64>,
    /// Opaque bytes.
    pub payload: &'a [u8],
}

/// A chunk as its subscribers receive it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Track of the chunk.
    pub track: TrackId,
    /// Sequence number: 1 for the track's first chunk, then one more for each.
    pub seq: u64,
    /// Timestamp in microseconds of the track's own clock.
    pub ts: i64,
    /// Whether the publisher marks it as a key chunk, where decoding can start.
    pub key: bool,
    /// Duration in microseconds.
    pub dur: Option<u64>,
    /// Opaque bytes.
    pub payload: Bytes,
}

impl Chunk {
    /// Encodes the chunk, which copies the payload.
    #[must_use]
    pub fn frame(&self) -> Frame {
        let Self {
            track,
            seq,
            ts,
            key,
            dur,
            ref payload,
        } = *self;
        let published = Published {
            track,
            ts,
            key,
            dur,
            payload,
        };
        published.frame(seq)
    }
}

/// Reason for missing chunks.
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
    #[serde(default, deserialize_with = "present")]
    dur: Option<u64>,
}

impl Header {
    fn of(self, payload: &[u8]) -> Published<'_> {
        Published {
            track: TrackId(self.track),
            ts: self.ts,
            key: self.key,
            dur: self.dur,
            payload,
        }
    }
}

/// Reads a value that may be absent, but not `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    u64::deserialize(deserializer).map(Some)
}

impl<'a> Published<'a> {
    /// Parses a `media` event. `array` is the packet's array, including the event's name; `payload`
    /// is its attachment, or `None` if the packet does not have exactly one.
    ///
    /// # Errors
    /// `bad_request` naming the field; `too_large` for a header over
    /// [`Limits::media_header_bytes`] or a payload over [`Limits::chunk_bytes`].
    pub fn parse(array: &str, payload: Option<&'a [u8]>, limits: &Limits) -> Result<Self, Fault> {
        // The header is shorter than the whole array.
        let within = |payload: &&[u8]| {
            payload.len() <= limits.chunk_bytes && array.len() <= limits.media_header_bytes
        };
        if let Some(payload) = payload.filter(within)
            && let Some(header) = usual_header(array)
        {
            return Ok(header.of(payload));
        }
        unusual(array, payload, limits)
    }

    /// Encodes the chunk with its sequence number, which copies the payload.
    #[must_use]
    pub fn frame(&self, seq: u64) -> Frame {
        let mut digits = itoa::Buffer::new();
        let mut array = String::with_capacity(ARRAY_BYTES);
        array.push_str("[\"");
        array.push_str(event::MEDIA);
        array.push_str(r#"",{"track":"#);
        array.push_str(digits.format(self.track.0));
        array.push_str(r#","seq":"#);
        array.push_str(digits.format(seq));
        array.push_str(r#","ts":"#);
        array.push_str(digits.format(self.ts));
        if self.key {
            array.push_str(r#","key":true"#);
        }
        if let Some(dur) = self.dur {
            array.push_str(r#","dur":"#);
            array.push_str(digits.format(dur));
        }
        array.push_str(PAYLOAD_PLACE);
        Frame::encode(None, MediaPacket::PREFIX, &array, &[self.payload])
    }

    /// Returns the chunk with its sequence number. It shares the buffer of `frame`, which
    /// [`frame`](Self::frame) has returned; without a frame, the payload is copied.
    #[must_use]
    pub fn chunk(&self, seq: u64, frame: Option<&Frame>) -> Chunk {
        let payload = frame.and_then(|frame| frame.attachments().next());
        Chunk {
            track: self.track,
            seq,
            ts: self.ts,
            key: self.key,
            dur: self.dur,
            payload: payload.unwrap_or_else(|| Bytes::copy_from_slice(self.payload)),
        }
    }
}

/// Parses an event of the form that most clients send, in one pass.
fn usual_header(array: &str) -> Option<Header> {
    // An array would deserialize like an object.
    let rest = array.strip_prefix("[\"")?.strip_prefix(event::MEDIA)?;
    if !rest.starts_with("\",{") {
        return None;
    }
    let (_, header, place) =
        serde_json::from_str::<(IgnoredAny, Header, Placeholder)>(array).ok()?;
    (place == Placeholder::FIRST).then_some(header)
}

/// Parses any other event step by step, to name the field that is wrong.
fn unusual<'a>(
    array: &str,
    payload: Option<&'a [u8]>,
    limits: &Limits,
) -> Result<Published<'a>, Fault> {
    let Ok((_, header, place)) =
        serde_json::from_str::<(IgnoredAny, &RawValue, Placeholder)>(array)
    else {
        return Err(arguments_fault(array));
    };
    let (length, limit) = (header.get().len(), limits.media_header_bytes);
    if length > limit {
        return Err(Fault::too_large("header", length, limit, "bytes"));
    }
    let Some(payload) = payload.filter(|_| place == Placeholder::FIRST) else {
        return Err(Fault::field("payload", NOT_BINARY));
    };
    let (length, limit) = (payload.len(), limits.chunk_bytes);
    if length > limit {
        return Err(Fault::too_large("payload", length, limit, "bytes"));
    }
    let fields = Fields::parse("header", Some(header), limits)?;
    let header = Header {
        track: fields.required("track", fields.integer("track")?)?,
        ts: fields.required("ts", fields.integer("ts")?)?,
        key: fields.boolean("key")?.unwrap_or(false),
        dur: fields.integer("dur")?,
    };
    Ok(header.of(payload))
}

/// Names what is wrong with the arguments' number or types.
fn arguments_fault(array: &str) -> Fault {
    let Some(arguments) = Arguments::parse(array) else {
        return Fault::field("header", "the packet is not a JSON array");
    };
    match arguments.count {
        0 => Fault::field("header", "is missing"),
        1 => Fault::field("payload", "is missing"),
        2 => Fault::field("payload", NOT_BINARY),
        _ => Fault::field("payload", "nothing may follow it"),
    }
}
