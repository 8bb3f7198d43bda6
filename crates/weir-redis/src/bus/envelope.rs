//! Chunks and signals as they go from node to node.
//!
//! Numbers are big-endian. Both begin with the version of the form and the sender's origin, by
//! which it knows its own.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use weir_cluster::{Relayed, Signal, trace};
use weir_protocol::{Chunk, Json, MemberId, TrackId};

/// Versions of the message formats. A node drops and counts messages with another version.
pub(crate) const CHUNK: u8 = 1;
pub(crate) const SIGNAL: u8 = 2;

/// The bytes before what is sent: version and origin.
const HEAD: usize = 1 + 8;

/// The bytes of a chunk's header: flags, `seq`, `ts`. If there is a `dur`, 8 more follow.
const CHUNK_HEAD: usize = 1 + 8 + 8;

/// The publisher has marked it.
const KEY: u8 = 1;
/// There is a `dur`.
const DUR: u8 = 2;
/// It counts as a key chunk.
const START: u8 = 4;
/// Its way is traced: 16 bytes of a trace's id and 8 of a span's follow `dur`.
const TRACED: u8 = 8;
const TRACE: usize = 16 + 8;

/// A message that is none of ours, or of a version that this node does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of the bus is not understood: {0}")]
pub(crate) struct EnvelopeError(pub(crate) &'static str);

/// Which node instance a message came from.
pub(crate) type Origin = u64;

pub(crate) fn head(version: u8, capacity: usize, origin: Origin) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(HEAD + capacity);
    bytes.put_u8(version);
    bytes.put_u64(origin);
    bytes
}

/// Reads the sender of a message of this version, and leaves the content.
pub(crate) fn open(version: u8, bytes: &mut Bytes) -> Result<Origin, EnvelopeError> {
    if bytes.len() < HEAD {
        return Err(EnvelopeError("it is too short"));
    }
    if bytes.get_u8() != version {
        return Err(EnvelopeError("it is of another version"));
    }
    Ok(bytes.get_u64())
}

/// A chunk; its track is the channel's.
pub(crate) fn of_chunk(origin: Origin, relayed: &Relayed) -> Bytes {
    let chunk = &relayed.chunk;
    let mut bytes = head(CHUNK, CHUNK_HEAD + 8 + TRACE + chunk.payload.len(), origin);
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let key = flag(chunk.key, KEY) | flag(relayed.counts_as_key, START);
    let traced = flag(relayed.trace.is_some(), TRACED);
    bytes.put_u8(key | traced | flag(chunk.dur.is_some(), DUR));
    bytes.put_u64(chunk.seq);
    bytes.put_i64(chunk.ts);
    chunk.dur.into_iter().for_each(|dur| bytes.put_u64(dur));
    if let Some(trace) = &relayed.trace {
        bytes.put_slice(&trace.trace_id().to_bytes());
        bytes.put_slice(&trace.span_id().to_bytes());
    }
    bytes.put_slice(&chunk.payload);
    bytes.freeze()
}

/// Reads a chunk of `track`, whose payload shares the message's buffer.
pub(crate) fn chunk(track: TrackId, mut bytes: Bytes) -> Result<Relayed, EnvelopeError> {
    let short = EnvelopeError("a chunk is too short");
    if bytes.len() < CHUNK_HEAD {
        return Err(short);
    }
    let flags = bytes.get_u8();
    let (seq, ts) = (bytes.get_u64(), bytes.get_i64());
    let dur = if flags & DUR != 0 {
        Some(bytes.try_get_u64().map_err(|_| short)?)
    } else {
        None
    };
    let trace = if flags & TRACED != 0 {
        let (mut trace, mut span) = ([0; 16], [0; 8]);
        bytes.try_copy_to_slice(&mut trace).map_err(|_| short)?;
        bytes.try_copy_to_slice(&mut span).map_err(|_| short)?;
        Some(trace::remote(trace, span))
    } else {
        None
    };
    let chunk = Chunk {
        track,
        seq,
        ts,
        key: flags & KEY != 0,
        dur,
        payload: bytes,
    };
    Ok(Relayed {
        chunk,
        counts_as_key: flags & START != 0,
        trace,
    })
}

/// A signal without its attachments, which follow it.
#[derive(Serialize, Deserialize)]
enum Record {
    Message {
        version: u64,
        from: MemberId,
        to: Option<Vec<MemberId>>,
        topic: Option<String>,
        data: Json,
        /// The attachments' lengths.
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
        beginning: bool,
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
            beginning,
        } => {
            let record = Record::Position {
                track: *track,
                last: *last,
                beginning: *beginning,
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

/// Reads a signal.
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
        } => Signal::Position {
            track,
            last,
            beginning,
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
mod tests {
    use super::*;

    #[test]
    fn chunks_read_back_and_share_their_payload() {
        for (key, dur) in [(true, None), (false, Some(0)), (true, Some(u64::MAX))] {
            let chunk_sent = Chunk {
                track: TrackId(7),
                seq: 1 << 60,
                ts: -5,
                key,
                dur,
                payload: Bytes::from_static(b"payload"),
            };
            let sent = Relayed {
                chunk: chunk_sent,
                counts_as_key: !key,
                trace: key.then(|| trace::remote([3; 16], [4; 8])),
            };
            let mut bytes = of_chunk(99, &sent);
            let whole = bytes.clone();
            assert_eq!(open(CHUNK, &mut bytes), Ok(99));
            let read = chunk(TrackId(7), bytes).expect("a chunk");
            assert_eq!(read, sent);
            let shared = whole.as_ptr_range();
            assert!(
                shared.contains(&read.chunk.payload.as_ptr()),
                "the payload was copied"
            );
        }
    }

    #[test]
    fn the_form_of_a_chunk_is_pinned() {
        let mut sent = Relayed {
            chunk: Chunk {
                track: TrackId(7),
                seq: 2,
                ts: 3,
                key: true,
                dur: Some(4),
                payload: Bytes::from_static(b"x"),
            },
            counts_as_key: true,
            trace: Some(trace::remote([5; 16], [6; 8])),
        };
        let origin = [0, 0, 0, 0, 0, 0, 0, 9];
        let seq = [0, 0, 0, 0, 0, 0, 0, 2];
        let ts = [0, 0, 0, 0, 0, 0, 0, 3];
        let dur = [0, 0, 0, 0, 0, 0, 0, 4];
        let (trace, span) = ([5; 16], [6; 8]);
        let wanted = [
            &[1][..],
            &origin,
            &[15],
            &seq,
            &ts,
            &dur,
            &trace,
            &span,
            b"x",
        ];
        assert_eq!(of_chunk(9, &sent)[..], wanted.concat());
        sent.chunk.dur = None;
        sent.counts_as_key = false;
        sent.trace = None;
        let wanted = [&[1][..], &origin, &[1], &seq, &ts, b"x"];
        assert_eq!(of_chunk(9, &sent)[..], wanted.concat());
        let mut cut = Bytes::from([&[1][..], &origin, &[2], &seq, &ts, &dur[1..]].concat());
        assert_eq!(open(CHUNK, &mut cut), Ok(9));
        assert!(chunk(TrackId(7), cut).is_err());
    }

    #[test]
    fn signals_read_back_and_damaged_ones_are_refused() {
        let message = Signal::Message {
            version: u64::MAX,
            from: MemberId::new("a"),
            to: Some(vec![MemberId::new("b")]),
            topic: None,
            data: Json::empty_object(),
            attachments: vec![
                Bytes::from_static(b"one"),
                Bytes::new(),
                Bytes::from_static(b"three"),
            ],
        };
        let track = TrackId(3);
        let others = [
            Signal::KeyframeRequested(track),
            Signal::Wanted {
                track,
                beginning: true,
            },
            Signal::Position {
                track,
                last: 5,
                beginning: false,
            },
        ];
        for sent in [message].into_iter().chain(others) {
            let bytes = of_signal(&sent);
            for length in 0..bytes.len() {
                let cut = bytes.slice(..length);
                assert!(signal(cut).is_err(), "{length} bytes of {sent:?}");
            }
            assert_eq!(signal(bytes), Ok(sent));
        }
        assert!(open(CHUNK, &mut Bytes::from_static(b"\x02345678901")).is_err());
    }
}
