//! Upgrade probe: the packets that a polling client sends on its WebSocket before it upgrades.
//!
//! The library ends a session whose upgrade fails. So the gateway answers the probe itself, and
//! hands the WebSocket over once the client has sent its upgrade packet. A probe that breaks, times
//! out or is malformed leaves the session unchanged.

use std::{fmt, io, sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    pin,
    time::timeout,
};

use super::frames::{WebSocketHeader, mask};
use crate::edge::client::ConnectedClient;

/// Probe packet of the client, the node's answer, and the client's upgrade packet.
/// Source: Engine.IO protocol, revision 4, "Upgrade".
const QUESTION: &[u8] = b"2probe";
const ANSWER: &[u8] = b"\x81\x063probe";
const MOVES: &[u8] = b"5";

/// Maximum payload of a probe's frame, and of a control frame (RFC 6455, section 5.5).
const PAYLOAD_BYTES: usize = 125;

/// Buffer size of one read.
const READ_BYTES: usize = 512;

/// Status code for a peer that violates the protocol (RFC 6455, section 7.4.1).
const PROTOCOL_ERROR: [u8; 2] = 1002_u16.to_be_bytes();

/// Grace period for a client to close its side of an abandoned WebSocket.
const LINGER: Duration = Duration::from_secs(1);

/// Time limits of an upgrade probe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProbeTimes {
    /// Limit of the whole probe.
    pub(crate) upgrade: Duration,
    /// Limit for a client that has not connected to the namespace. Some clients delay that until
    /// the upgrade ends, and need time for it after the probe. aiohttp, below python-engineio,
    /// repeats the handshake once if it got no response.
    pub(crate) unconnected: Duration,
}

impl ProbeTimes {
    pub(crate) fn new(upgrade: Duration, connect: Duration) -> Self {
        Self {
            upgrade,
            unconnected: upgrade.min(connect / 3),
        }
    }
}

/// Cause of a failed probe.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The client sent something other than a probe.
    Malformed(&'static str),
    /// The client closed the WebSocket.
    Closed,
    /// The connection broke.
    Broken(io::Error),
    /// The client exceeded the time limit.
    Late,
    /// The session ended.
    Ended,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "malformed: {what}"),
            Self::Closed => f.write_str("the client closed it"),
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::Late => f.write_str("the client was silent"),
            Self::Ended => f.write_str("the session ended"),
        }
    }
}

/// Guard of the only probe of a session.
#[derive(Debug)]
pub(crate) struct UpgradeProbe(Arc<ConnectedClient>);

impl Drop for UpgradeProbe {
    fn drop(&mut self) {
        self.0.transport.upgrade_state().finish();
    }
}

impl UpgradeProbe {
    /// Begins a probe of a client's session, if it polls and has no other probe.
    pub(crate) fn begin(client: Arc<ConnectedClient>) -> Option<Self> {
        client.transport.begin_probe().then(|| Self(client))
    }

    pub(crate) fn client(&self) -> &Arc<ConnectedClient> {
        &self.0
    }

    /// Answers the client until it upgrades, and returns the bytes after its upgrade packet.
    /// `ahead` was already read from `stream`.
    pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        ahead: &[u8],
        times: ProbeTimes,
    ) -> Result<Bytes, Failed> {
        let upgrade = self.0.transport.upgrade_state();
        let probed = answer(stream, ahead, || upgrade.answered());
        let in_time = async {
            pin!(probed);
            match timeout(times.unconnected, probed.as_mut()).await {
                Err(_) if self.0.transport.is_connected() => {
                    let rest = times.upgrade - times.unconnected;
                    timeout(rest, probed).await.unwrap_or(Err(Failed::Late))
                }
                in_time => in_time.unwrap_or(Err(Failed::Late)),
            }
        };
        tokio::select! {
            // An ended session needs no WebSocket, whatever the client sends.
            biased;
            () = upgrade.ended() => Err(Failed::Ended),
            probed = in_time => probed,
        }
    }
}

/// Answers packets on a new WebSocket until the client upgrades.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    ahead: &[u8],
    mut answered: impl FnMut(),
) -> Result<Bytes, Failed> {
    const TEXT: u8 = 0x1;
    const CONTINUATION: u8 = 0x0;
    const CLOSE: u8 = 0x8;
    const PING: u8 = 0x9;
    const PONG: u8 = 0xa;
    let mut bytes = BytesMut::from(ahead);
    let mut message = Vec::new();
    let mut begun = false;
    loop {
        let frame = read(stream, &mut bytes).await?;
        match frame.opcode {
            PING => {
                let mut pong = vec![0x80 | PONG, frame.payload.len() as u8];
                pong.extend(frame.payload);
                write(stream, &pong).await?;
            }
            PONG => {}
            CLOSE => return Err(Failed::Closed),
            TEXT | CONTINUATION if begun == (frame.opcode == CONTINUATION) => {
                begun = !frame.last;
                message.extend(frame.payload);
                if message.len() > PAYLOAD_BYTES {
                    return Err(Failed::Malformed("a long message"));
                }
                if frame.last {
                    match std::mem::take(&mut message).as_slice() {
                        QUESTION => {
                            write(stream, ANSWER).await?;
                            answered();
                        }
                        MOVES => return Ok(bytes.freeze()),
                        _ => return Err(Failed::Malformed("another packet")),
                    }
                }
            }
            _ => return Err(Failed::Malformed("a frame of another kind")),
        }
    }
}

/// A client's frame, unmasked.
#[derive(Debug, PartialEq, Eq)]
struct ProbeFrame {
    last: bool,
    opcode: u8,
    payload: Vec<u8>,
}

impl ProbeFrame {
    /// Parses and removes a whole frame from the front of `bytes`, if there is one.
    fn split_from(bytes: &mut BytesMut) -> Result<Option<Self>, Failed> {
        let Some(header) = WebSocketHeader::parse(bytes) else {
            return Ok(None);
        };
        if header.is_reserved() {
            return Err(Failed::Malformed("reserved bits"));
        }
        let Some(key) = header.key else {
            return Err(Failed::Malformed("a frame that is not masked"));
        };
        let Ok(length @ ..=PAYLOAD_BYTES) = usize::try_from(header.payload) else {
            return Err(Failed::Malformed("a long frame"));
        };
        let Some(payload) = bytes.get(header.len..header.len + length) else {
            return Ok(None);
        };
        let mut payload = payload.to_vec();
        mask(&mut payload, key);
        bytes.advance(header.len + length);
        Ok(Some(Self {
            last: header.is_last(),
            opcode: header.opcode(),
            payload,
        }))
    }
}

async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    bytes: &mut BytesMut,
) -> Result<ProbeFrame, Failed> {
    loop {
        if let Some(frame) = ProbeFrame::split_from(bytes)? {
            return Ok(frame);
        }
        bytes.reserve(READ_BYTES);
        if stream.read_buf(bytes).await.map_err(Failed::Broken)? == 0 {
            return Err(Failed::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> Result<(), Failed> {
    stream.write_all(bytes).await.map_err(Failed::Broken)
}

/// Closes a WebSocket whose probe failed.
///
/// A WebSocket that timed out gets no close frame: python-engineio 4.15 takes the frame for the
/// answer to its probe, and fails to parse it.
pub(crate) async fn give_up<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, why: &Failed) {
    const CLOSE: u8 = 0x88;
    let ended = async {
        match why {
            Failed::Malformed(_) => {
                let [high, low] = PROTOCOL_ERROR;
                stream.write_all(&[CLOSE, 2, high, low]).await?;
            }
            Failed::Closed | Failed::Ended => stream.write_all(&[CLOSE, 0]).await?,
            Failed::Broken(_) | Failed::Late => {}
        }
        stream.shutdown().await?;
        // Closing a socket with unread bytes resets it, which may discard the close frame.
        let mut scrap = [0; READ_BYTES];
        while stream.read(&mut scrap).await? > 0 {}
        io::Result::Ok(())
    };
    // A client that does not close its side in time is cut off.
    let _ = timeout(LINGER, ended).await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;
    use crate::edge::websocket::frames;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        frames::tests::frame(first, payload, Some([7, 0, 255, 33]))
    }

    /// Feeds the probe byte by byte. Returns its result, its output, and the number of answers.
    async fn probe(sent: &[u8], ahead: usize) -> (Result<Bytes, Failed>, Vec<u8>, usize) {
        let (mut near, mut far): (DuplexStream, _) = duplex(4096);
        let (ahead, rest) = sent.split_at(ahead.min(sent.len()));
        let mut answers = 0;
        let ended = {
            let answering = answer(&mut near, ahead, || answers += 1);
            let sending = async {
                for byte in rest {
                    far.write_all(&[*byte]).await.expect("it is read");
                    tokio::task::yield_now().await;
                }
                far.shutdown().await.expect("it ends");
            };
            tokio::join!(answering, sending).0
        };
        drop(near);
        let mut written = Vec::new();
        far.read_to_end(&mut written).await.expect("what it wrote");
        (ended, written, answers)
    }

    #[tokio::test]
    async fn probe_is_answered_and_returns_the_bytes_after_the_upgrade() {
        let mut sent = frame(0x81, QUESTION);
        sent.extend(frame(0x89, b"alive"));
        sent.extend(frame(0x8a, b""));
        // In two frames, with a ping between them.
        sent.extend(frame(0x01, b"2pro"));
        sent.extend(frame(0x89, b""));
        sent.extend(frame(0x80, b"be"));
        sent.extend(frame(0x81, MOVES));
        for ahead in [0, 1, 10, sent.len()] {
            let (ended, written, answers) = probe(&sent, ahead).await;
            assert_eq!(ended.expect("it moves"), Bytes::new());
            assert_eq!(
                written,
                b"\x81\x063probe\x8a\x05alive\x8a\x00\x81\x063probe"
            );
            assert_eq!(answers, 2);
        }
        sent.extend(b"more");
        let (ended, ..) = probe(&sent, sent.len()).await;
        assert_eq!(ended.expect("it moves"), Bytes::from_static(b"more"));
    }

    #[tokio::test]
    async fn malformed_probe_fails() {
        let mut unmasked = frame(0x81, QUESTION);
        unmasked[1] &= 0x7f;
        let mut long = frame(0x81, QUESTION);
        long[1] = 0x80 | 126;
        let twice = [frame(0x01, b"2"), frame(0x81, b"5")].concat();
        let endless = [
            frame(0x01, &[b'2'; PAYLOAD_BYTES]),
            frame(0x00, &[b'2'; PAYLOAD_BYTES]),
        ];
        for malformed in [
            frame(0x81, b"2"),
            frame(0x81, b"3probe"),
            frame(0x81, b"4hello"),
            frame(0x81, b""),
            frame(0x82, QUESTION),
            frame(0x80, QUESTION),
            frame(0xc1, QUESTION),
            frame(0x83, QUESTION),
            unmasked,
            long,
            twice,
            endless.concat(),
        ] {
            let (ended, ..) = probe(&malformed, 0).await;
            assert!(matches!(ended, Err(Failed::Malformed(_))), "{malformed:?}");
        }
        let (ended, ..) = probe(&frame(0x88, b""), 0).await;
        assert!(matches!(ended, Err(Failed::Closed)), "{ended:?}");
        let (ended, ..) = probe(&frame(0x81, QUESTION)[..5], 0).await;
        assert!(matches!(ended, Err(Failed::Broken(_))), "{ended:?}");
    }
}
