//! Member of a room that verifies what it receives.
//!
//! It parses no more of a chunk than it verifies, since it shares the cores with the servers.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::BytesMut;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use weir_testkit::{ConnectOptions, Opcode, RawClient};

use super::chunk::{Stamp, put_chunk};
use super::tally::Tally;

/// Start of every chunk on the wire; its header follows.
const MEDIA: &[u8] = br#"451-["media",{"#;
/// Events that end a run: chunks are missing, or something was refused.
const FAULTS: [&[u8]; 2] = [br#"42["media:gap""#, br#"42["error""#];

/// Member of a room.
#[derive(Debug)]
pub(crate) struct LoadMember {
    client: RawClient,
    received: Received,
    tally: Rc<Tally>,
}

/// State of a member's incoming stream.
#[derive(Debug, Default)]
struct Received {
    /// `seq` of the last intact chunk.
    last: u64,
    /// `seq` of the chunk whose payload is due.
    announced: Option<u64>,
}

impl LoadMember {
    /// Connects and joins a room, a new one if `room` is `None`; returns the room's id too.
    pub(crate) async fn join(
        addr: SocketAddr,
        source: Option<IpAddr>,
        room: Option<&str>,
        tally: &Rc<Tally>,
    ) -> anyhow::Result<(Self, String)> {
        let options = ConnectOptions {
            source,
            ..ConnectOptions::default()
        };
        let mut client = RawClient::connect(addr, &options).await?;
        let room = match room {
            Some(room) => room.to_owned(),
            None => {
                let answer = request(&mut client, "room:create", json!({})).await?;
                answer["room"]["id"]
                    .as_str()
                    .context("room:create answered no room")?
                    .to_owned()
            }
        };
        request(&mut client, "room:join", json!({ "room": room })).await?;
        let member = Self {
            client,
            received: Received::default(),
            tally: Rc::clone(tally),
        };
        Ok((member, room))
    }

    /// Joins as [`join`](Self::join) does and publishes a track; returns the ids of track and room
    /// too.
    pub(crate) async fn publish(
        addr: SocketAddr,
        room: Option<&str>,
        tally: &Rc<Tally>,
    ) -> anyhow::Result<(Self, u64, String)> {
        let (mut member, room) = Self::join(addr, None, room, tally).await?;
        let track = json!({"kind": "video", "codec": "vp8"});
        let answer = request(&mut member.client, "track:publish", track).await?;
        let track = answer["track"]["id"].as_u64();
        let track = track.context("track:publish answered no track")?;
        Ok((member, track, room))
    }

    /// Reads until it is dropped; reports failures to the tally.
    pub(crate) async fn listen(mut self) {
        loop {
            if let Err(error) = self.read().await {
                return self.tally.fail(format!("a subscriber: {error:#}"));
            }
        }
    }

    /// Sends a chunk every `period` from `start` on until the tally stops it, then reads.
    ///
    /// A late tick does not cancel the ticks after it.
    pub(crate) async fn send(mut self, track: u64, start: Instant, period: Duration) {
        let mut ticks = interval_at(start, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut number, mut out) = (0, BytesMut::new());
        loop {
            let done = tokio::select! {
                // Ticks first: a publisher is on time.
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
                    self.client.write(&out).await.map_err(Into::into)
                }
                read = self.read() => read,
            };
            if let Err(error) = done {
                return self.tally.fail(format!("a publisher: {error:#}"));
            }
        }
    }

    /// Reads once and verifies the frames.
    async fn read(&mut self) -> anyhow::Result<()> {
        let Self {
            client,
            received,
            tally,
        } = self;
        let (mut now, mut result) = (None, Ok(()));
        let each = |opcode, payload: &[u8]| {
            let now = *now.get_or_insert_with(|| tally.now());
            if result.is_ok() {
                result = received.frame(opcode, payload, now, tally);
            }
        };
        client.read_frames(&tally.buffer, each).await?;
        result
    }
}

impl Received {
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
            Opcode::Text if payload == b"2" => tally.heartbeats.set(tally.heartbeats.get() + 1),
            Opcode::Text => {
                let fault = FAULTS.iter().any(|fault| payload.starts_with(fault));
                let end = payload == b"41" || payload == b"1";
                ensure!(!fault && !end, "got {}", String::from_utf8_lossy(payload));
            }
            Opcode::Binary => return self.chunk(payload, now, tally),
            Opcode::Close => bail!("the server closed the WebSocket: {payload:?}"),
            Opcode::Continuation | Opcode::Ping | Opcode::Pong => {}
        }
        Ok(())
    }

    /// Verifies a payload and its place in the stream.
    fn chunk(&mut self, payload: &[u8], now: u64, tally: &Tally) -> anyhow::Result<()> {
        let seq = self.announced.take();
        let seq = seq.context("a payload without its header")?;
        let stamp = Stamp::read(payload, tally.chunk_size).context("a damaged chunk")?;
        let next = match self.last {
            0 => tally.start(seq),
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
        Ok(())
    }
}

/// Returns the `seq` of a media event's text, without parsing the rest.
fn seq_of(text: &[u8]) -> Option<u64> {
    const NAME: &[u8] = br#""seq":"#;
    let at = text.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit());
    digits
        .map(|digit| u64::from(digit - b'0'))
        .reduce(|number, digit| number * 10 + digit)
}

/// Sends a request that the server must grant.
async fn request(client: &mut RawClient, event: &str, args: Value) -> anyhow::Result<Value> {
    let answer = client.request(event, &args).await?;
    ensure!(answer["ok"] == true, "{event} answered {answer}");
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seq_is_found_at_any_position() {
        assert_eq!(
            seq_of(br#"451-["media",{"track":1,"seq":907,"ts":5}"#),
            Some(907)
        );
        assert_eq!(seq_of(br#"451-["media",{"track":1,"seq":3}"#), Some(3));
        assert_eq!(seq_of(br#"451-["media",{"track":1,"ts":5}"#), None);
    }
}
