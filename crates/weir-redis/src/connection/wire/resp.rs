//! Boundaries of RESP3 messages and other values, in a stream that arrives in pieces.

use std::{ops::Range, str};

/// First bytes of a message: of a channel, or of a sharded channel.
const BEGINNINGS: [&[u8]; 2] = [b">3\r\n$7\r\nmessage\r\n", b">3\r\n$8\r\nsmessage\r\n"];

/// Maximum length of the number that follows a type, including the end of the line.
const NUMBER: usize = 20;

/// Reason why parsing stopped.
#[derive(Debug)]
pub(crate) enum ParseStop {
    /// More bytes are needed.
    Short,
    /// The bytes do not follow the protocol.
    Malformed,
}

/// Positions of a message's parts.
pub(crate) struct PushedMessage {
    pub(crate) channel: Range<usize>,
    pub(crate) payload: Range<usize>,
    pub(crate) len: usize,
}

/// Returns the message at the start of `bytes`, which start between two values.
pub(crate) fn message(bytes: &[u8]) -> Result<PushedMessage, ParseStop> {
    let Some(beginning) = BEGINNINGS.iter().find(|begin| bytes.starts_with(begin)) else {
        let may_be = BEGINNINGS.iter().any(|begin| begin.starts_with(bytes));
        return Err(if may_be {
            ParseStop::Short
        } else {
            ParseStop::Malformed
        });
    };
    let channel = bulk(bytes, beginning.len())?;
    let payload = bulk(bytes, channel.end + 2)?;
    Ok(PushedMessage {
        len: payload.end + 2,
        channel,
        payload,
    })
}

/// Returns the integer at the start of `bytes` and the length of its line, if it is short and
/// complete. `PUBLISH` is answered with one.
pub(crate) fn integer(bytes: &[u8]) -> Option<(i64, usize)> {
    let (b':', rest) = bytes.split_first()? else {
        return None;
    };
    match number(rest) {
        Ok((Some(number), len)) => Some((i64::try_from(number).ok()?, 1 + len)),
        _ => None,
    }
}

/// Returns the position of the content of the bulk string that starts at `from`.
fn bulk(bytes: &[u8], from: usize) -> Result<Range<usize>, ParseStop> {
    let (kind, rest) = bytes[from..].split_first().ok_or(ParseStop::Short)?;
    if *kind != b'$' {
        return Err(ParseStop::Malformed);
    }
    let (Some(len), line) = number(rest)? else {
        return Err(ParseStop::Malformed);
    };
    let (_, after) = rest[line..].split_at_checked(len).ok_or(ParseStop::Short)?;
    ends(after)?;
    let from = from + 1 + line;
    Ok(from..from + len)
}

/// Checks that a line ends here.
fn ends(bytes: &[u8]) -> Result<(), ParseStop> {
    match bytes {
        [b'\r', b'\n', ..] => Ok(()),
        [] | [b'\r'] => Err(ParseStop::Short),
        _ => Err(ParseStop::Malformed),
    }
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"\r\n")
}

/// Returns the number that follows a type, `None` for -1, and the length of its line.
fn number(bytes: &[u8]) -> Result<(Option<usize>, usize), ParseStop> {
    let line = &bytes[..bytes.len().min(NUMBER)];
    let Some(end) = line_end(line) else {
        return Err(match line.len() {
            NUMBER => ParseStop::Malformed,
            _ => ParseStop::Short,
        });
    };
    let len = end + 2;
    match &line[..end] {
        b"-1" => Ok((None, len)),
        b"0" => Ok((Some(0), len)),
        digits @ [b'1'..=b'9', ..] => {
            // The first digit excludes a sign, which `parse` would accept.
            let number = str::from_utf8(digits)
                .ok()
                .and_then(|text| text.parse().ok());
            Ok((Some(number.ok_or(ParseStop::Malformed)?), len))
        }
        _ => Err(ParseStop::Malformed),
    }
}

/// Scanner for the end of a RESP3 value.
#[derive(Debug, Default)]
pub(crate) struct ValueScanner {
    /// Number of values that must still start before the outermost one is complete.
    left: usize,
    next: Next,
}

/// Expected next part of a value.
#[derive(Debug, Default, Clone, Copy)]
enum Next {
    /// A value.
    #[default]
    Value,
    /// The rest of a line.
    Line,
    /// This many bytes and the end of a line.
    Body(usize),
}

impl ValueScanner {
    /// Returns whether the last value is complete, including nested values.
    pub(crate) fn is_between(&self) -> bool {
        self.left == 0 && matches!(self.next, Next::Value)
    }

    /// Scans the next part of a value in `bytes`, and returns its length.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Result<usize, ParseStop> {
        match self.next {
            Next::Value => self.begin(bytes),
            Next::Line => {
                let len = match line_end(bytes) {
                    Some(end) => {
                        self.next = Next::Value;
                        end + 2
                    }
                    // Only half of the line's end may have arrived.
                    None => bytes.len() - usize::from(bytes.ends_with(b"\r")),
                };
                if len == 0 {
                    Err(ParseStop::Short)
                } else {
                    Ok(len)
                }
            }
            Next::Body(0) => {
                ends(bytes)?;
                self.next = Next::Value;
                Ok(2)
            }
            Next::Body(left) => {
                let len = left.min(bytes.len());
                self.next = Next::Body(left - len);
                if len == 0 {
                    Err(ParseStop::Short)
                } else {
                    Ok(len)
                }
            }
        }
    }

    /// Starts a value of <https://redis.io/docs/latest/develop/reference/protocol-spec/>.
    fn begin(&mut self, bytes: &[u8]) -> Result<usize, ParseStop> {
        let (kind, rest) = bytes.split_first().ok_or(ParseStop::Short)?;
        let after = self.left.saturating_sub(1);
        if b"+-:_#,(".contains(kind) {
            (self.left, self.next) = (after, Next::Line);
            return Ok(1);
        }
        if !b"$!=*~>%|".contains(kind) {
            return Err(ParseStop::Malformed);
        }
        let (number, line) = number(rest)?;
        let inner = match (kind, number) {
            (b'$' | b'!' | b'=', Some(len)) => {
                self.next = Next::Body(len);
                Some(0)
            }
            (b'*' | b'~' | b'>', Some(count)) => Some(count),
            (b'%', Some(pairs)) => pairs.checked_mul(2),
            // The value that the attributes describe follows them.
            (b'|', Some(pairs)) => pairs.checked_mul(2).and_then(|both| both.checked_add(1)),
            // Null as in RESP2.
            (b'$' | b'*' | b'~', None) => Some(0),
            _ => None,
        };
        let left = inner.and_then(|inner| after.checked_add(inner));
        self.left = left.ok_or(ParseStop::Malformed)?;
        Ok(1 + line)
    }
}
