//! The contract's objects: rooms, members, tracks.

use serde::{Deserialize, Serialize};

use crate::{Init, Json, MemberId, RoomId, TrackId};

/// A room's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    /// Whatever its creator attached.
    pub metadata: Json,
    /// How many members it takes at the most.
    pub max_members: u32,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_at: u64,
}

/// A member's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Its id, which is the server's, not the socket's.
    pub id: MemberId,
    /// A name for people; empty if it gave none.
    pub name: String,
    /// Whatever it attached.
    pub metadata: Json,
    /// When it joined, in milliseconds since the Unix epoch.
    pub joined_at: u64,
}

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrackKind {
    /// Sound; each of its chunks can be decoded alone.
    Audio,
    /// Pictures.
    Video,
    /// Anything else.
    Data,
}

/// What a publisher says of a track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackSpec {
    /// What it carries.
    pub kind: TrackKind,
    /// Where it comes from, such as `camera` or `screen`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<String>,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// A WebCodecs codec string or a container MIME type with codecs.
    pub codec: String,
    /// Width of the picture in pixels.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub width: Option<u32>,
    /// Height of the picture in pixels.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub height: Option<u32>,
    /// Pictures a second.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub frame_rate: Option<f64>,
    /// Samples a second.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sample_rate: Option<u32>,
    /// Channels of sound.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub channels: Option<u32>,
    /// The decoder's description or the container's initialisation segment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub init: Option<Init>,
}

/// A track's record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// Its id.
    pub id: TrackId,
    /// Who publishes it.
    pub member: MemberId,
    /// What its publisher says of it.
    #[serde(flatten)]
    pub spec: TrackSpec,
    /// Whether the publisher has muted the track.
    pub muted: bool,
}

/// A change of a track; what is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrackUpdate {
    /// Mutes or unmutes it.
    pub muted: Option<bool>,
    /// Another codec.
    pub codec: Option<String>,
    /// Another width.
    pub width: Option<u32>,
    /// Another height.
    pub height: Option<u32>,
    /// Another initialisation segment.
    pub init: Option<Init>,
}

impl TrackUpdate {
    /// Changes `track` accordingly.
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
