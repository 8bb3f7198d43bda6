//! Where the messages and the other values of RESP3 begin and end, in bytes that come in pieces.

use std::{ops::Range, str};

/// How a message begins: one of a channel, or of a channel that belongs to a shard.
const BEGINNINGS: [&[u8]; 2] = [b">3\r\n$7\r\nmessage\r\n", b">3\r\n$8\r\nsmessage\r\n"];

/// The longest number that may follow a type, with its line's end.
const NUMBER: usize = 20;

/// Why bytes are not understood.
#[derive(Debug)]
pub(crate) enum Stop {
    /// More must come first.
    Short,
    /// They are not what they should be.
    Strange,
}

/// Where a message has its parts.
pub(crate) struct Message {
    pub(crate) channel: Range<usize>,
    pub(crate) payload: Range<usize>,
    pub(crate) len: usize,
}

/// The message that `bytes`, which begin between two values, begin with.
pub(crate) fn message(bytes: &[u8]) -> Result<Message, Stop> {
    let Some(beginning) = BEGINNINGS.iter().find(|begin| bytes.starts_with(begin)) else {
        let may_be = BEGINNINGS.iter().any(|begin| begin.starts_with(bytes));
        return Err(if may_be { Stop::Short } else { Stop::Strange });
    };
    let channel = bulk(bytes, beginning.len())?;
    let payload = bulk(bytes, channel.end + 2)?;
    Ok(Message {
        len: payload.end + 2,
        channel,
        payload,
    })
}

/// Where the bytes are of the bulk string that begins at `from`; a line's end follows them.
fn bulk(bytes: &[u8], from: usize) -> Result<Range<usize>, Stop> {
    let (kind, rest) = bytes[from..].split_first().ok_or(Stop::Short)?;
    if *kind != b'$' {
        return Err(Stop::Strange);
    }
    let (Some(len), line) = number(rest)? else {
        return Err(Stop::Strange);
    };
    let (_, after) = rest[line..].split_at_checked(len).ok_or(Stop::Short)?;
    ends(after)?;
    let from = from + 1 + line;
    Ok(from..from + len)
}

/// Whether a line ends here.
fn ends(bytes: &[u8]) -> Result<(), Stop> {
    match bytes {
        [b'\r', b'\n', ..] => Ok(()),
        [] | [b'\r'] => Err(Stop::Short),
        _ => Err(Stop::Strange),
    }
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"\r\n")
}

/// The number that follows a type, nothing for -1, and the length of its line.
fn number(bytes: &[u8]) -> Result<(Option<usize>, usize), Stop> {
    let line = &bytes[..bytes.len().min(NUMBER)];
    let Some(end) = line_end(line) else {
        return Err(match line.len() {
            NUMBER => Stop::Strange,
            _ => Stop::Short,
        });
    };
    let len = end + 2;
    match &line[..end] {
        b"-1" => Ok((None, len)),
        b"0" => Ok((Some(0), len)),
        digits @ [b'1'..=b'9', ..] => {
            // From 1 on, there is no sign that would be parsed as well.
            let number = str::from_utf8(digits)
                .ok()
                .and_then(|text| text.parse().ok());
            Ok((Some(number.ok_or(Stop::Strange)?), len))
        }
        _ => Err(Stop::Strange),
    }
}

/// Where values of RESP3 begin and end.
#[derive(Debug, Default)]
pub(crate) struct Values {
    /// How many values must begin before the outermost one is complete.
    left: usize,
    next: Next,
}

/// What comes next.
#[derive(Debug, Default, Clone, Copy)]
enum Next {
    /// A value.
    #[default]
    Value,
    /// The rest of a line.
    Line,
    /// So many bytes and a line's end.
    Body(usize),
}

impl Values {
    /// Whether the last value is complete, with all that it is made of.
    pub(crate) fn is_between(&self) -> bool {
        self.left == 0 && matches!(self.next, Next::Value)
    }

    /// Goes on to the next part of a value that is in `bytes`; answers with its length.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Result<usize, Stop> {
        match self.next {
            Next::Value => self.begin(bytes),
            Next::Line => {
                let len = match line_end(bytes) {
                    Some(end) => {
                        self.next = Next::Value;
                        end + 2
                    }
                    // The line's end may have come half.
                    None => bytes.len() - usize::from(bytes.ends_with(b"\r")),
                };
                if len == 0 { Err(Stop::Short) } else { Ok(len) }
            }
            Next::Body(0) => {
                ends(bytes)?;
                self.next = Next::Value;
                Ok(2)
            }
            Next::Body(left) => {
                let len = left.min(bytes.len());
                self.next = Next::Body(left - len);
                if len == 0 { Err(Stop::Short) } else { Ok(len) }
            }
        }
    }

    /// Begins a value, as <https://redis.io/docs/latest/develop/reference/protocol-spec/> has them.
    fn begin(&mut self, bytes: &[u8]) -> Result<usize, Stop> {
        let (kind, rest) = bytes.split_first().ok_or(Stop::Short)?;
        let after = self.left.saturating_sub(1);
        if b"+-:_#,(".contains(kind) {
            (self.left, self.next) = (after, Next::Line);
            return Ok(1);
        }
        if !b"$!=*~>%|".contains(kind) {
            return Err(Stop::Strange);
        }
        let (number, line) = number(rest)?;
        let inner = match (kind, number) {
            (b'$' | b'!' | b'=', Some(len)) => {
                self.next = Next::Body(len);
                Some(0)
            }
            (b'*' | b'~' | b'>', Some(count)) => Some(count),
            (b'%', Some(pairs)) => pairs.checked_mul(2),
            // The value that the attributes are of comes after them.
            (b'|', Some(pairs)) => pairs.checked_mul(2).and_then(|both| both.checked_add(1)),
            // Null, as RESP2 has it.
            (b'$' | b'*' | b'~', None) => Some(0),
            _ => None,
        };
        let left = inner.and_then(|inner| after.checked_add(inner));
        self.left = left.ok_or(Stop::Strange)?;
        Ok(1 + line)
    }
}
