//! Requests of clients, parsed into types.

use bytes::Bytes;

use super::{arguments::Arguments, fields::Fields, shape::REQUESTS};
use crate::{Fault, Json, Limits, RoomId, TrackId, TrackKind, TrackSpec, TrackUpdate, event};

/// `room:create`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateRoom {
    /// Requested id. Without one, the server generates it.
    pub id: Option<RoomId>,
    /// Metadata from the creator.
    pub metadata: Json,
    /// Maximum number of members: 1 to [`Limits::members_per_room`], which is the default.
    pub max_members: u32,
}

/// `room:join`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRoom {
    /// Room.
    pub room: RoomId,
    /// Display name.
    pub name: String,
    /// Metadata from the member.
    pub metadata: Json,
    /// Whether to subscribe to every track of the others.
    pub auto_subscribe: bool,
    /// Whether to create a missing room. The node's configuration is the default.
    pub create: Option<bool>,
}

/// `member:update`. Fields that are `None` keep their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateMember {
    /// New name.
    pub name: Option<String>,
    /// New metadata.
    pub metadata: Option<Json>,
}

/// `track:publish`
#[derive(Debug, Clone, PartialEq)]
pub struct PublishTrack {
    /// Description of the track by its publisher.
    pub spec: TrackSpec,
}

/// `track:update`
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateTrack {
    /// Track.
    pub track: TrackId,
    /// Update of the track.
    pub update: TrackUpdate,
}

/// `message`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendMessage {
    /// Topic.
    pub topic: Option<String>,
    /// Ids of the recipients. Without it, all other members receive the message.
    pub to: Option<Vec<String>>,
    /// Content, with placeholders for `attachments`.
    pub data: Json,
    /// Binary values in `data`.
    pub attachments: Vec<Bytes>,
}

/// Request of a client.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Request {
    CreateRoom(CreateRoom),
    JoinRoom(JoinRoom),
    LeaveRoom,
    UpdateMember(UpdateMember),
    PublishTrack(PublishTrack),
    UpdateTrack(UpdateTrack),
    UnpublishTrack(TrackId),
    Subscribe(TrackId),
    Unsubscribe(TrackId),
    RequestKeyframe(TrackId),
    SendMessage(SendMessage),
}

impl Request {
    /// Parses the packet of the event `name`. `text` is its array, including the name.
    ///
    /// # Errors
    /// `bad_request` for an unknown event and for missing, malformed or too many arguments;
    /// `too_large` for a value over its limit. Each names the event or the field.
    pub fn parse(
        name: &str,
        text: &str,
        attachments: Vec<Bytes>,
        limits: &Limits,
    ) -> Result<Self, Fault> {
        if !REQUESTS.iter().any(|request| request.event == name) {
            return Err(unknown(name));
        }
        let Arguments { first, count } = Arguments::parse(text)
            .ok_or_else(|| Fault::field("argument", "the packet is not a JSON array"))?;
        if count > 1 {
            let problem = format!("one is allowed, not {count}");
            return Err(Fault::field("argument", problem));
        }
        // Clients send null for an argument that is omitted before a callback.
        let argument = first.filter(|raw| raw.get() != "null");
        let fields = Fields::parse("argument", argument, limits)?;
        let request = match name {
            event::ROOM_CREATE => Self::CreateRoom(create_room(&fields)?),
            event::ROOM_JOIN => Self::JoinRoom(join_room(&fields)?),
            event::ROOM_LEAVE => Self::LeaveRoom,
            event::MEMBER_UPDATE => Self::UpdateMember(UpdateMember {
                name: fields.text("name")?,
                metadata: fields.metadata()?,
            }),
            event::TRACK_PUBLISH => Self::PublishTrack(publish_track(&fields)?),
            event::TRACK_UPDATE => Self::UpdateTrack(update_track(&fields)?),
            event::TRACK_UNPUBLISH => Self::UnpublishTrack(fields.track()?),
            event::TRACK_SUBSCRIBE => Self::Subscribe(fields.track()?),
            event::TRACK_UNSUBSCRIBE => Self::Unsubscribe(fields.track()?),
            event::TRACK_REQUEST_KEYFRAME => Self::RequestKeyframe(fields.track()?),
            event::MESSAGE => Self::SendMessage(SendMessage {
                topic: fields.text("topic")?,
                to: fields.list("to", limits.members_per_room)?,
                data: fields.data(&attachments)?,
                attachments,
            }),
            _ => return Err(unknown(name)),
        };
        Ok(request)
    }
}

fn unknown(name: &str) -> Fault {
    let shown = event::shown(name);
    Fault::field("event", format!("there is no {shown:?}"))
}

fn create_room(fields: &Fields<'_>) -> Result<CreateRoom, Fault> {
    let limit = u32::try_from(fields.limits().members_per_room).unwrap_or(u32::MAX);
    let max_members = fields.positive("maxMembers")?.unwrap_or(limit);
    if max_members > limit {
        return Err(Fault::too_large(
            "maxMembers",
            max_members as usize,
            limit as usize,
            "members",
        ));
    }
    Ok(CreateRoom {
        id: fields.room("id")?,
        metadata: fields.metadata()?.unwrap_or_default(),
        max_members,
    })
}

fn join_room(fields: &Fields<'_>) -> Result<JoinRoom, Fault> {
    // A later version resumes sessions. Until then, a token is validated and ignored.
    fields.one_of::<String>("resume", "a string")?;
    Ok(JoinRoom {
        room: fields.required("room", fields.room("room")?)?,
        name: fields.text("name")?.unwrap_or_default(),
        metadata: fields.metadata()?.unwrap_or_default(),
        auto_subscribe: fields.boolean("autoSubscribe")?.unwrap_or(true),
        create: fields.boolean("create")?,
    })
}

fn publish_track(fields: &Fields<'_>) -> Result<PublishTrack, Fault> {
    let kind = fields.one_of::<TrackKind>("kind", r#""audio", "video" or "data""#)?;
    let spec = TrackSpec {
        kind: fields.required("kind", kind)?,
        source: fields.text("source")?,
        name: fields.text("name")?,
        codec: fields.required("codec", fields.word("codec")?)?,
        width: fields.positive("width")?,
        height: fields.positive("height")?,
        frame_rate: fields.rate("frameRate")?,
        sample_rate: fields.positive("sampleRate")?,
        channels: fields.positive("channels")?,
        init: fields.init()?,
    };
    Ok(PublishTrack { spec })
}

fn update_track(fields: &Fields<'_>) -> Result<UpdateTrack, Fault> {
    let update = TrackUpdate {
        muted: fields.boolean("muted")?,
        codec: fields.word("codec")?,
        width: fields.positive("width")?,
        height: fields.positive("height")?,
        init: fields.init()?,
    };
    Ok(UpdateTrack {
        track: fields.track()?,
        update,
    })
}
