//! Chunks and signals as they go from node to node.
//!
//! Numbers are big-endian. Both begin with the version of the form and the sender's origin, by
//! which it knows its own.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use weir_cluster::Signal;
use weir_protocol::{Chunk, Json, MemberId, TrackId};

/// The version of the form. A node that meets another one drops the message and counts it.
const VERSION: u8 = 1;

/// The bytes before what is sent: version and origin.
const HEAD: usize = 1 + 8;

/// The bytes of a chunk's header: flags, `seq`, `ts`, `dur`.
const CHUNK: usize = 1 + 8 + 8 + 8;

const KEY: u8 = 1;
const DUR: u8 = 2;

/// A message that is none of ours, or of a version that this node does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of the bus is not understood: {0}")]
pub(crate) struct EnvelopeError(&'static str);

/// Which node instance a message came from.
pub(crate) type Origin = u64;

fn head(capacity: usize, origin: Origin) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(HEAD + capacity);
    bytes.put_u8(VERSION);
    bytes.put_u64(origin);
    bytes
}

/// Reads who sent a message; what is left is its content.
pub(crate) fn open(bytes: &mut Bytes) -> Result<Origin, EnvelopeError> {
    if bytes.len() < HEAD {
        return Err(EnvelopeError("it is too short"));
    }
    if bytes.get_u8() != VERSION {
        return Err(EnvelopeError("it is of another version"));
    }
    Ok(bytes.get_u64())
}

/// A chunk; its track is the channel's.
pub(crate) fn of_chunk(origin: Origin, chunk: &Chunk) -> Bytes {
    let mut bytes = head(CHUNK + chunk.payload.len(), origin);
    let key = if chunk.key { KEY } else { 0 };
    let dur = if chunk.dur.is_some() { DUR } else { 0 };
    bytes.put_u8(key | dur);
    bytes.put_u64(chunk.seq);
    bytes.put_i64(chunk.ts);
    bytes.put_u64(chunk.dur.unwrap_or_default());
    bytes.put_slice(&chunk.payload);
    bytes.freeze()
}

/// Reads a chunk of `track`, whose payload shares the message's buffer.
pub(crate) fn chunk(track: TrackId, mut bytes: Bytes) -> Result<Chunk, EnvelopeError> {
    if bytes.len() < CHUNK {
        return Err(EnvelopeError("a chunk is too short"));
    }
    let flags = bytes.get_u8();
    let (seq, ts, dur) = (bytes.get_u64(), bytes.get_i64(), bytes.get_u64());
    Ok(Chunk {
        track,
        seq,
        ts,
        key: flags & KEY != 0,
        dur: (flags & DUR != 0).then_some(dur),
        payload: bytes,
    })
}

/// A signal without its attachments, which follow it.
#[derive(Serialize, Deserialize)]
enum Record {
    Message {
        from: MemberId,
        to: Option<Vec<MemberId>>,
        topic: Option<String>,
        data: Json,
        /// The attachments' lengths.
        attachments: Vec<usize>,
    },
    KeyframeRequested(TrackId),
}

/// A signal: the length of a JSON record in 4 bytes, the record, the attachments.
pub(crate) fn of_signal(origin: Origin, signal: &Signal) -> Bytes {
    let (record, attachments): (_, &[Bytes]) = match signal {
        Signal::Message {
            from,
            to,
            topic,
            data,
            attachments,
        } => {
            let record = Record::Message {
                from: from.clone(),
                to: to.clone(),
                topic: topic.clone(),
                data: data.clone(),
                attachments: attachments.iter().map(Bytes::len).collect(),
            };
            (record, attachments)
        }
        Signal::KeyframeRequested(track) => (Record::KeyframeRequested(*track), &[]),
    };
    let record = serde_json::to_vec(&record).expect("records have string keys");
    let length: usize = attachments.iter().map(Bytes::len).sum();
    let mut bytes = head(4 + record.len() + length, origin);
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
        Record::Message {
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
            let sent = Chunk {
                track: TrackId(7),
                seq: 1 << 60,
                ts: -5,
                key,
                dur,
                payload: Bytes::from_static(b"payload"),
            };
            let mut bytes = of_chunk(99, &sent);
            let whole = bytes.clone();
            assert_eq!(open(&mut bytes), Ok(99));
            let read = chunk(TrackId(7), bytes).expect("a chunk");
            assert_eq!(read, sent);
            let shared = whole.as_ptr_range();
            assert!(
                shared.contains(&read.payload.as_ptr()),
                "the payload was copied"
            );
        }
    }

    #[test]
    fn the_form_of_a_chunk_is_pinned() {
        let sent = Chunk {
            track: TrackId(7),
            seq: 2,
            ts: 3,
            key: true,
            dur: Some(4),
            payload: Bytes::from_static(b"x"),
        };
        let wanted = [
            &[1][..],
            &[0, 0, 0, 0, 0, 0, 0, 9],
            &[3],
            &[0, 0, 0, 0, 0, 0, 0, 2],
            &[0, 0, 0, 0, 0, 0, 0, 3],
            &[0, 0, 0, 0, 0, 0, 0, 4],
            b"x",
        ];
        assert_eq!(of_chunk(9, &sent)[..], wanted.concat());
    }

    #[test]
    fn signals_read_back_and_damaged_ones_are_refused() {
        let message = Signal::Message {
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
        for sent in [message, Signal::KeyframeRequested(TrackId(3))] {
            let mut bytes = of_signal(1, &sent);
            for length in 0..bytes.len() {
                let mut cut = bytes.slice(..length);
                assert!(
                    open(&mut cut).is_err() || signal(cut).is_err(),
                    "{length} bytes of {sent:?}"
                );
            }
            assert_eq!(open(&mut bytes), Ok(1));
            assert_eq!(signal(bytes), Ok(sent));
        }
        assert!(open(&mut Bytes::from_static(b"\x02345678901")).is_err());
    }
}
