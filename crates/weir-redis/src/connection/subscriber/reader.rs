//! Reader of a server's stream: dispatches messages at once, and returns all other values.
//!
//! Nearly all values on a subscriber connection are messages. For each of them, the parser, buffers
//! and values of redis-rs would cost more than all other processing. redis-rs therefore parses only
//! the other values.

use std::io;

use bytes::Bytes;
use redis::{Value, parse_redis_value};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    task::yield_now,
};

use super::{
    OnMessage,
    resp::{Message, Stop, Values, message},
};

/// Read size, and size of the buffer unless a value is larger.
const PIECE: usize = 64 * 1024;

/// How many bytes of messages are handed over before other tasks have their turn.
const TURN: usize = 256 * 1024;

/// What the smallest message counts for in a turn, which so has 128 at the most.
const LEAST: usize = TURN / 128;

/// Reader that dispatches messages to `on_message` in order, and returns other values.
pub(super) struct Reader<S> {
    stream: S,
    on_message: OnMessage,
    /// Received bytes are in `start..end`. Those before `seen` belong to an incomplete value that
    /// is not a message.
    buffer: Vec<u8>,
    start: usize,
    seen: usize,
    end: usize,
    values: Values,
    /// How much of the turn is used up.
    turn: usize,
}

impl<S> Reader<S> {
    pub(super) fn new(stream: S, on_message: OnMessage) -> Self {
        Self {
            stream,
            on_message,
            buffer: vec![0; PIECE],
            start: 0,
            seen: 0,
            end: 0,
            values: Values::default(),
            turn: 0,
        }
    }

    /// Dispatches messages until another value is complete, which is returned. Also stops at the
    /// end of the turn, or when more bytes are needed.
    fn look(&mut self) -> io::Result<Option<Value>> {
        loop {
            let rest = &self.buffer[self.seen..self.end];
            if self.values.is_between() {
                if self.turn >= TURN {
                    return Ok(None);
                }
                match message(rest) {
                    Ok(Message {
                        channel,
                        payload,
                        len,
                    }) => {
                        // A copy: part of the buffer would keep all of it.
                        (self.on_message)(&rest[channel], Bytes::copy_from_slice(&rest[payload]));
                        self.turn += len.max(LEAST);
                        self.seen += len;
                        self.start = self.seen;
                        continue;
                    }
                    Err(Stop::Short) => return Ok(None),
                    Err(Stop::Strange) => {}
                }
            }
            match self.values.follow(rest) {
                Ok(len) => self.seen += len,
                Err(Stop::Short) => return Ok(None),
                Err(Stop::Strange) => return Err(invalid("this is not RESP3")),
            }
            if self.values.is_between() {
                let value = parse_redis_value(&self.buffer[self.start..self.seen]);
                self.start = self.seen;
                return value.map(Some).map_err(invalid);
            }
        }
    }

    /// Makes room to read more behind what cannot be understood without it.
    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.seen -= self.start;
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            // By what has come, never by what was announced.
            self.buffer.resize(2 * self.end, 0);
        } else if self.buffer.len() > PIECE && self.end <= PIECE / 2 {
            self.buffer.truncate(PIECE);
            self.buffer.shrink_to_fit();
        }
    }
}

impl<S: AsyncRead + Unpin> Reader<S> {
    /// Waits for the next value that is not a message. It is cancel-safe.
    pub(super) async fn next(&mut self) -> io::Result<Value> {
        loop {
            if let Some(value) = self.look()? {
                return Ok(value);
            }
            if self.turn >= TURN {
                self.turn = 0;
                yield_now().await;
                continue;
            }
            self.make_room();
            match self.stream.read(&mut self.buffer[self.end..]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                len => self.end += len,
            }
        }
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        future::poll_fn,
        pin::Pin,
        sync::{Arc, Mutex},
        task::{Context, Poll},
    };

    use proptest::prelude::*;
    use tokio::io::ReadBuf;

    use super::*;

    /// Messages and values, in order of arrival.
    #[derive(Debug, Clone, PartialEq)]
    enum Seen {
        Message(Vec<u8>, Vec<u8>),
        Value(Value),
    }

    fn bulk_string(bytes: &[u8]) -> Vec<u8> {
        [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
    }

    fn encoded(kind: &str, channel: &[u8], payload: &[u8]) -> Vec<u8> {
        let parts = [kind.as_bytes(), channel, payload].map(bulk_string);
        [b">3\r\n", parts.concat().as_slice()].concat()
    }

    /// A stream that gives these pieces, with a pause after each, and then ends or fails.
    struct Pieces {
        pieces: VecDeque<Vec<u8>>,
        pause: bool,
        fails: bool,
    }

    impl AsyncRead for Pieces {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            out: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let this = self.get_mut();
            if std::mem::take(&mut this.pause) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match this.pieces.front_mut() {
                Some(piece) => {
                    let len = piece.len().min(out.remaining());
                    out.put_slice(&piece[..len]);
                    piece.drain(..len);
                    if piece.is_empty() {
                        this.pieces.pop_front();
                        this.pause = true;
                    }
                    Poll::Ready(Ok(()))
                }
                None if this.fails => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                None => Poll::Ready(Ok(())),
            }
        }
    }

    struct Run {
        reader: Reader<Pieces>,
        seen: Arc<Mutex<Vec<Seen>>>,
    }

    impl Run {
        fn new(pieces: impl IntoIterator<Item = Vec<u8>>) -> Self {
            let pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
            let seen = Arc::new(Mutex::new(Vec::new()));
            let on_message = {
                let seen = Arc::clone(&seen);
                move |channel: &[u8], payload: Bytes| {
                    let message = Seen::Message(channel.to_vec(), payload.to_vec());
                    seen.lock().unwrap().push(message);
                }
            };
            let stream = Pieces {
                pieces: pieces.collect(),
                pause: false,
                fails: false,
            };
            Self {
                reader: Reader::new(stream, Arc::new(on_message)),
                seen,
            }
        }

        /// Reads until the stream ends or fails. Returns everything received, and the final error.
        /// Each read is cancelled while it waits, and restarted.
        fn read(&mut self) -> (Vec<Seen>, io::ErrorKind) {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.unwrap().block_on(async {
                loop {
                    let next = tokio::select! {
                        biased;
                        next = self.reader.next() => next,
                        () = yield_now() => continue,
                    };
                    match next {
                        Ok(value) => self.seen.lock().unwrap().push(Seen::Value(value)),
                        Err(error) => return (self.seen.lock().unwrap().clone(), error.kind()),
                    }
                }
            })
        }
    }

    fn read(pieces: impl IntoIterator<Item = Vec<u8>>) -> Vec<Seen> {
        let (seen, end) = Run::new(pieces).read();
        assert_eq!(end, io::ErrorKind::UnexpectedEof);
        seen
    }

    /// `bytes` in pieces of these lengths, over and over.
    fn cut(mut bytes: &[u8], lengths: &[usize]) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        for len in lengths.iter().cycle() {
            let (piece, rest) = bytes.split_at(bytes.len().min(*len));
            pieces.push(piece.to_vec());
            bytes = rest;
            if bytes.is_empty() {
                break;
            }
        }
        pieces
    }

    fn value() -> impl Strategy<Value = Vec<u8>> {
        let some_bytes = || prop::collection::vec(any::<u8>(), 0..40);
        let leaf = prop_oneof![
            "[-+(][A-Z]{1,9}[ -~]{0,12}\r\n".prop_map(String::into_bytes),
            "(:-?[0-9]{1,9}|,-?[0-9]{1,4}[.]5|#[tf]|_)\r\n".prop_map(String::into_bytes),
            some_bytes().prop_map(|bytes| bulk_string(&bytes)),
            "[!=]9\r\ntxt:a\r\nbc\r\n".prop_map(String::into_bytes),
            Just(b"$-1\r\n".to_vec()),
            Just(b"*-1\r\n".to_vec()),
            // What looks like a message is one only where no other value is under way.
            Just(bulk_string(&encoded("message", b"a", b"b"))),
            Just(b"*1\r\n>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n".to_vec()),
            Just(b"|1\r\n+a\r\n:1\r\n>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n".to_vec()),
            Just(b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$-1\r\n".to_vec()),
            Just(b">3\r\n$7\r\nmessage\r\n:1\r\n$1\r\na\r\n".to_vec()),
            Just(b">2\r\n$7\r\nmessage\r\n$1\r\na\r\n".to_vec()),
            Just(encoded("subscribe", b"a", b"b")),
            Just(encoded("Message", b"a", b"b")),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let kinds = prop::sample::select(b"*~%".to_vec());
            (kinds, prop::collection::vec(inner, 1..6)).prop_map(|(kind, mut values)| {
                let count = match kind {
                    b'%' => {
                        values.truncate(values.len() / 2 * 2);
                        values.len() / 2
                    }
                    _ => values.len(),
                };
                let head = format!("{}{count}\r\n", char::from(kind));
                [head.into_bytes(), values.concat()].concat()
            })
        })
    }

    /// A value or a message, and what is to come out of it.
    fn part() -> impl Strategy<Value = (Vec<u8>, Seen)> {
        let kind = prop::sample::select(vec!["message", "smessage"]);
        let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
        prop_oneof![
            value().prop_map(|bytes| {
                let value = parse_redis_value(&bytes).expect("it is one");
                (bytes, Seen::Value(value))
            }),
            (kind, bytes(20), bytes(300)).prop_map(|(kind, channel, payload)| {
                let bytes = encoded(kind, &channel, &payload);
                (bytes, Seen::Message(channel, payload))
            }),
        ]
    }

    fn lengths() -> impl Strategy<Value = Vec<usize>> {
        prop::collection::vec(prop_oneof![1..4_usize, 1..200_usize], 1..8)
    }

    proptest! {
        #[test]
        fn messages_and_values_come_in_order_however_they_are_split(
            parts in prop::collection::vec(part(), 0..30),
            lengths in lengths(),
        ) {
            let (bytes, expected): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
            prop_assert_eq!(read(cut(&bytes.concat(), &lengths)), expected);
        }

        #[test]
        fn what_is_broken_ends_it(
            parts in prop::collection::vec(part(), 1..10),
            at: prop::sample::Index,
            removed in 0..30_usize,
            strange in prop_oneof![
                "[-+:$!=*~>%|0-9a-c\r\n]{0,30}".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..30),
            ],
            lengths in lengths(),
        ) {
            let mut bytes = parts.into_iter().map(|(bytes, _)| bytes).collect::<Vec<_>>().concat();
            let from = at.index(bytes.len());
            bytes.splice(from..bytes.len().min(from + removed), strange);
            let (_, end) = Run::new(cut(&bytes, &lengths)).read();
            let expected = [io::ErrorKind::UnexpectedEof, io::ErrorKind::InvalidData];
            prop_assert!(expected.contains(&end), "{:?}", end);
        }
    }

    #[test]
    fn something_strange_is_an_error() {
        let message = encoded("message", b"a", b"b");
        for strange in [
            "HTTP/1.1 400\r\n",
            "?",
            "$x\r\n",
            "$-2\r\n",
            "$+1\r\na\r\n",
            "$01\r\na\r\n",
            "=-1\r\n",
            "%-1\r\n",
            "$1\r\nabc",
            ":a\r\n",
            "*99999999999999999999999\r\n",
            ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nbc\r\n",
        ] {
            let bytes = [&message, strange.as_bytes(), &message].concat();
            let (seen, end) = Run::new([bytes]).read();
            assert_eq!(end, io::ErrorKind::InvalidData, "{strange:?}");
            assert_eq!(seen, [Seen::Message(b"a".to_vec(), b"b".to_vec())]);
        }
    }

    #[test]
    fn errors_come_after_what_came_before() {
        let message = encoded("message", b"a", b"b");
        let mut run = Run::new([[&message[..], b"+OK\r\n", &message[..5]].concat()]);
        run.reader.stream.fails = true;
        let (seen, end) = run.read();
        assert_eq!(end, io::ErrorKind::ConnectionReset);
        let message = Seen::Message(b"a".to_vec(), b"b".to_vec());
        assert_eq!(seen, [message, Seen::Value(Value::Okay)]);
    }

    #[test]
    fn the_buffer_is_as_large_as_what_came_and_shrinks_again() {
        let announced = b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$999999999999\r\n".to_vec();
        let mut run = Run::new([announced]);
        assert_eq!(run.read().0, []);
        assert_eq!(run.reader.buffer.len(), PIECE);

        let payload: Vec<_> = (0..=250_u8).cycle().take(1_000_000).collect();
        let mut run = Run::new([
            encoded("message", b"a", &payload),
            encoded("message", b"b", b"small"),
        ]);
        let expected = [
            Seen::Message(b"a".to_vec(), payload),
            Seen::Message(b"b".to_vec(), b"small".to_vec()),
        ];
        assert_eq!(run.read().0, expected);
        assert_eq!(run.reader.buffer.len(), PIECE);
        assert_eq!(run.reader.buffer.capacity(), PIECE);
    }

    #[test]
    fn other_tasks_have_their_turn() {
        let messages = encoded("message", b"a", b"b").repeat(1_000);
        let mut run = Run::new([messages]);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let turns = runtime.unwrap().block_on(async {
            let mut next = Box::pin(run.reader.next());
            let mut turns = 0;
            while poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx)))
                .await
                .is_pending()
            {
                turns += 1;
                yield_now().await;
            }
            turns
        });
        assert!(turns >= 1_000 / 128, "{turns}");
        assert_eq!(run.seen.lock().unwrap().len(), 1_000);
    }
}
