//! Encoding of chunks and signals between nodes.
//!
//! Numbers are big-endian. Every message starts with the version of its format and the origin, by
//! which a node recognises its own messages.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use weir_cluster::{EarlierChunks, Relayed, Signal, trace};
use weir_protocol::{Chunk, Json, MemberId, TrackId};

/// Versions of the message formats. A node drops and counts messages with another version.
pub(crate) const CHUNK: u8 = 1;
pub(crate) const SIGNAL: u8 = 2;

/// Length of version and origin.
const HEAD: usize = 1 + 8;

/// Length of a chunk's flags, `seq` and `ts`. A `dur` of 8 bytes may follow.
const CHUNK_HEAD: usize = 1 + 8 + 8;

/// Flag: the publisher marked it as a key chunk.
const KEY: u8 = 1;
/// Flag: a `dur` follows.
const DUR: u8 = 2;
/// Flag: it counts as a key chunk.
const START: u8 = 4;
/// Flag: a trace id of 16 bytes and a span id of 8 follow `dur`.
const TRACED: u8 = 8;
const TRACE: usize = 16 + 8;

/// Maximum length of what precedes a chunk's payload.
const CHUNK_MAX: usize = HEAD + CHUNK_HEAD + 8 + TRACE;

/// Malformed message, or one of a version that this node does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of the bus is malformed: {0}")]
pub(crate) struct EnvelopeError(pub(crate) &'static str);

/// Random identifier of the node instance that sent a message.
pub(crate) type Origin = u64;

/// Starts a message with its version and origin.
pub(crate) fn head(version: u8, capacity: usize, origin: Origin) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(HEAD + capacity);
    bytes.put_u8(version);
    bytes.put_u64(origin);
    bytes
}

/// Returns the origin and the content of a message of this version.
pub(crate) fn open(version: u8, message: &[u8]) -> Result<(Origin, &[u8]), EnvelopeError> {
    let (actual, rest) = message.split_first().ok_or(TOO_SHORT)?;
    let (origin, content) = rest.split_first_chunk().ok_or(TOO_SHORT)?;
    if *actual != version {
        return Err(EnvelopeError("it is of another version"));
    }
    Ok((Origin::from_be_bytes(*origin), content))
}

const TOO_SHORT: EnvelopeError = EnvelopeError("it is too short");

/// First bytes of a message, kept apart so that the payload is not copied.
#[derive(Debug)]
pub(crate) struct MessageHead {
    bytes: [u8; CHUNK_MAX],
    length: usize,
}

impl Default for MessageHead {
    fn default() -> Self {
        Self {
            bytes: [0; CHUNK_MAX],
            length: 0,
        }
    }
}

impl MessageHead {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        self.bytes[self.length..end].copy_from_slice(bytes);
        self.length = end;
    }
}

/// Encodes what precedes a chunk's payload. The channel determines the track.
pub(crate) fn chunk_head(origin: Origin, relayed: &Relayed) -> MessageHead {
    let chunk = &relayed.chunk;
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let key = flag(chunk.key, KEY) | flag(relayed.counts_as_key, START);
    let traced = flag(relayed.trace.is_some(), TRACED);
    let flags = key | traced | flag(chunk.dur.is_some(), DUR);
    let mut head = MessageHead::default();
    head.put(&[CHUNK]);
    head.put(&origin.to_be_bytes());
    head.put(&[flags]);
    head.put(&chunk.seq.to_be_bytes());
    head.put(&chunk.ts.to_be_bytes());
    if let Some(dur) = chunk.dur {
        head.put(&dur.to_be_bytes());
    }
    if let Some(trace) = &relayed.trace {
        head.put(&trace.trace_id().to_bytes());
        head.put(&trace.span_id().to_bytes());
    }
    head
}

/// Decodes a chunk of `track`, unless `own` is its origin. The payload is copied, since a part of
/// the read buffer would keep all of it in memory.
pub(crate) fn chunk(
    track: TrackId,
    own: Origin,
    message: &[u8],
) -> Result<Option<Relayed>, EnvelopeError> {
    let (origin, rest) = open(CHUNK, message)?;
    if origin == own {
        return Ok(None);
    }
    let (flags, rest) = rest.split_first().ok_or(TOO_SHORT)?;
    let (seq, rest) = rest.split_first_chunk().ok_or(TOO_SHORT)?;
    let (ts, mut rest) = rest.split_first_chunk().ok_or(TOO_SHORT)?;
    let mut dur = None;
    if flags & DUR != 0 {
        let (bytes, after) = rest.split_first_chunk().ok_or(TOO_SHORT)?;
        (dur, rest) = (Some(u64::from_be_bytes(*bytes)), after);
    }
    let mut span = None;
    if flags & TRACED != 0 {
        let (trace_id, after) = rest.split_first_chunk().ok_or(TOO_SHORT)?;
        let (span_id, after) = after.split_first_chunk().ok_or(TOO_SHORT)?;
        (span, rest) = (Some(trace::remote(*trace_id, *span_id)), after);
    }
    Ok(Some(Relayed {
        chunk: Chunk {
            track,
            seq: u64::from_be_bytes(*seq),
            ts: i64::from_be_bytes(*ts),
            key: flags & KEY != 0,
            dur,
            payload: Bytes::copy_from_slice(rest),
        },
        counts_as_key: flags & START != 0,
        trace: span,
    }))
}

/// Signal without its attachments, which follow it.
#[derive(Serialize, Deserialize)]
enum Record {
    Message {
        version: u64,
        from: MemberId,
        to: Option<Vec<MemberId>>,
        topic: Option<String>,
        data: Json,
        /// Lengths of the attachments.
        attachments: Vec<usize>,
    },
    KeyframeRequested(TrackId),
    Wanted {
        track: TrackId,
        beginning: bool,
    },
    Position {
        track: TrackId,
        last: u64,
        /// Whether a node of the previous version starts with it before its first chunk.
        beginning: bool,
        /// Whether the earlier chunks are no longer kept. Nodes of the previous version omit it.
        #[serde(default)]
        gone: bool,
    },
}

/// Encodes a signal without the message's head: the length of a JSON record in 4 bytes, the record,
/// and the attachments.
pub(crate) fn of_signal(signal: &Signal) -> Bytes {
    let (record, attachments): (_, &[Bytes]) = match signal {
        Signal::Message {
            version,
            from,
            to,
            topic,
            data,
            attachments,
        } => {
            let record = Record::Message {
                version: *version,
                from: from.clone(),
                to: to.clone(),
                topic: topic.clone(),
                data: data.clone(),
                attachments: attachments.iter().map(Bytes::len).collect(),
            };
            (record, attachments)
        }
        Signal::KeyframeRequested(track) => (Record::KeyframeRequested(*track), &[]),
        Signal::Wanted { track, beginning } => {
            let (track, beginning) = (*track, *beginning);
            (Record::Wanted { track, beginning }, &[])
        }
        Signal::Position {
            track,
            last,
            earlier,
        } => {
            let record = Record::Position {
                track: *track,
                last: *last,
                beginning: *earlier != EarlierChunks::Kept,
                gone: *earlier == EarlierChunks::Gone,
            };
            (record, &[])
        }
    };
    let record = serde_json::to_vec(&record).expect("records have string keys");
    let length: usize = attachments.iter().map(Bytes::len).sum();
    let mut bytes = BytesMut::with_capacity(4 + record.len() + length);
    bytes.put_u32(u32::try_from(record.len()).unwrap_or(u32::MAX));
    bytes.put_slice(&record);
    attachments.iter().for_each(|one| bytes.put_slice(one));
    bytes.freeze()
}

/// Decodes a signal.
pub(crate) fn signal(mut bytes: Bytes) -> Result<Signal, EnvelopeError> {
    let wrong = EnvelopeError("a signal is damaged");
    if bytes.len() < 4 {
        return Err(wrong);
    }
    let length = bytes.get_u32() as usize;
    if bytes.len() < length {
        return Err(wrong);
    }
    let record = bytes.split_to(length);
    let record = serde_json::from_slice(&record).map_err(|_| wrong)?;
    Ok(match record {
        Record::KeyframeRequested(track) => Signal::KeyframeRequested(track),
        Record::Wanted { track, beginning } => Signal::Wanted { track, beginning },
        Record::Position {
            track,
            last,
            beginning,
            gone,
        } => Signal::Position {
            track,
            last,
            earlier: match (beginning, gone) {
                (_, true) => EarlierChunks::Gone,
                (true, false) => EarlierChunks::Republished,
                (false, false) => EarlierChunks::Kept,
            },
        },
        Record::Message {
            version,
            from,
            to,
            topic,
            data,
            attachments: lengths,
        } => {
            let mut attachments = Vec::with_capacity(lengths.len().min(1_024));
            for length in lengths {
                if bytes.len() < length {
                    return Err(wrong);
                }
                attachments.push(bytes.split_to(length));
            }
            Signal::Message {
                version,
                from,
                to,
                topic,
                data,
                attachments,
            }
        }
    })
}

#[cfg(test)]
mod tests;
