//! A client's connection: upgrade, frames, and the few packets that the benchmark sends.

use anyhow::{Context as _, ensure};

use crate::frame::{ClientFrame, put_frame};
use crate::stream::QueuedStream;

/// Answer to the upgrade of a client with the example key of RFC 6455, section 1.3.
const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// Start of a chunk's text, after which its sequence number is inserted.
const MEDIA: &[u8] = br#"451-["media",{"#;

/// Client's connection.
#[derive(Debug)]
pub(crate) struct RelayPeer {
    pub(crate) stream: QueuedStream,
    /// Index of the room that the client has joined.
    pub(crate) room: Option<usize>,
    state: PeerState,
}

/// State of a client's incoming stream.
#[derive(Debug, Default)]
struct PeerState {
    upgraded: bool,
    /// Chunks published so far.
    seq: u64,
    /// Text frame of the chunk whose payload is due.
    header: Vec<u8>,
    /// Answers to the handshake.
    answers: Vec<u8>,
}

/// Message of a client.
#[derive(Debug)]
pub(crate) enum PeerInput {
    Request {
        id: u64,
        request: PeerRequest,
    },
    /// Frames of a chunk, as subscribers receive them.
    Chunk(Vec<u8>),
}

/// Request of the benchmark's clients.
#[derive(Debug)]
pub(crate) enum PeerRequest {
    Create,
    Join { room: String },
    Publish,
}

impl RelayPeer {
    pub(crate) fn new(stream: QueuedStream) -> Self {
        Self {
            stream,
            room: None,
            state: PeerState::default(),
        }
    }

    /// Reads what has arrived and adds messages to `inputs`; returns false at the end of the
    /// stream.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        inputs: &mut Vec<PeerInput>,
    ) -> anyhow::Result<bool> {
        let Self { stream, state, .. } = self;
        let open = stream.read(buffer, |bytes| state.parse(bytes, inputs))?;
        if !state.answers.is_empty() {
            stream.send(&std::mem::take(&mut state.answers))?;
        }
        Ok(open)
    }

    /// Acknowledges a request.
    pub(crate) fn acknowledge(&mut self, id: u64, result: &str) -> anyhow::Result<()> {
        let mut answer = Vec::new();
        put_frame(&mut answer, 1, format!("43{id}[{result}]").as_bytes());
        Ok(self.stream.send(&answer)?)
    }
}

impl PeerState {
    /// Parses complete messages; returns how many bytes they have.
    fn parse(&mut self, bytes: &[u8], inputs: &mut Vec<PeerInput>) -> anyhow::Result<usize> {
        let mut consumed = 0;
        if !self.upgraded {
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
                return Ok(0);
            };
            self.answers.extend_from_slice(UPGRADED);
            put_frame(&mut self.answers, 1, br#"0{"sid":"bare"}"#);
            (self.upgraded, consumed) = (true, end + 4);
        }
        while let Some(frame) = ClientFrame::parse(&bytes[consumed..])? {
            consumed += frame.length;
            self.frame(&frame, inputs)?;
        }
        Ok(consumed)
    }

    fn frame(
        &mut self,
        frame: &ClientFrame<'_>,
        inputs: &mut Vec<PeerInput>,
    ) -> anyhow::Result<()> {
        if frame.is_binary() {
            ensure!(!self.header.is_empty(), "a payload without its header");
            let mut chunk = std::mem::take(&mut self.header);
            frame.put_served(&mut chunk);
            inputs.push(PeerInput::Chunk(chunk));
            return Ok(());
        }
        let text = frame.unmasked();
        if let Some(rest) = text.strip_prefix(MEDIA) {
            self.seq += 1;
            let seq = format!(r#""seq":{},"#, self.seq);
            put_frame(&mut self.header, 1, &[MEDIA, seq.as_bytes(), rest].concat());
        } else if text.starts_with(b"40") {
            put_frame(&mut self.answers, 1, br#"40{"sid":"bare"}"#);
        } else if text != b"3" {
            inputs.push(request(&text)?);
        }
        Ok(())
    }
}

/// Parses `42<id>["event",{…}]`.
fn request(text: &[u8]) -> anyhow::Result<PeerInput> {
    let text = std::str::from_utf8(text)?;
    let text = text.strip_prefix("42").context("no request")?;
    let (id, event) = text.split_at(text.find('[').context("no event")?);
    let event: serde_json::Value = serde_json::from_str(event)?;
    let request = match event[0].as_str() {
        Some("room:create") => PeerRequest::Create,
        Some("room:join") => PeerRequest::Join {
            room: event[1]["room"].as_str().context("no room")?.to_owned(),
        },
        name => {
            ensure!(name == Some("track:publish"), "unknown event {event}");
            PeerRequest::Publish
        }
    };
    let id = id.parse()?;
    Ok(PeerInput::Request { id, request })
}
