//! Pushes of subscribing connections.

use anyhow::bail;

use super::resp::{bulk, number};

/// Push of a subscribing connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Push<'a> {
    Message {
        channel: &'a [u8],
        payload: &'a [u8],
    },
    Subscribed,
}

impl<'a> Push<'a> {
    /// Parses a push of three elements; returns it with its length, or `None` if it is incomplete.
    pub(super) fn parse(bytes: &'a [u8]) -> anyhow::Result<Option<(Self, usize)>> {
        let mut rest = bytes;
        let parsed = (|| {
            rest = rest.strip_prefix(b"*3\r\n")?;
            let (kind, channel) = (bulk(&mut rest)?, bulk(&mut rest)?);
            Some(match kind {
                b"message" | b"smessage" => Self::Message {
                    channel,
                    payload: bulk(&mut rest)?,
                },
                _ => number(&mut rest, b':').map(|_| Self::Subscribed)?,
            })
        })();
        match parsed {
            Some(push) => Ok(Some((push, bytes.len() - rest.len()))),
            None if bytes.is_empty() || b"*3\r\n".starts_with(&bytes[..bytes.len().min(4)]) => {
                Ok(None)
            }
            None => bail!("Redis: {}", String::from_utf8_lossy(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharded_messages_are_read_after_their_confirmation() {
        let subscribed = b"*3\r\n$10\r\nssubscribe\r\n$3\r\n7-0\r\n:1\r\n";
        let message = b"*3\r\n$8\r\nsmessage\r\n$3\r\n7-0\r\n$5\r\n\r\n*3\r\r\n";
        let stream = [&subscribed[..], message].concat();
        let push = Push::parse(&stream).unwrap();
        assert_eq!(push, Some((Push::Subscribed, subscribed.len())));
        for end in 0..message.len() {
            assert_eq!(Push::parse(&message[..end]).unwrap(), None, "{end}");
        }
        let (channel, payload) = (&b"7-0"[..], &b"\r\n*3\r"[..]);
        let push = Push::parse(&stream[subscribed.len()..]).unwrap();
        assert_eq!(
            push,
            Some((Push::Message { channel, payload }, message.len()))
        );
    }

    #[test]
    fn errors_are_refused() {
        let error = Push::parse(b"-MOVED 1 127.0.0.1:2\r\n").unwrap_err();
        assert_eq!(error.to_string(), "Redis: -MOVED 1 127.0.0.1:2\r\n");
    }
}
