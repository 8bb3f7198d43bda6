//! Rooms in use on this node: their members, their state, and their signals.

mod active_room;
mod backlog;
mod early;
mod keyframe;
mod member;
mod mirror;
mod publishing;
mod reservation;
mod seats;
mod signals;

pub(crate) use active_room::ActiveRoom;
pub(crate) use member::ConnectedMember;
pub(crate) use publishing::Publishing;
