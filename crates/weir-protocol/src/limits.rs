//! Limits on what clients send.

use serde::{Deserialize, Serialize};

/// Limits of the wire contract. Each is configurable; the defaults are the contract's.
///
/// Requests over a limit are refused with `too_large`, `room_full` or `rate_limited`. Nothing is
/// truncated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Payload of one media chunk, in bytes. Default 1 MiB.
    pub chunk_bytes: usize,
    /// Header of one media chunk as JSON, in bytes. Default 512.
    pub media_header_bytes: usize,
    /// One WebSocket message, in bytes; a larger one closes its connection. Default 4 MiB.
    pub websocket_message_bytes: usize,
    /// Id of a room, in characters. Default 64.
    pub room_id_chars: usize,
    /// A name, a topic, a source or a codec, in characters. Default 128.
    pub name_chars: usize,
    /// Metadata of a room or a member as JSON, in bytes. Default 16 KiB.
    pub metadata_bytes: usize,
    /// Maximum `init` of a track, in decoded bytes. Default 64 KiB.
    pub init_bytes: usize,
    /// `data` of a `message`, in bytes. Default 64 KiB.
    pub message_bytes: usize,
    /// Maximum binary values in `data` of a `message`. Default 10, which is also the upper bound:
    /// clients with this limit in their parser close their connection beyond it.
    pub message_attachments: usize,
    /// Maximum members of one room; its own `maxMembers` may be lower. Default 1,000.
    pub members_per_room: usize,
    /// Maximum state of one room as JSON (room, members, tracks), in bytes. Default 4 MiB, which is
    /// also the upper bound: a joining client receives it as one message.
    pub room_state_bytes: usize,
    /// Tracks that one member publishes at a time. Default 16.
    pub tracks_per_member: usize,
    /// Media that one member publishes on all its tracks, in bits per second, averaged over a second.
    /// Default 20 Mbit/s.
    pub ingest_bits_per_second: u64,
    /// Chunks that one member publishes on all its tracks, per second, averaged over a second.
    /// Default 500.
    pub chunks_per_second: u32,
    /// Sustained rate of one connection's requests (all events but media), per second. Default 20.
    pub requests_per_second: u32,
    /// Burst of one connection's requests. Default 40.
    pub request_burst: u32,
}

impl Limits {
    /// Upper bound of [`message_attachments`](Self::message_attachments).
    ///
    /// Source: `maxAttachments` of `socket.io-parser` 4.2.6, `lib/index.ts`.
    pub const MOST_ATTACHMENTS: usize = 10;

    /// Upper bound of [`room_state_bytes`](Self::room_state_bytes).
    ///
    /// Source: `max_msg_size` of `ClientSession.ws_connect` in aiohttp 3.14, which python-socketio
    /// uses.
    pub const MOST_STATE_BYTES: usize = 4 * 1024 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            chunk_bytes: 1024 * 1024,
            media_header_bytes: 512,
            websocket_message_bytes: 4 * 1024 * 1024,
            room_id_chars: 64,
            name_chars: 128,
            metadata_bytes: 16 * 1024,
            init_bytes: 64 * 1024,
            message_bytes: 64 * 1024,
            message_attachments: Self::MOST_ATTACHMENTS,
            members_per_room: 1_000,
            room_state_bytes: Self::MOST_STATE_BYTES,
            tracks_per_member: 16,
            ingest_bits_per_second: 20_000_000,
            chunks_per_second: 500,
            requests_per_second: 20,
            request_burst: 40,
        }
    }
}
