//! WebSocket (RFC 6455), the client's side.

mod frame;
mod message;
mod splitter;

pub use frame::{FrameError, FrameHeader, Opcode, put_frame};
pub(crate) use message::{MessageReader, WebSocketMessage};
