//! Requests, as clients send them.

mod arguments;
mod connect;
mod fields;
mod known;
mod parse;
mod shape;

pub(crate) use arguments::Arguments;
pub use connect::{Connect, event_name};
pub(crate) use fields::Fields;
pub use parse::{
    CreateRoom, JoinRoom, PublishTrack, Request, SendMessage, UpdateMember, UpdateTrack,
};
pub use shape::{FieldShape, FieldType, REQUESTS, RequestShape};
