//! Packets of Engine.IO 4 and Socket.IO 4 (protocol revision 5), namespace `/`.

use bytes::Bytes;
use serde_json::{Value, json};

/// Message of the server that is not a packet.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PacketError {
    /// The text is not UTF-8, of an unknown type, or JSON of the wrong shape.
    #[error("not a Socket.IO packet: {0:?}")]
    Malformed(String),
    /// A binary message came unannounced, or a packet before the announced attachments.
    #[error("attachments out of order")]
    Attachment,
}

/// Event from the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// Name of the event.
    pub event: String,
    /// Array of the arguments. Binary ones are placeholders, see [`placeholder`].
    pub args: Value,
    /// Binary arguments, in the order of their placeholders' numbers.
    pub attachments: Vec<Bytes>,
    /// Id of the acknowledgement that the server requests.
    pub ack_id: Option<u64>,
}

impl Incoming {
    /// Returns the argument at `index`, or `Value::Null` if there are fewer.
    pub fn arg(&self, index: usize) -> &Value {
        self.args.get(index).unwrap_or(&Value::Null)
    }

    /// Returns the header and payload of a well-formed `media` event.
    pub fn media(&self) -> Option<(MediaHeader, &Bytes)> {
        let header = self.arg(0);
        let (true, [payload], Some(track), Some(seq), Some(ts)) = (
            self.event == "media" && self.arg(1) == &placeholder(0),
            &self.attachments[..],
            header["track"].as_u64(),
            header["seq"].as_u64(),
            header["ts"].as_i64(),
        ) else {
            return None;
        };
        let flag = |name: &str| header[name].as_bool() == Some(true);
        let (key, replay) = (flag("key"), flag("replay"));
        Some((
            MediaHeader {
                track,
                seq,
                ts,
                key,
                replay,
                dur: header["dur"].as_u64(),
            },
            payload,
        ))
    }
}

/// Header of a chunk as a subscriber receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaHeader {
    /// Id of the track in its room.
    pub track: u64,
    /// Sequence number on the track, from 1.
    pub seq: u64,
    /// Timestamp in microseconds of the track's clock.
    pub ts: i64,
    /// Whether the chunk is a key chunk.
    pub key: bool,
    /// Whether this is a cached chunk for a late joiner.
    pub replay: bool,
    /// Duration in microseconds.
    pub dur: Option<u64>,
}

/// Acknowledgement from the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Acknowledgement {
    /// Id of the request.
    pub id: u64,
    /// Array of the arguments.
    pub args: Value,
    /// Binary arguments.
    pub attachments: Vec<Bytes>,
}

impl Acknowledgement {
    /// Returns the first argument, which is all that Weir's acknowledgements have.
    pub fn into_result(mut self) -> Value {
        self.args.get_mut(0).map_or(Value::Null, Value::take)
    }
}

/// Event or acknowledgement, in the order of the wire.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrival {
    /// Event.
    Event(Incoming),
    /// Acknowledgement.
    Ack(Acknowledgement),
}

/// Returns the JSON placeholder of an attachment.
pub fn placeholder(number: usize) -> Value {
    json!({ "_placeholder": true, "num": number })
}

/// Packet from the server.
#[derive(Debug)]
pub(crate) enum ServerPacket {
    Open(Value),
    Ping,
    EngineClose,
    Connected(Value),
    Refused(Value),
    Disconnected,
    Arrival(Arrival),
}
