//! Wire format of notes: big-endian, after the version and the sender's origin.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{KnownPosition, Note, NumberedSignal};
use crate::bus::envelope::{EnvelopeError, Origin, SIGNAL, head};

const LOOSE: u8 = 0;
const NUMBERED: u8 = 1;
const VOID: u8 = 2;
const HEAD: u8 = 3;
const ASK: u8 = 4;

/// Placeholder for an absent origin.
const NOBODY: Origin = 0;

/// Encodes a note as a message.
pub(crate) fn encode(origin: Origin, note: &Note) -> Bytes {
    let content = match note {
        Note::Loose(body) => body.len(),
        Note::Numbered(signal) => signal.body.len(),
        Note::Ask { known, .. } => known.len() * 24,
        Note::Void { .. } | Note::Head { .. } => 0,
    };
    let mut bytes = head(SIGNAL, 40 + content, origin);
    match note {
        Note::Loose(body) => {
            bytes.put_u8(LOOSE);
            bytes.put_slice(body);
        }
        Note::Numbered(signal) => {
            bytes.put_u8(NUMBERED);
            place(&mut bytes, signal.stream, signal.seq);
            bytes.put_u64(signal.at);
            bytes.put_u32(signal.after);
            bytes.put_u8(u8::from(signal.again));
            bytes.put_slice(&signal.body);
        }
        Note::Void { stream, seq } => {
            bytes.put_u8(VOID);
            place(&mut bytes, *stream, *seq);
        }
        Note::Head {
            to,
            stream,
            floor,
            last,
        } => {
            bytes.put_u8(HEAD);
            bytes.put_u64(to.unwrap_or(NOBODY));
            place(&mut bytes, *stream, *floor);
            bytes.put_u64(*last);
        }
        Note::Ask {
            to,
            listening,
            known,
        } => {
            bytes.put_u8(ASK);
            bytes.put_u64(to.unwrap_or(NOBODY));
            bytes.put_u64(*listening);
            for KnownPosition {
                origin,
                stream,
                last,
            } in known
            {
                bytes.put_u64(*origin);
                place(&mut bytes, *stream, *last);
            }
        }
    }
    bytes.freeze()
}

fn place(bytes: &mut BytesMut, stream: u64, seq: u64) {
    bytes.put_u64(stream);
    bytes.put_u64(seq);
}

/// Decodes a note from the content behind the message's head.
pub(crate) fn decode(mut bytes: Bytes) -> Result<Note, EnvelopeError> {
    read(&mut bytes).unwrap_or(Err(EnvelopeError("a signal is too short")))
}

fn read(bytes: &mut Bytes) -> Result<Result<Note, EnvelopeError>, bytes::TryGetError> {
    let somebody = |origin: Origin| (origin != NOBODY).then_some(origin);
    Ok(Ok(match bytes.try_get_u8()? {
        LOOSE => Note::Loose(std::mem::take(bytes)),
        NUMBERED => Note::Numbered(NumberedSignal {
            stream: bytes.try_get_u64()?,
            seq: bytes.try_get_u64()?,
            at: bytes.try_get_u64()?,
            after: bytes.try_get_u32()?,
            again: bytes.try_get_u8()? != 0,
            body: std::mem::take(bytes),
        }),
        VOID => Note::Void {
            stream: bytes.try_get_u64()?,
            seq: bytes.try_get_u64()?,
        },
        HEAD => Note::Head {
            to: somebody(bytes.try_get_u64()?),
            stream: bytes.try_get_u64()?,
            floor: bytes.try_get_u64()?,
            last: bytes.try_get_u64()?,
        },
        ASK => {
            let (to, listening) = (somebody(bytes.try_get_u64()?), bytes.try_get_u64()?);
            let mut known = Vec::with_capacity(bytes.len() / 24);
            while bytes.has_remaining() {
                known.push(KnownPosition {
                    origin: bytes.try_get_u64()?,
                    stream: bytes.try_get_u64()?,
                    last: bytes.try_get_u64()?,
                });
            }
            Note::Ask {
                to,
                listening,
                known,
            }
        }
        _ => return Ok(Err(EnvelopeError("a signal is of another kind"))),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::envelope;

    #[test]
    fn notes_are_decoded_and_truncated_ones_rejected() {
        let known = |origin| KnownPosition {
            origin,
            stream: 2,
            last: 3,
        };
        let notes = [
            Note::Numbered(NumberedSignal {
                stream: 1,
                seq: u64::MAX,
                at: 3,
                after: 4,
                again: true,
                body: Bytes::from_static(b"body"),
            }),
            Note::Void { stream: 1, seq: 2 },
            Note::Head {
                to: Some(7),
                stream: 1,
                floor: 2,
                last: 3,
            },
            Note::Ask {
                to: None,
                listening: 5,
                known: vec![known(1), known(u64::MAX)],
            },
            Note::Loose(Bytes::from_static(b"body")),
        ];
        for note in notes {
            let bytes = encode(9, &note);
            let decoded = |length: usize| {
                let (origin, content) = envelope::open(SIGNAL, &bytes[..length])?;
                assert_eq!(origin, 9);
                decode(Bytes::copy_from_slice(content))
            };
            for length in 0..bytes.len() {
                assert_ne!(decoded(length), Ok(note.clone()), "{length} bytes");
            }
            assert_eq!(decoded(bytes.len()), Ok(note));
        }
    }

    #[test]
    fn signal_format_is_pinned() {
        let note = Note::Numbered(NumberedSignal {
            stream: 1,
            seq: 2,
            at: 3,
            after: 4,
            again: false,
            body: Bytes::from_static(b"x"),
        });
        let number = |last| [0, 0, 0, 0, 0, 0, 0, last];
        let wanted = [
            &[2][..],
            &number(9),
            &[1],
            &number(1),
            &number(2),
            &number(3),
            &[0, 0, 0, 4, 0],
            b"x",
        ];
        assert_eq!(encode(9, &note)[..], wanted.concat());
    }
}
