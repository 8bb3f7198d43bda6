//! WebSocket frames (RFC 6455, section 5.2), as a client writes and reads them.

use bytes::{BufMut, BytesMut};

/// Largest message that a client accepts, in bytes: far above anything a node sends.
pub(super) const MAX_MESSAGE: usize = 64 << 20;

/// Violation of RFC 6455 by a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A reserved bit is set although no extension was negotiated.
    #[error("a frame has reserved bits set (first byte {0:#04x})")]
    Reserved(u8),
    /// The opcode is not one of RFC 6455.
    #[error("unknown opcode {0:#x}")]
    Opcode(u8),
    /// The frame is masked, which a server's must not be.
    #[error("the server masked a frame")]
    Masked,
    /// The message is longer than this client accepts.
    #[error("a message of {0} bytes is over the client's limit of {MAX_MESSAGE}")]
    TooLong(u64),
    /// A continuation without a first frame, or a new message within another.
    #[error("a fragmented message out of order")]
    Fragment,
}

/// Opcode of a frame (RFC 6455, section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// Next fragment of a message.
    Continuation = 0,
    /// Message of UTF-8 text.
    Text = 1,
    /// Message of bytes.
    Binary = 2,
    /// Closing handshake.
    Close = 8,
    /// WebSocket ping, as opposed to Engine.IO's.
    Ping = 9,
    /// Answer to a WebSocket ping.
    Pong = 10,
}

impl Opcode {
    fn from_nibble(nibble: u8) -> Result<Self, FrameError> {
        Ok(match nibble {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            other => return Err(FrameError::Opcode(other)),
        })
    }
}

/// Header of a server's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether the message ends with this frame.
    pub fin: bool,
    /// Type of the frame.
    pub opcode: Opcode,
    /// Length of the header itself in bytes, 2 to 10.
    pub header_len: usize,
    /// Length of the payload in bytes.
    pub payload_len: usize,
}

impl FrameHeader {
    /// Parses the header at the start of `bytes`; returns `None` while it is incomplete.
    ///
    /// # Errors
    /// The frame violates RFC 6455, or its payload is over 64 MiB.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(FrameError::Reserved(*first));
        }
        if second & 0x80 != 0 {
            return Err(FrameError::Masked);
        }
        let (header_len, payload_len) = match second {
            126 => match rest.first_chunk::<2>() {
                Some(len) => (4, u64::from(u16::from_be_bytes(*len))),
                None => return Ok(None),
            },
            127 => match rest.first_chunk::<8>() {
                Some(len) => (10, u64::from_be_bytes(*len)),
                None => return Ok(None),
            },
            short => (2, u64::from(*short)),
        };
        let fits = usize::try_from(payload_len)
            .ok()
            .filter(|len| *len <= MAX_MESSAGE);
        Ok(Some(Self {
            fin: first & 0x80 != 0,
            opcode: Opcode::from_nibble(first & 0x0f)?,
            header_len,
            payload_len: fits.ok_or(FrameError::TooLong(payload_len))?,
        }))
    }

    /// Returns the length of the whole frame in bytes.
    pub(super) fn frame_len(&self) -> usize {
        self.header_len + self.payload_len
    }
}

/// Appends a whole frame, masked as a client's must be (RFC 6455, section 5.3).
///
/// The masking key is four zero bytes, which leave the payload as it is. A load generator saves a
/// pass over each payload.
pub fn put_frame(out: &mut BytesMut, opcode: Opcode, payload: &[u8]) {
    out.reserve(14 + payload.len());
    out.put_u8(0x80 | opcode as u8);
    match payload.len() {
        short @ 0..=125 => out.put_u8(0x80 | short as u8),
        medium @ 126..=0xffff => {
            out.put_u8(0x80 | 126);
            out.put_u16(medium as u16);
        }
        long => {
            out.put_u8(0x80 | 127);
            out.put_u64(long as u64);
        }
    }
    out.put_u32(0);
    out.put_slice(payload);
}
