//! Nodes for the cases, and logs of what they receive.

mod node;
mod recorder;
mod view;

pub(super) use node::{ContractNode, MAX_TRACKS, json, new_member, new_room, room, spec};
pub use recorder::Recorder;
pub use view::View;
