//! Messages and values keep their order, however the stream is split.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use proptest::prelude::*;
use tokio::task::yield_now;

use super::*;
use crate::connection::wire::MessageSink;

/// Channels that the tests subscribe to.
const CHANNELS: [&str; 4] = ["", "a", "b", "weir:0:{room}:chunks:1"];

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

/// Stream that returns these pieces, with a pause after each, and then ends or fails.
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

/// Sink that logs the messages of its channel.
#[derive(Debug)]
struct Log {
    channel: &'static str,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl MessageSink for Log {
    fn message(&self, payload: &[u8], _more: bool) {
        let message = Seen::Message(self.channel.into(), payload.to_vec());
        self.seen.lock().unwrap().push(message);
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
        let stream = Pieces {
            pieces: pieces.collect(),
            pause: false,
            fails: false,
        };
        let mut reader = Reader::new(stream);
        for channel in CHANNELS {
            let seen = Arc::clone(&seen);
            reader
                .routes
                .set(channel.into(), vec![Arc::new(Log { channel, seen })]);
        }
        Self { reader, seen }
    }

    async fn next(&mut self) -> io::Result<Value> {
        loop {
            match poll_fn(|cx| self.reader.poll_next(cx)).await? {
                Progress::Value(value) => return Ok(value),
                Progress::Yield => yield_now().await,
            }
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
                    next = self.next() => next,
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

/// Splits `bytes` into pieces of these lengths, repeated.
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
        // A message is recognised only between two values.
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

/// Encoded value or message, and the expected result.
fn part() -> impl Strategy<Value = (Vec<u8>, Seen)> {
    let kind = prop::sample::select(vec!["message", "smessage"]);
    let bytes = |most: usize| prop::collection::vec(any::<u8>(), 0..most);
    prop_oneof![
        value().prop_map(|bytes| {
            let value = parse_redis_value(&bytes).expect("it is one");
            (bytes, Seen::Value(value))
        }),
        (kind, prop::sample::select(CHANNELS.to_vec()), bytes(300)).prop_map(
            |(kind, channel, payload)| {
                let bytes = encoded(kind, channel.as_bytes(), &payload);
                (bytes, Seen::Message(channel.into(), payload))
            }
        ),
    ]
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1..4_usize, 1..200_usize], 1..8)
}

proptest! {
    #[test]
    fn messages_and_values_keep_their_order_however_the_stream_is_split(
        parts in prop::collection::vec(part(), 0..30),
        lengths in lengths(),
    ) {
        let (bytes, expected): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        prop_assert_eq!(read(cut(&bytes.concat(), &lengths)), expected);
    }

    #[test]
    fn corrupted_streams_end_without_a_panic(
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
fn malformed_values_are_errors() {
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
fn errors_follow_everything_received_before() {
    let message = encoded("message", b"a", b"b");
    let mut run = Run::new([[&message[..], b"+OK\r\n", &message[..5]].concat()]);
    run.reader.stream.fails = true;
    let (seen, end) = run.read();
    assert_eq!(end, io::ErrorKind::ConnectionReset);
    let message = Seen::Message(b"a".to_vec(), b"b".to_vec());
    assert_eq!(seen, [message, Seen::Value(Value::Okay)]);
}

#[test]
fn buffer_grows_with_received_bytes_and_shrinks_again() {
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
fn reader_yields_to_other_tasks() {
    let messages = encoded("message", b"a", b"b").repeat(1_000);
    let mut run = Run::new([messages]);
    let seen = Arc::clone(&run.seen);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let turns = runtime.unwrap().block_on(async {
        let mut next = Box::pin(run.next());
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
    assert_eq!(seen.lock().unwrap().len(), 1_000);
}

#[test]
fn messages_without_a_sink_are_dropped() {
    let messages = [
        encoded("message", b"c", b"1"),
        encoded("message", b"a", b"2"),
    ];
    assert_eq!(
        read(messages),
        [Seen::Message(b"a".to_vec(), b"2".to_vec())]
    );
}

#[test]
fn each_sink_of_a_channel_receives_each_message_once() {
    let mut run = Run::new([encoded("message", b"a", b"1")]);
    let sinks = ["a", "b"].map(|channel| -> Arc<dyn MessageSink> {
        let seen = Arc::clone(&run.seen);
        Arc::new(Log { channel, seen })
    });
    run.reader.routes.set("a".into(), sinks.into());
    let received = [b"a", b"b"].map(|sink| Seen::Message(sink.to_vec(), b"1".to_vec()));
    assert_eq!(run.read().0, received);
}
