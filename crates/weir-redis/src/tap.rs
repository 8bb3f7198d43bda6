//! What Redis sends, with the messages taken out before redis-rs reads it.
//!
//! Nearly all that comes on a connection that subscribes is messages, and redis-rs' parser, buffers
//! and values would cost more for each than everything else that is done with it. It still reads
//! all the rest, byte for byte and in order with the messages: answers, confirmations, other pushes.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    resp::{Message, Stop, Values, message},
    subscriber::OnMessage,
};

/// How much is read at a time; what the buffer holds unless a message is larger.
const PIECE: usize = 64 * 1024;

/// How many bytes of messages are handed over before other tasks have their turn.
const TURN: usize = 256 * 1024;

/// What the smallest message counts for in a turn, which so has 128 at the most.
const LEAST: usize = TURN / 128;

/// A stream from Redis, without the messages: these go to `on_message`.
pub(crate) struct Tap<S> {
    stream: S,
    on_message: OnMessage,
    /// What was read is in `start..end`; of it, up to `seen` is for whoever reads the tap.
    buffer: Vec<u8>,
    start: usize,
    seen: usize,
    end: usize,
    values: Values,
    /// How much of the turn is used up.
    turn: usize,
    /// Whether all that comes is for whoever reads the tap, since it is not RESP3 or has ended.
    through: bool,
}

impl<S> Tap<S> {
    /// Takes the messages out of what is read from `stream`.
    pub(crate) fn new(stream: S, on_message: OnMessage) -> Self {
        Self {
            stream,
            on_message,
            buffer: vec![0; PIECE],
            start: 0,
            seen: 0,
            end: 0,
            values: Values::default(),
            turn: 0,
            through: false,
        }
    }

    /// Hands over the messages that come next, until the turn is over, more must be read, or
    /// something else comes, which is then up to `seen`.
    fn look(&mut self) {
        while !self.through {
            let rest = &self.buffer[self.seen..self.end];
            if self.values.is_between() {
                match message(rest) {
                    Ok(Message {
                        channel,
                        payload,
                        len,
                    }) => {
                        // In order: what came before it is read first.
                        if self.start < self.seen || self.turn >= TURN {
                            return;
                        }
                        // A copy: part of the buffer would keep all of it.
                        (self.on_message)(&rest[channel], Bytes::copy_from_slice(&rest[payload]));
                        self.turn += len.max(LEAST);
                        self.seen += len;
                        self.start = self.seen;
                        continue;
                    }
                    Err(Stop::Short) => return,
                    Err(Stop::Strange) => {}
                }
            }
            match self.values.follow(rest) {
                Ok(len) => self.seen += len,
                Err(Stop::Short) => return,
                Err(Stop::Strange) => self.through = true,
            }
        }
        self.seen = self.end;
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

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            this.look();
            if this.start < this.seen {
                let len = out.remaining().min(this.seen - this.start);
                out.put_slice(&this.buffer[this.start..this.start + len]);
                this.start += len;
                return Poll::Ready(Ok(()));
            }
            if this.through {
                // A stream that has ended says so again.
                return Pin::new(&mut this.stream).poll_read(cx, out);
            }
            if this.turn >= TURN {
                this.turn = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            this.make_room();
            let mut piece = ReadBuf::new(&mut this.buffer[this.end..]);
            let polled = Pin::new(&mut this.stream).poll_read(cx, &mut piece);
            if polled.is_pending() {
                this.turn = 0;
            }
            ready!(polled)?;
            match piece.filled().len() {
                0 => this.through = true,
                len => this.end += len,
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::{
            Arc, Mutex,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Wake, Waker},
    };

    use proptest::prelude::*;

    use super::*;

    /// What comes out, in order; bytes that follow each other are one.
    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Seen {
        Message(Vec<u8>, Vec<u8>),
        Bytes(Vec<u8>),
    }

    fn add(seen: &mut Vec<Seen>, next: Seen) {
        match (seen.last_mut(), next) {
            (Some(Seen::Bytes(before)), Seen::Bytes(bytes)) => before.extend(bytes),
            (_, next) => seen.push(next),
        }
    }

    fn bulk_string(bytes: &[u8]) -> Vec<u8> {
        [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
    }

    fn encoded(kind: &str, channel: &[u8], payload: &[u8]) -> Vec<u8> {
        let parts = [kind.as_bytes(), channel, payload].map(bulk_string);
        [b">3\r\n", parts.concat().as_slice()].concat()
    }

    /// The bytes that these were.
    fn again(seen: &[Seen]) -> Vec<u8> {
        let bytes = seen.iter().map(|seen| match seen {
            Seen::Message(channel, payload) => encoded("message", channel, payload),
            Seen::Bytes(bytes) => bytes.clone(),
        });
        bytes.collect::<Vec<_>>().concat()
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

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Run {
        tap: Tap<Pieces>,
        seen: Arc<Mutex<Vec<Seen>>>,
        /// How often it was to be read again later.
        pauses: usize,
    }

    impl Run {
        fn new(pieces: impl IntoIterator<Item = Vec<u8>>) -> Self {
            let pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
            let seen = Arc::new(Mutex::new(Vec::new()));
            let on_message = {
                let seen = Arc::clone(&seen);
                move |channel: &[u8], payload: Bytes| {
                    let message = Seen::Message(channel.to_vec(), payload.to_vec());
                    add(&mut seen.lock().unwrap(), message);
                }
            };
            let stream = Pieces {
                pieces: pieces.collect(),
                pause: false,
                fails: false,
            };
            Self {
                tap: Tap::new(stream, Arc::new(on_message)),
                seen,
                pauses: 0,
            }
        }

        /// Reads until the stream ends, `room` bytes at a time; nothing may wait without a wake.
        fn read(&mut self, room: usize) -> io::Result<Vec<Seen>> {
            let wakes = Arc::new(Wakes::default());
            let waker = Waker::from(Arc::clone(&wakes));
            let mut cx = Context::from_waker(&waker);
            let mut bytes = vec![0; room];
            loop {
                let mut out = ReadBuf::new(&mut bytes);
                match Pin::new(&mut self.tap).poll_read(&mut cx, &mut out) {
                    Poll::Ready(read) => {
                        read?;
                        let mut seen = self.seen.lock().unwrap();
                        if out.filled().is_empty() {
                            assert!(self.tap.stream.pieces.is_empty(), "not the end");
                            return Ok(seen.clone());
                        }
                        add(&mut seen, Seen::Bytes(out.filled().to_vec()));
                    }
                    Poll::Pending => {
                        self.pauses += 1;
                        assert_eq!(wakes.0.load(Ordering::Relaxed), self.pauses, "no wake");
                    }
                }
            }
        }
    }

    fn read(pieces: impl IntoIterator<Item = Vec<u8>>, room: usize) -> Vec<Seen> {
        let read = Run::new(pieces).read(room);
        read.expect("the stream ends without an error")
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
            "[-+(,:#_][ -~\r]{0,12}[ -~]?\r\n".prop_map(String::into_bytes),
            (prop::sample::select(b"$!=".to_vec()), some_bytes()).prop_map(|(kind, bytes)| {
                let mut value = bulk_string(&bytes);
                value[0] = kind;
                value
            }),
            Just(b"$-1\r\n".to_vec()),
            Just(b"*-1\r\n".to_vec()),
            // What looks like a message is one only where no other value is under way.
            Just(bulk_string(&encoded("message", b"a", b"b"))),
            Just(b"*1\r\n>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n".to_vec()),
            Just(b"|1\r\n+a\r\n:1\r\n>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n".to_vec()),
            Just(b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$-1\r\n".to_vec()),
            Just(b">3\r\n$7\r\nmessage\r\n:1\r\n$1\r\na\r\n".to_vec()),
            Just(b">3\r\n+message\r\n$1\r\na\r\n$1\r\nb\r\n".to_vec()),
            Just(b">2\r\n$7\r\nmessage\r\n$1\r\na\r\n".to_vec()),
            Just(encoded("subscribe", b"a", b"b")),
            Just(encoded("Message", b"a", b"b")),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let kinds = prop::sample::select(b"*~>%|".to_vec());
            (kinds, prop::collection::vec(inner, 1..6)).prop_map(|(kind, mut values)| {
                let count = match kind {
                    b'%' => {
                        values.truncate(values.len() / 2 * 2);
                        values.len() / 2
                    }
                    b'|' => {
                        values.truncate((values.len() - 1) / 2 * 2 + 1);
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
            value().prop_map(|value| (value.clone(), Seen::Bytes(value))),
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
        fn messages_are_taken_out_and_all_else_stays(
            parts in prop::collection::vec(part(), 0..30),
            lengths in lengths(),
            room in prop_oneof![1..5_usize, 1..10_000_usize],
        ) {
            let (bytes, expected): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
            let mut merged = Vec::new();
            for seen in expected {
                add(&mut merged, seen);
            }
            prop_assert_eq!(read(cut(&bytes.concat(), &lengths), room), merged);
        }

        #[test]
        fn nothing_is_lost_of_what_is_broken(
            parts in prop::collection::vec(part(), 1..10),
            at: prop::sample::Index,
            removed in 0..30_usize,
            strange in prop_oneof![
                "[-+:$!=*~>%|0-9a-c\r\n]{0,30}".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..30),
            ],
            lengths in lengths(),
        ) {
            let parts = parts.into_iter().map(|(bytes, seen)| match seen {
                Seen::Message(channel, payload) => encoded("message", &channel, &payload),
                Seen::Bytes(_) => bytes,
            });
            let mut bytes = parts.collect::<Vec<_>>().concat();
            let from = at.index(bytes.len());
            bytes.splice(from..bytes.len().min(from + removed), strange);
            prop_assert_eq!(again(&read(cut(&bytes, &lengths), 100)), bytes);
        }
    }

    #[test]
    fn after_something_strange_nothing_is_taken_out() {
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
            "*99999999999999999999999\r\n",
            "*99999999999999999\r\n*99999999999999999\r\n$99999999999999999999\r\n",
            ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nbc\r\n",
        ] {
            let bytes = [&message, strange.as_bytes(), &message].concat();
            let rest = Seen::Bytes(bytes[message.len()..].to_vec());
            let expected = [Seen::Message(b"a".to_vec(), b"b".to_vec()), rest];
            assert_eq!(read([bytes], 1_000), expected, "{strange:?}");
        }
    }

    #[test]
    fn part_of_a_message_is_passed_on_when_the_stream_ends() {
        let message = encoded("smessage", b"channel", b"payload");
        for len in 1..message.len() {
            let part = message[..len].to_vec();
            assert_eq!(read([part.clone()], 1_000), [Seen::Bytes(part)]);
        }
    }

    #[test]
    fn errors_are_passed_on_after_what_came_before() {
        let message = encoded("message", b"a", b"b");
        let mut run = Run::new([[&message[..], b"+OK\r\n", &message[..5]].concat()]);
        run.tap.stream.fails = true;
        let error = run.read(100).expect_err("the stream fails");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let message = Seen::Message(b"a".to_vec(), b"b".to_vec());
        let expected = [message, Seen::Bytes(b"+OK\r\n".to_vec())];
        assert_eq!(*run.seen.lock().unwrap(), expected);
    }

    #[test]
    fn the_buffer_is_as_large_as_what_came_and_shrinks_again() {
        let announced = b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$999999999999\r\n".to_vec();
        let mut run = Run::new([announced.clone()]);
        assert_eq!(run.read(100).unwrap(), [Seen::Bytes(announced)]);
        assert_eq!(run.tap.buffer.len(), PIECE);

        let payload: Vec<_> = (0..=250_u8).cycle().take(1_000_000).collect();
        let mut run = Run::new([
            encoded("message", b"a", &payload),
            encoded("message", b"b", b"small"),
        ]);
        let expected = [
            Seen::Message(b"a".to_vec(), payload),
            Seen::Message(b"b".to_vec(), b"small".to_vec()),
        ];
        assert_eq!(run.read(100).unwrap(), expected);
        assert_eq!(run.tap.buffer.len(), PIECE);
        assert_eq!(run.tap.buffer.capacity(), PIECE);
    }

    #[test]
    fn other_tasks_have_their_turn() {
        // All of them in one piece, after which the stream pauses once itself.
        let messages = encoded("message", b"a", b"b").repeat(1_000);
        let mut run = Run::new([messages]);
        assert_eq!(run.read(100).unwrap().len(), 1_000);
        assert_eq!(run.pauses, 1_000 / 128 + 1);
    }
}
