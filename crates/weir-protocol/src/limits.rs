//! The contract's limits.

use serde::{Deserialize, Serialize};

/// What a client may send, and how much of it. The defaults are the contract's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The longest payload of a chunk, in bytes.
    pub chunk_bytes: usize,
    /// The longest header of a chunk, in bytes of JSON.
    pub media_header_bytes: usize,
    /// The longest WebSocket message, in bytes; a longer one closes its connection.
    pub websocket_message_bytes: usize,
    /// The longest room id, in characters.
    pub room_id_chars: usize,
    /// The longest name, topic, source or codec, in characters.
    pub name_chars: usize,
    /// The longest metadata, in bytes of JSON.
    pub metadata_bytes: usize,
    /// The longest `init` of a track, in bytes.
    pub init_bytes: usize,
    /// The longest data of a message, in bytes of JSON and attachments.
    pub message_bytes: usize,
    /// The most members of a room.
    pub members_per_room: usize,
    /// The most tracks that one member publishes at a time.
    pub tracks_per_member: usize,
    /// The most bits of payload a second that one member publishes, averaged over a second.
    pub ingest_bits_per_second: u64,
    /// The most chunks a second that one member publishes, averaged over a second.
    pub chunks_per_second: u32,
    /// The requests a second that one connection may make on average.
    pub requests_per_second: u32,
    /// The requests that one connection may make at once.
    pub request_burst: u32,
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
            members_per_room: 1_000,
            tracks_per_member: 16,
            ingest_bits_per_second: 20_000_000,
            chunks_per_second: 500,
            requests_per_second: 20,
            request_burst: 40,
        }
    }
}
