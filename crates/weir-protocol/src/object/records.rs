//! Records of rooms, members and tracks.

use serde::{Deserialize, Serialize};

use crate::{Init, Json, MemberId, RoomId, TrackId};

/// Record of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// Id.
    pub id: RoomId,
    /// Metadata from its creator.
    pub metadata: Json,
    /// Maximum number of members.
    pub max_members: u32,
    /// Time of creation, in milliseconds since the Unix epoch.
    pub created_at: u64,
}

/// Record of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Id, which is the server's, not the socket's.
    pub id: MemberId,
    /// Display name; empty by default.
    pub name: String,
    /// Metadata from the member.
    pub metadata: Json,
    /// Time of joining, in milliseconds since the Unix epoch.
    pub joined_at: u64,
}

/// Kind of a track's media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrackKind {
    /// Audio, of which each chunk can be decoded alone.
    Audio,
    /// Video.
    Video,
    /// Any other data.
    Data,
}

/// Description of a track by its publisher.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackSpec {
    /// Kind of media.
    pub kind: TrackKind,
    /// Source, such as `camera` or `screen`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<String>,
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// WebCodecs codec string, or container MIME type with codecs.
    pub codec: String,
    /// Width in pixels.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub width: Option<u32>,
    /// Height in pixels.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub height: Option<u32>,
    /// Frames per second.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub frame_rate: Option<f64>,
    /// Samples per second.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sample_rate: Option<u32>,
    /// Audio channels.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub channels: Option<u32>,
    /// Decoder description or container's initialisation segment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub init: Option<Init>,
}

/// Record of a track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// Id.
    pub id: TrackId,
    /// Publisher.
    pub member: MemberId,
    /// Description by its publisher.
    #[serde(flatten)]
    pub spec: TrackSpec,
    /// Whether the publisher has muted the track.
    pub muted: bool,
}

/// Update of a track. Fields that are `None` keep their values.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrackUpdate {
    /// Whether the track is muted.
    pub muted: Option<bool>,
    /// New codec.
    pub codec: Option<String>,
    /// New width.
    pub width: Option<u32>,
    /// New height.
    pub height: Option<u32>,
    /// New initialisation segment.
    pub init: Option<Init>,
}

impl TrackUpdate {
    /// Applies the update to `track`.
    pub fn apply(&self, track: &mut Track) {
        if let Some(muted) = self.muted {
            track.muted = muted;
        }
        if let Some(codec) = &self.codec {
            track.spec.codec.clone_from(codec);
        }
        track.spec.width = self.width.or(track.spec.width);
        track.spec.height = self.height.or(track.spec.height);
        if let Some(init) = &self.init {
            track.spec.init = Some(init.clone());
        }
    }
}
