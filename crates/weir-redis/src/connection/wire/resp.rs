//! Boundaries of RESP3 messages and other values, in a stream that arrives in pieces.

use std::ops::Range;

/// First bytes of a message: of a channel, or of a sharded channel.
const BEGINNINGS: [&[u8]; 2] = [b">3\r\n$7\r\nmessage\r\n", b">3\r\n$8\r\nsmessage\r\n"];

/// Maximum number of digits of the number that follows a type, all of which fit into a `usize`.
const DIGITS: usize = 18;

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
    let [plain, sharded] = BEGINNINGS;
    let beginning = if bytes.starts_with(plain) {
        plain.len()
    } else if bytes.starts_with(sharded) {
        sharded.len()
    } else {
        let may_be = plain.starts_with(bytes) || sharded.starts_with(bytes);
        return Err(if may_be {
            ParseStop::Short
        } else {
            ParseStop::Malformed
        });
    };
    let channel = bulk(bytes, beginning)?;
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
    let mut value = 0;
    let mut at = 0;
    while at <= DIGITS {
        match bytes.get(at) {
            Some(digit @ b'0'..=b'9') => value = 10 * value + usize::from(digit - b'0'),
            Some(b'\r') => return end_of_number(bytes, value, at),
            Some(b'-') if at == 0 => return minus_one(bytes),
            Some(_) => return Err(ParseStop::Malformed),
            None => return Err(ParseStop::Short),
        }
        at += 1;
    }
    Err(ParseStop::Malformed)
}

/// Checks the end of a number of `digits` digits.
fn end_of_number(
    bytes: &[u8],
    value: usize,
    digits: usize,
) -> Result<(Option<usize>, usize), ParseStop> {
    // A leading zero would be a second form of the same number.
    if digits == 0 || digits > 1 && bytes[0] == b'0' {
        return Err(ParseStop::Malformed);
    }
    match bytes.get(digits + 1) {
        Some(b'\n') => Ok((Some(value), digits + 2)),
        Some(_) => Err(ParseStop::Malformed),
        None => Err(ParseStop::Short),
    }
}

fn minus_one(bytes: &[u8]) -> Result<(Option<usize>, usize), ParseStop> {
    if bytes.starts_with(b"-1\r\n") {
        return Ok((None, 4));
    }
    let may_be = b"-1\r\n".starts_with(bytes);
    Err(if may_be {
        ParseStop::Short
    } else {
        ParseStop::Malformed
    })
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
