//! Rooms, members and tracks, and how they change.

mod change;
mod id;
mod init;
mod json;
mod records;
mod size;

pub use change::{Change, CloseReason, LeaveReason, RoomEvent, Snapshot};
pub use id::{MemberId, RoomId, TrackId};
pub use init::Init;
pub use json::Json;
pub use records::{Member, Room, Track, TrackKind, TrackSpec, TrackUpdate};
pub use size::StateSize;
