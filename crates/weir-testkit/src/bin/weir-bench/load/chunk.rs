//! Chunks of the publishers, which carry their time and number.

use bytes::{Buf as _, BufMut as _, BytesMut};
use weir_testkit::{Opcode, put_frame};

/// Smallest chunk in bytes: two numbers at its start and one at its end.
const MIN_SIZE: usize = 24;

/// Time and number of an intact chunk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Time of sending, in nanoseconds of the load generator's clock.
    pub(crate) sent_at: u64,
    /// Number of the chunk at its publisher, from 1.
    pub(crate) number: u64,
}

impl Stamp {
    /// Reads the stamp; returns `None` unless the chunk has `size` bytes and its own end.
    pub(crate) fn read(mut payload: &[u8], size: usize) -> Option<Self> {
        if payload.len() != size || size < MIN_SIZE {
            return None;
        }
        let mut end = &payload[size - 8..];
        let stamp = Self {
            sent_at: payload.get_u64(),
            number: payload.get_u64(),
        };
        (end.get_u64() == stamp.number).then_some(stamp)
    }
}

/// Appends the frames of a chunk. The first of every thirty is a key chunk.
pub(crate) fn put_chunk(out: &mut BytesMut, track: u64, size: usize, stamp: &Stamp) {
    let key = if stamp.number % 30 == 1 {
        r#","key":true"#
    } else {
        ""
    };
    let ts = stamp.sent_at / 1_000;
    let text = format!(
        r#"451-["media",{{"track":{track},"ts":{ts}{key}}},{{"_placeholder":true,"num":0}}]"#
    );
    let mut payload = BytesMut::with_capacity(size);
    payload.put_u64(stamp.sent_at);
    payload.put_u64(stamp.number);
    payload.put_bytes(0xa5, size.saturating_sub(MIN_SIZE));
    payload.put_u64(stamp.number);
    put_frame(out, Opcode::Text, text.as_bytes());
    put_frame(out, Opcode::Binary, &payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_read_from_intact_chunks_only() {
        let mut frames = BytesMut::new();
        put_chunk(
            &mut frames,
            1,
            1_200,
            &Stamp {
                sent_at: 77,
                number: 31,
            },
        );
        let payload = frames[frames.len() - 1_200..].to_vec();
        assert_eq!(
            Stamp::read(&payload, 1_200),
            Some(Stamp {
                sent_at: 77,
                number: 31
            })
        );
        assert_eq!(Stamp::read(&payload[1..], 1_200), None);
        let mut other = payload;
        other[1_199] ^= 1;
        assert_eq!(Stamp::read(&other, 1_200), None);
    }
}
