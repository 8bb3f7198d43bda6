//! The wire contract as types: what a client and a node say to each other.
//!
//! This crate is the only place with event names ([`event`]) and error codes ([`Code`]). It parses
//! what clients send ([`Request`], [`Published`]) into types that hold only what the contract
//! allows, and encodes what they are told into [`Frame`]s that are written as they are. It has no
//! IO and no clock.

mod arguments;
mod binary;
mod change;
mod connect;
mod encode;
pub mod event;
mod fault;
mod fields;
mod frame;
mod id;
mod init;
mod json;
mod known;
mod limits;
mod media;
mod object;
mod packet;
mod request;
mod shape;
mod size;

pub use change::{Change, CloseReason, LeaveReason, RoomEvent, Snapshot};
pub use connect::{Connect, event_name};
pub use encode::{Ack, Notice};
pub use fault::{Code, Fault};
pub use frame::{Frame, MAX_ACK_ID};
pub use id::{MemberId, RoomId, TrackId};
pub use init::Init;
pub use json::Json;
pub use limits::Limits;
pub use media::{Chunk, GapReason, Published};
pub use object::{Member, Room, Track, TrackKind, TrackSpec, TrackUpdate};
pub use packet::MediaPacket;
pub use request::{
    CreateRoom, JoinRoom, PublishTrack, Request, SendMessage, UpdateMember, UpdateTrack,
};
pub use shape::{FieldShape, FieldType, REQUESTS, RequestShape};
pub use size::StateSize;
