//! The wire contract between clients and nodes, as types.
//!
//! This crate alone defines event names ([`event`]) and error codes ([`Code`]). It parses packets of
//! clients ([`Request`], [`Published`]) into types that admit only what the contract allows. It
//! encodes packets of nodes as [`Frame`]s, which are written unchanged. It has no IO and no clock.

mod binary;
mod encode;
pub mod event;
mod fault;
mod limits;
mod media;
mod object;
mod packet;
mod request;

pub use encode::{Ack, Frame, MAX_ACK_ID, Notice};
pub use fault::{Code, Fault};
pub use limits::Limits;
pub use media::{Chunk, GapReason, Published};
pub use object::{
    Change, CloseReason, Init, Json, LeaveReason, Member, MemberId, Room, RoomEvent, RoomId,
    Snapshot, StateSize, Track, TrackId, TrackKind, TrackSpec, TrackUpdate,
};
pub use packet::MediaPacket;
pub use request::{
    Connect, CreateRoom, FieldShape, FieldType, JoinRoom, PublishTrack, REQUESTS, Request,
    RequestShape, SendMessage, UpdateMember, UpdateTrack, event_name,
};
