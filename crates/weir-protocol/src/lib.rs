//! The wire contract as types: what a client and a node say to each other.
//!
//! This crate is the only place with event names ([`event`]) and error codes ([`Code`]). It parses
//! what clients send ([`Request`], [`Published`]) into types that hold only what the contract
//! allows, and encodes what they are told into [`Frame`]s that are written as they are. It has no
//! IO and no clock.

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
