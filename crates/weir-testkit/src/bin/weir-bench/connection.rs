//! One client of a load, as light as it can be: it reads much at once, looks only at what it must
//! verify, and answers pings.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use bytes::BytesMut;
use serde_json::{Value, json};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use weir_testkit::{Opcode, Options, Wire, put_frame};

use crate::chunk::{Stamp, put_chunk};
use crate::scan::Scanner;
use crate::tally::Tally;

/// How every chunk begins on the wire; its header follows.
const MEDIA: &[u8] = br#"451-["media",{"#;
/// Events that a subscriber must not see: chunks are missing, or something was refused.
const BAD_NEWS: [&[u8]; 2] = [br#"42["media:gap""#, br#"42["error""#];

/// A member of a room.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    scanner: Scanner,
    hears: Hears,
    tally: Rc<Tally>,
}

/// What a connection has heard.
#[derive(Debug, Default)]
struct Hears {
    /// `seq` of the last chunk that came whole.
    last: u64,
    /// `seq` of the chunk whose payload comes next.
    announced: Option<u64>,
    /// Pings to answer.
    pings: usize,
}

impl Connection {
    /// Connects and joins a room, a new one if `room` is `None`; returns the room's id with it.
    pub(crate) async fn join(
        addr: SocketAddr,
        source: Option<IpAddr>,
        room: Option<&str>,
        tally: &Rc<Tally>,
    ) -> anyhow::Result<(Self, String)> {
        let (wire, room) = joined(addr, source, room).await?;
        Ok((Self::over(wire, tally)?, room))
    }

    /// Connects, joins the room (a new one if `None`) and publishes a track; returns it with the
    /// track's and the room's id.
    pub(crate) async fn publish(
        addr: SocketAddr,
        room: Option<&str>,
        tally: &Rc<Tally>,
    ) -> anyhow::Result<(Self, u64, String)> {
        let (mut wire, room) = joined(addr, None, room).await?;
        let answer = ask(
            &mut wire,
            "track:publish",
            json!({"kind": "video", "codec": "vp8"}),
        )
        .await?;
        let track = answer["track"]["id"]
            .as_u64()
            .context("track:publish answered no track")?;
        Ok((Self::over(wire, tally)?, track, room))
    }

    fn over(wire: Wire, tally: &Rc<Tally>) -> anyhow::Result<Self> {
        let (stream, early) = wire.into_stream();
        let (scanner, hears) = (Scanner::default(), Hears::default());
        let mut connection = Self {
            stream,
            scanner,
            hears,
            tally: Rc::clone(tally),
        };
        connection.take(&early)?;
        Ok(connection)
    }

    /// Listens until it is dropped; what goes wrong is told to the tally.
    pub(crate) async fn listen(mut self) {
        loop {
            if let Err(error) = self.read().await {
                return self.tally.fail(format!("a subscriber: {error:#}"));
            }
        }
    }

    /// Sends a chunk every `period`, the first at `start`, until the tally says stop; then listens.
    /// A tick that comes late does not cancel the ticks after it.
    pub(crate) async fn send(mut self, track: u64, start: Instant, period: Duration) {
        let mut ticks = interval_at(start, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut number, mut out) = (0, BytesMut::new());
        loop {
            let done = tokio::select! {
                // A publisher is on time first of all.
                biased;
                _ = ticks.tick() => {
                    if self.tally.stopped.get() {
                        return self.listen().await;
                    }
                    number += 1;
                    out.clear();
                    let stamp = Stamp { sent_at: self.tally.now(), number };
                    put_chunk(&mut out, track, self.tally.chunk_size, &stamp);
                    self.tally.published.set(self.tally.published.get() + 1);
                    self.stream.write_all(&out).await.map_err(Into::into)
                }
                read = self.read() => read,
            };
            if let Err(error) = done {
                return self.tally.fail(format!("a publisher: {error:#}"));
            }
        }
    }

    /// Answers the pings that came, the one that some servers send at once among them, then reads
    /// once, into the buffer that all share, and deals with what came.
    async fn read(&mut self) -> anyhow::Result<()> {
        while self.hears.pings > 0 {
            self.hears.pings -= 1;
            self.tally.heartbeats.set(self.tally.heartbeats.get() + 1);
            let mut pong = BytesMut::new();
            put_frame(&mut pong, Opcode::Text, b"3");
            self.stream.write_all(&pong).await?;
        }
        poll_fn(|cx| {
            let tally = Rc::clone(&self.tally);
            let mut scratch = tally.scratch.borrow_mut();
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            Poll::Ready(match buffer.filled() {
                [] => Err(anyhow!("the server closed the connection")),
                bytes => self.take(bytes),
            })
        })
        .await
    }

    fn take(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let Self {
            scanner,
            hears,
            tally,
            ..
        } = self;
        let (now, mut result) = (tally.now(), Ok(()));
        scanner.feed(bytes, |opcode, payload| {
            if result.is_ok() {
                result = hears.frame(opcode, payload, now, tally);
            }
        })?;
        result
    }
}

impl Hears {
    fn frame(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        now: u64,
        tally: &Tally,
    ) -> anyhow::Result<()> {
        match opcode {
            Opcode::Text if payload.starts_with(MEDIA) => {
                ensure!(self.announced.is_none(), "a chunk without its payload");
                self.announced = Some(seq_of(payload).context("a chunk without a seq")?);
            }
            Opcode::Text if payload == b"2" => self.pings += 1,
            Opcode::Text => {
                let bad = BAD_NEWS.iter().any(|news| payload.starts_with(news));
                let end = payload == b"41" || payload == b"1";
                ensure!(!bad && !end, "got {}", String::from_utf8_lossy(payload));
            }
            Opcode::Binary => {
                let seq = self
                    .announced
                    .take()
                    .context("a payload without its header")?;
                let stamp = Stamp::read(payload, tally.chunk_size).context("a damaged chunk")?;
                let next = match self.last {
                    0 => tally.begin(seq),
                    last => seq == last + 1,
                };
                ensure!(
                    next && stamp.number == seq,
                    "chunk {} with seq {seq} came after seq {}",
                    stamp.number,
                    self.last
                );
                self.last = seq;
                tally.deliver(stamp.sent_at, now);
            }
            Opcode::Close => bail!("the server closed the WebSocket: {payload:?}"),
            Opcode::Continuation | Opcode::Ping | Opcode::Pong => {}
        }
        Ok(())
    }
}

/// The `seq` of a media event's text, found without decoding the rest.
fn seq_of(text: &[u8]) -> Option<u64> {
    const NAME: &[u8] = br#""seq":"#;
    let at = text.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit());
    digits
        .map(|digit| u64::from(digit - b'0'))
        .reduce(|number, digit| number * 10 + digit)
}

async fn joined(
    addr: SocketAddr,
    source: Option<IpAddr>,
    room: Option<&str>,
) -> anyhow::Result<(Wire, String)> {
    let mut wire = Wire::connect(
        addr,
        &Options {
            source,
            ..Options::default()
        },
    )
    .await?;
    let room = match room {
        Some(room) => room.to_owned(),
        None => {
            let answer = ask(&mut wire, "room:create", json!({})).await?;
            answer["room"]["id"]
                .as_str()
                .context("room:create answered no room")?
                .to_owned()
        }
    };
    ask(&mut wire, "room:join", json!({ "room": room })).await?;
    Ok((wire, room))
}

async fn ask(wire: &mut Wire, event: &str, args: Value) -> anyhow::Result<Value> {
    let answer = wire.request(event, &args).await?;
    ensure!(answer["ok"] == true, "{event} answered {answer}");
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seq_is_found_wherever_it_stands() {
        assert_eq!(
            seq_of(br#"451-["media",{"track":1,"seq":907,"ts":5}"#),
            Some(907)
        );
        assert_eq!(seq_of(br#"451-["media",{"track":1,"seq":3}"#), Some(3));
        assert_eq!(seq_of(br#"451-["media",{"track":1,"ts":5}"#), None);
    }
}
