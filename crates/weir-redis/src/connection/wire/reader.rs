//! Reader of a RESP3 stream: dispatches messages at once, and returns all other values.
//!
//! Nearly all values on a subscriber's connection are messages. For each of them, the parser,
//! buffers and values of redis-rs would cost more than all other processing. redis-rs therefore
//! parses only the other values.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use redis::{Value, parse_redis_value};
use tokio::io::{AsyncRead, ReadBuf};

use super::{
    resp::{ParseStop, PushedMessage, ValueScanner, integer, message},
    routes::Routes,
};

/// Read size, and size of the buffer unless a value is larger.
const PIECE: usize = 64 * 1024;

/// Number of message bytes that are dispatched before other tasks run.
const TURN: usize = 256 * 1024;

/// Minimum share of a turn per message, which limits a turn to 128 messages.
const LEAST: usize = TURN / 128;

/// Progress of a reader.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Value that is not a message.
    Value(Value),
    /// The turn has ended: other tasks should run first.
    Yield,
}

/// Reader that dispatches messages to the sinks of their channels, in order.
pub(crate) struct Reader<S> {
    pub(super) stream: S,
    pub(super) routes: Routes,
    /// Received bytes are in `start..end`. Those before `seen` belong to an incomplete value that
    /// is not a message.
    buffer: Vec<u8>,
    start: usize,
    seen: usize,
    end: usize,
    values: ValueScanner,
    /// Used part of the turn, in bytes.
    turn: usize,
}

impl<S> Reader<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            routes: Routes::default(),
            buffer: vec![0; PIECE],
            start: 0,
            seen: 0,
            end: 0,
            values: ValueScanner::default(),
            turn: 0,
        }
    }

    /// Dispatches messages until another value is complete, which is returned. Also stops at the
    /// end of the turn, or when more bytes are needed.
    fn scan(&mut self) -> io::Result<Option<Value>> {
        loop {
            let rest = &self.buffer[self.seen..self.end];
            if self.values.is_between() {
                if self.turn >= TURN {
                    return Ok(None);
                }
                match message(rest) {
                    Ok(PushedMessage {
                        channel,
                        payload,
                        len,
                    }) => {
                        let more = rest.len() > len;
                        for sink in self.routes.sinks(&rest[channel]) {
                            sink.message(&rest[payload.clone()], more);
                        }
                        self.turn += len.max(LEAST);
                        self.seen += len;
                        self.start = self.seen;
                        continue;
                    }
                    Err(ParseStop::Short) => return Ok(None),
                    Err(ParseStop::Malformed) => {}
                }
                if let Some((number, len)) = integer(rest) {
                    self.seen += len;
                    self.start = self.seen;
                    return Ok(Some(Value::Int(number)));
                }
            }
            match self.values.follow(rest) {
                Ok(len) => self.seen += len,
                Err(ParseStop::Short) => return Ok(None),
                Err(ParseStop::Malformed) => return Err(invalid("this is not RESP3")),
            }
            if self.values.is_between() {
                let value = parse_redis_value(&self.buffer[self.start..self.seen]);
                self.start = self.seen;
                return value.map(Some).map_err(invalid);
            }
        }
    }

    /// Makes room to read more bytes of an incomplete value.
    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.seen -= self.start;
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            // Grows with the received bytes, never by an announced length.
            self.buffer.resize(2 * self.end, 0);
        } else if self.buffer.len() > PIECE && self.end <= PIECE / 2 {
            self.buffer.truncate(PIECE);
            self.buffer.shrink_to_fit();
        }
    }
}

impl<S: AsyncRead + Unpin> Reader<S> {
    /// Polls for the next value that is not a message.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Progress>> {
        loop {
            if let Some(value) = self.scan()? {
                return Poll::Ready(Ok(Progress::Value(value)));
            }
            if self.turn >= TURN {
                self.turn = 0;
                return Poll::Ready(Ok(Progress::Yield));
            }
            self.make_room();
            let mut buffer = ReadBuf::new(&mut self.buffer[self.end..]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            match buffer.filled().len() {
                0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                len => self.end += len,
            }
        }
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests;
