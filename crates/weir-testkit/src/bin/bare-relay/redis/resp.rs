//! RESP2, the protocol of Redis.

/// RespAnswer of Redis.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RespAnswer<'a> {
    Number(usize),
    Text(&'a [u8]),
    List(Vec<Self>),
}

impl<'a> RespAnswer<'a> {
    /// Takes an answer off the front; returns `None` if it is incomplete.
    pub(super) fn parse(rest: &mut &'a [u8]) -> Option<Self> {
        match rest.first()? {
            b':' => number(rest, b':').map(Self::Number),
            b'$' => bulk(rest).map(Self::Text),
            _ => {
                let length = number(rest, b'*')?;
                let answers = (0..length).map(|_| Self::parse(rest));
                answers.collect::<Option<_>>().map(Self::List)
            }
        }
    }
}

/// Takes a bulk string off the front.
pub(super) fn bulk<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = number(rest, b'$')?;
    let text = rest.get(..length)?;
    *rest = rest.get(length + 2..)?;
    Some(text)
}

/// Takes a line with a number off the front.
pub(super) fn number(rest: &mut &[u8], kind: u8) -> Option<usize> {
    let digits = rest.strip_prefix(&[kind])?;
    let end = digits.iter().position(|byte| *byte == b'\r')?;
    let number = digits[..end].iter();
    let number = number.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
    *rest = digits.get(end + 2..)?;
    Some(number)
}
