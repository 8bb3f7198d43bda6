//! Loads: clients that publish and subscribe.

mod chunk;
mod member;
mod stream;
mod tally;

pub(crate) use member::LoadMember;
pub(crate) use stream::{FirstChunk, Shape, finish, observe, run, warm_up};
pub(crate) use tally::Tally;
