//! The rooms in Redis: one call per operation, nothing kept.

use std::time::Duration;

use bytes::Bytes;
use fred::{
    interfaces::ClientLike,
    types::{
        Builder, Value,
        config::{Config, ReconnectPolicy, Server, ServerConfig, TlsConnector, UnresponsiveConfig},
    },
};
use weir_cluster::{DirectoryError, trace};
use weir_protocol::{LeaveReason, Member, MemberId, Room, RoomId, StateSize, Track, TrackId};

mod commands;
mod nodes;
mod script;

use self::{
    commands::{Commands, unavailable},
    script::Script,
};
use super::{
    mirror::Mirror,
    record::{self, RecordError},
};
use crate::{DirectoryOptions, Target, keys::Keys, target::Topology};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long rooms with members, and what is known of nodes, live on without being touched. Every
/// node touches what it holds more often; what nobody touches any more goes.
pub(crate) const LIVE_TTL: Duration = Duration::from_secs(60 * 60);

/// Redis, as the directory uses it.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) commands: Commands,
    pub(crate) keys: Keys,
    /// The command that publishes an event: sharded in a Redis Cluster.
    pub(crate) publish: &'static str,
    empty_ttl: Duration,
    /// Maximum size of a room's state as JSON, in bytes.
    state_bytes: usize,
}

/// What a script answers.
enum Answer {
    /// It is done; with what else it says.
    Done(Vec<Value>),
    /// It is not; why, with what else it says.
    Refused(String, Vec<Value>),
}

impl Store {
    /// A store that connects in the background, and again whenever it has to.
    pub(crate) fn new(
        target: &Target,
        keys: Keys,
        options: &DirectoryOptions,
    ) -> Result<Self, DirectoryError> {
        let cluster = target.topology == Topology::Cluster;
        let config = Config {
            fail_fast: false,
            username: target.username.clone(),
            password: target.password.clone(),
            server: server(target),
            // With RESP3 the client authenticates by a `HELLO` in one unquoted line, which a space
            // or quote in the password breaks. With RESP2 it sends `AUTH`, whose arguments can hold
            // every byte. The directory needs no command of RESP3.
            version: fred::types::RespVersion::RESP2,
            database: (!cluster).then_some(target.database),
            tls: match target.tls {
                true => Some(
                    TlsConnector::default_rustls()
                        .map_err(|error| unavailable(&error))?
                        .into(),
                ),
                false => None,
            },
            ..Config::default()
        };
        let mut policy = ReconnectPolicy::new_exponential(0, 50, 1_000, 2);
        policy.set_jitter(50);
        let client = Builder::from_config(config)
            .with_connection_config(|connection| {
                connection.connection_timeout = CONNECT_TIMEOUT;
                connection.internal_command_timeout = CONNECT_TIMEOUT;
                connection.max_command_attempts = 1;
                connection.tcp.nodelay = Some(true);
                connection.unresponsive = UnresponsiveConfig {
                    max_timeout: Some(CONNECT_TIMEOUT),
                    interval: Duration::from_millis(500),
                };
            })
            .set_policy(policy)
            .build()
            .map_err(|error| unavailable(&error))?;
        // Its end is the client's, which ends with the store.
        drop(client.connect());
        let (empty_ttl, state_bytes) = (options.empty_ttl, options.room_state_bytes);
        Ok(Self {
            commands: Commands::new(client),
            keys,
            publish: if cluster { "SPUBLISH" } else { "PUBLISH" },
            empty_ttl,
            state_bytes,
        })
    }

    async fn call(
        &self,
        script: &Script,
        room: &RoomId,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<Answer, DirectoryError> {
        let millis = |ttl: Duration| Value::from(ttl.as_millis().to_string());
        let publish = match trace::said() {
            Some(trace) => format!("{} {trace}", self.publish).into(),
            None => self.publish.into(),
        };
        let mut all = vec![
            publish,
            self.keys.events(room).into(),
            millis(LIVE_TTL),
            millis(self.empty_ttl),
            number(self.state_bytes),
        ];
        all.extend(arguments);
        let keys = self.keys.room(room);
        let answer = script.call(&self.commands, keys, all).await?;
        let mut answer = answer.into_array().into_iter();
        let status = answer.next().and_then(|status| status.into_string());
        let rest = answer.collect();
        Ok(match status.as_deref() {
            Some("ok") => Answer::Done(rest),
            Some("large") => return Err(self.too_large(&rest)),
            Some(why) => Answer::Refused(why.to_owned(), rest),
            None => Answer::Refused("nothing".to_owned(), rest),
        })
    }

    fn too_large(&self, rest: &[Value]) -> DirectoryError {
        let bytes = rest.first().and_then(Value::as_u64);
        let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
        DirectoryError::StateTooLarge {
            bytes: bytes.unwrap_or(usize::MAX),
            limit: self.state_bytes,
        }
    }

    pub(crate) async fn create(&self, room: &Room) -> Result<(), DirectoryError> {
        let arguments = [record::of_room(room).into(), number(room.max_members)];
        match self.call(&script::CREATE, &room.id, arguments).await? {
            Answer::Done(_) => Ok(()),
            Answer::Refused(why, _) => Err(refusal(&why, &room.id)),
        }
    }

    /// Adds a member; `create` is the room to create if it is missing.
    pub(crate) async fn join(
        &self,
        room: &RoomId,
        member: &Member,
        node: &str,
        create: Option<&Room>,
    ) -> Result<Mirror, DirectoryError> {
        let arguments = [
            text(member.id.as_str()),
            record::of_member(member).into(),
            text(node),
            create.map_or_else(|| text(""), |room| record::of_room(room).into()),
            create.map_or_else(|| text(""), |room| number(room.max_members)),
            number(StateSize::ANSWER),
        ];
        match self.call(&script::JOIN, room, arguments).await? {
            Answer::Done(hashes) => mirror(hashes),
            Answer::Refused(why, rest) if why == "full" => {
                let limit = rest.into_iter().next().and_then(|limit| limit.as_u64());
                let limit = limit.and_then(|limit| u32::try_from(limit).ok());
                let room = room.clone();
                let limit = limit.unwrap_or_default();
                Err(DirectoryError::RoomFull { room, limit })
            }
            Answer::Refused(why, _) => Err(refusal(&why, room)),
        }
    }

    /// Removes a member, if `node` is `None` or the one that it is on.
    pub(crate) async fn leave(
        &self,
        room: &RoomId,
        member: &MemberId,
        reason: LeaveReason,
        node: Option<&str>,
    ) -> Result<(), DirectoryError> {
        let arguments = [
            text(member.as_str()),
            text(reason.as_str()),
            text(node.unwrap_or_default()),
        ];
        self.done(&script::LEAVE, room, member, None, arguments)
            .await
            .map(drop)
    }

    /// Changes a member's record from what it was, if it still is that. False if it is not.
    pub(crate) async fn update(
        &self,
        room: &RoomId,
        was: &Member,
        shall_be: &Member,
    ) -> Result<bool, DirectoryError> {
        let arguments = [
            text(was.id.as_str()),
            record::of_member(was).into(),
            record::of_member(shall_be).into(),
        ];
        self.changed(&script::UPDATE, room, &was.id, None, arguments)
            .await
    }

    /// Adds a track; answers with its id.
    pub(crate) async fn publish(
        &self,
        room: &RoomId,
        track: &Track,
        limit: usize,
    ) -> Result<TrackId, DirectoryError> {
        let arguments = [
            text(track.member.as_str()),
            record::of_track(track).into(),
            number(limit),
        ];
        match self.call(&script::PUBLISH, room, arguments).await? {
            Answer::Done(rest) => {
                let id = rest.into_iter().next().and_then(|id| id.as_u64());
                let id = id.and_then(|id| u32::try_from(id).ok());
                id.map(TrackId)
                    .ok_or_else(|| strange(RecordError("a track's id")))
            }
            Answer::Refused(why, _) if why == "too many" => {
                Err(DirectoryError::TooManyTracks { limit })
            }
            Answer::Refused(why, _) => Err(refused(&why, room, &track.member, None)),
        }
    }

    /// As [`Store::update`], for a track.
    pub(crate) async fn update_track(
        &self,
        room: &RoomId,
        was: &Track,
        shall_be: &Track,
    ) -> Result<bool, DirectoryError> {
        let arguments = [
            text(was.member.as_str()),
            number(was.id),
            record::of_track(was).into(),
            record::of_track(shall_be).into(),
        ];
        self.changed(
            &script::UPDATE_TRACK,
            room,
            &was.member,
            Some(was.id),
            arguments,
        )
        .await
    }

    pub(crate) async fn unpublish(
        &self,
        room: &RoomId,
        member: &MemberId,
        track: TrackId,
    ) -> Result<(), DirectoryError> {
        let arguments = [text(member.as_str()), number(track)];
        self.done(&script::UNPUBLISH, room, member, Some(track), arguments)
            .await
            .map(drop)
    }

    pub(crate) async fn snapshot(&self, room: &RoomId) -> Result<Mirror, DirectoryError> {
        match self.call(&script::SNAPSHOT, room, []).await? {
            Answer::Done(hashes) => mirror(hashes),
            Answer::Refused(why, _) => Err(refusal(&why, room)),
        }
    }

    /// Writes a room back as a node knows it, unless Redis knows as much.
    pub(crate) async fn restore(&self, known: &Mirror) -> Result<(), DirectoryError> {
        let mut arguments = vec![
            number(known.version),
            record::of_room(&known.room).into(),
            number(known.room.max_members),
            number(known.last_track),
            number(known.arrivals),
            number(known.members.len()),
        ];
        for (id, seated) in &known.members {
            arguments.push(text(id.as_str()));
            arguments.push(text(&seated.seat));
            arguments.push(record::of_member(&seated.member).into());
        }
        for (id, track) in &known.tracks {
            arguments.push(number(id));
            arguments.push(text(track.member.as_str()));
            arguments.push(record::of_track(track).into());
        }
        // Refused if Redis knows as much, which is as good.
        self.call(&script::RESTORE, &known.room.id, arguments)
            .await
            .map(drop)
    }

    /// Seats a member of this node again, with its tracks, or takes its seat over for the node's
    /// new id. Answers with the ids of tracks that are somebody else's by now.
    pub(crate) async fn reclaim(
        &self,
        room: &RoomId,
        member: &Member,
        node: &str,
        tracks: impl Iterator<Item = &Track>,
    ) -> Result<(), DirectoryError> {
        let mut arguments = vec![
            text(member.id.as_str()),
            record::of_member(member).into(),
            text(node),
        ];
        for track in tracks {
            arguments.push(number(track.id));
            arguments.push(record::of_track(track).into());
        }
        self.done(&script::RECLAIM, room, &member.id, None, arguments)
            .await
            .map(drop)
    }

    /// Raises a room's version, so that as many changes can be told.
    pub(crate) async fn raise(&self, room: &RoomId, by: usize) -> Result<(), DirectoryError> {
        match self.call(&script::RAISE, room, [number(by)]).await? {
            Answer::Done(_) => Ok(()),
            Answer::Refused(why, _) => Err(refusal(&why, room)),
        }
    }

    /// Lets a room live on.
    pub(crate) async fn touch(&self, room: &RoomId) -> Result<(), DirectoryError> {
        self.call(&script::TOUCH, room, []).await.map(drop)
    }

    /// Calls a script that answers with nothing much.
    async fn done(
        &self,
        script: &Script,
        room: &RoomId,
        member: &MemberId,
        track: Option<TrackId>,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<Value>, DirectoryError> {
        match self.call(script, room, arguments).await? {
            Answer::Done(rest) => Ok(rest),
            Answer::Refused(why, _) => Err(refused(&why, room, member, track)),
        }
    }

    async fn changed(
        &self,
        script: &Script,
        room: &RoomId,
        member: &MemberId,
        track: Option<TrackId>,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<bool, DirectoryError> {
        match self.call(script, room, arguments).await? {
            Answer::Done(_) => Ok(true),
            Answer::Refused(why, _) if why == "changed" => Ok(false),
            Answer::Refused(why, _) => Err(refused(&why, room, member, track)),
        }
    }
}

fn server(target: &Target) -> ServerConfig {
    let hosts = target.nodes.clone();
    match &target.topology {
        Topology::Standalone => {
            let (host, port) = &target.nodes[0];
            ServerConfig::new_centralized(host, *port)
        }
        Topology::Cluster => ServerConfig::new_clustered(hosts),
        Topology::Sentinel { master } => {
            let hosts = hosts.into_iter().map(Server::from).collect();
            ServerConfig::Sentinel {
                hosts,
                service_name: master.clone(),
                username: target.sentinel.username.clone(),
                password: target.sentinel.password.clone(),
            }
        }
    }
}

pub(crate) fn text(text: &str) -> Value {
    Value::from(text)
}

#[allow(clippy::needless_pass_by_value, reason = "numbers are copied")]
pub(crate) fn number(number: impl ToString) -> Value {
    Value::from(number.to_string())
}

fn mirror(hashes: Vec<Value>) -> Result<Mirror, DirectoryError> {
    let hashes: Option<Vec<_>> = hashes.into_iter().map(hash).collect();
    let hashes = hashes.and_then(|hashes| hashes.try_into().ok());
    let hashes = hashes.ok_or_else(|| strange(RecordError("a snapshot")))?;
    Mirror::read(hashes).map_err(strange)
}

fn hash(value: Value) -> Option<Vec<(Bytes, Bytes)>> {
    let mut pairs = Vec::new();
    let mut flat = value.into_array().into_iter();
    while let Some(key) = flat.next() {
        pairs.push((
            key.into_owned_bytes()?.into(),
            flat.next()?.into_owned_bytes()?.into(),
        ));
    }
    Some(pairs)
}

/// What is in Redis is not ours, or damaged.
fn strange(error: RecordError) -> DirectoryError {
    DirectoryError::Unavailable(error.to_string())
}

fn refusal(why: &str, room: &RoomId) -> DirectoryError {
    match why {
        "no room" => DirectoryError::RoomNotFound(room.clone()),
        "exists" => DirectoryError::RoomExists(room.clone()),
        other => DirectoryError::Unavailable(format!("a script answered {other:?}")),
    }
}

fn refused(why: &str, room: &RoomId, member: &MemberId, track: Option<TrackId>) -> DirectoryError {
    match (why, track) {
        ("no member", _) => DirectoryError::MemberNotFound(member.clone()),
        ("no track", Some(track)) => DirectoryError::TrackNotFound(track),
        ("not owner", Some(track)) => DirectoryError::NotTrackOwner(track),
        _ => refusal(why, room),
    }
}
